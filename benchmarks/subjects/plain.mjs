// The plain plan of docs/record-format.md, version 1: a data key a save, a Decrypt a read, on AWS SDK v3 and node:crypto, without a cache. It is
// kept as cheap as that can be: DynamoDB's own types (no document client), as many sockets as there are calls.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { DynamoDBClient, GetItemCommand, PutItemCommand, DeleteItemCommand } = require('@aws-sdk/client-dynamodb');
const { DecryptCommand, GenerateDataKeyCommand, KMSClient } = require('@aws-sdk/client-kms');

const WEEK_SECONDS = 7 * 24 * 3600;
const SOCKETS = { httpAgent: { keepAlive: true, maxSockets: 1024 } };

class PlainStore extends EventEmitter {
  constructor({ table, keyArn, dynamodb, kms }) {
    super();
    this.table = table;
    this.keyArn = keyArn;
    this.dynamodb = new DynamoDBClient({ endpoint: dynamodb, region: 'us-east-1', requestHandler: SOCKETS });
    this.kms = new KMSClient({ endpoint: kms, region: 'us-east-1', requestHandler: SOCKETS });
  }

  get(sid, callback) {
    this.read(sid).then((session) => process.nextTick(callback, null, session), callback);
  }

  set(sid, session, callback) {
    this.write(sid, session).then(() => process.nextTick(callback, null), callback);
  }

  destroy(sid, callback) {
    const key = { sessionId: { S: sid } };
    this.dynamodb.send(new DeleteItemCommand({ TableName: this.table, Key: key })).then(() => callback(null), callback);
  }

  async read(sid) {
    const { Item: item } = await this.dynamodb.send(
      new GetItemCommand({ TableName: this.table, Key: { sessionId: { S: sid } }, ConsistentRead: true }),
    );
    if (!item || Number(item.ttl.N) <= Date.now() / 1000) return null;
    const wrapped = Buffer.from(item.encryptedKey.S, 'base64');
    const { Plaintext: key } = await this.kms.send(new DecryptCommand({ KeyId: this.keyArn, CiphertextBlob: wrapped }));
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(item.iv.S, 'base64'));
    decipher.setAuthTag(Buffer.from(item.authTag.S, 'base64'));
    const json = Buffer.concat([decipher.update(item.encryptedData.S, 'base64'), decipher.final()]).toString('utf8');
    return JSON.parse(json);
  }

  async write(sid, session) {
    const json = JSON.stringify(session);
    const made = await this.kms.send(new GenerateDataKeyCommand({ KeyId: this.keyArn, KeySpec: 'AES_256' }));
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', made.Plaintext, iv);
    const encrypted = Buffer.concat([cipher.update(json, 'utf8'), cipher.final()]);
    const item = {
      sessionId: { S: sid },
      encryptedData: { S: encrypted.toString('base64') },
      encryptedKey: { S: Buffer.from(made.CiphertextBlob).toString('base64') },
      iv: { S: iv.toString('base64') },
      authTag: { S: cipher.getAuthTag().toString('base64') },
      ttl: { N: String(Math.floor(Date.now() / 1000) + WEEK_SECONDS) },
      version: { N: '1' },
    };
    await this.dynamodb.send(new PutItemCommand({ TableName: this.table, Item: item }));
  }
}

export function open(servers) {
  const store = new PlainStore(servers);
  const close = async () => {
    store.kms.destroy();
    store.dynamodb.destroy();
  };
  return { store, cold: store, close };
}
