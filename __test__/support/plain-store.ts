// Record version 1 without the package: AWS SDK v3 and node:crypto, as an application without this store would write it.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type AttributeValue, DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { DecryptCommand, GenerateDataKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import type { EncryptedSessionRecord, EncryptionResult } from 'connect-dynamodb-kms';
import type { AwsLocal } from './aws-local.ts';

// The tests run on the oldest Node.js that the package supports, which these clients announce to leave.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const credentials = { accessKeyId: 'plain', secretAccessKey: 'plain' };

/** An item with DynamoDB's own types. */
export type Item = Record<string, AttributeValue>;

export class PlainStore {
  readonly kms: KMSClient;
  readonly dynamodb: DynamoDBClient;
  readonly keyArn: string;
  readonly tableName: string;
  readonly #documents: DynamoDBDocumentClient;

  /** On the servers' first key, if no other is named. */
  constructor(aws: AwsLocal, { tableName = 'sessions', keyArn = aws.keyArns[0]! } = {}) {
    this.kms = new KMSClient({ endpoint: aws.kms, region: keyArn.split(':')[3], credentials });
    this.dynamodb = new DynamoDBClient({ endpoint: aws.dynamodb, region: 'us-east-1', credentials });
    this.#documents = DynamoDBDocumentClient.from(this.dynamodb);
    this.keyArn = keyArn;
    this.tableName = tableName;
  }

  /** Seals a text, or bytes that are none, under a fresh data key. */
  async seal(plaintext: string | Uint8Array): Promise<EncryptionResult> {
    const made = await this.kms.send(new GenerateDataKeyCommand({ KeyId: this.keyArn, KeySpec: 'AES_256' }));
    return sealUnder(made.Plaintext!, made.CiphertextBlob!, plaintext);
  }

  async open({ encryptedData, encryptedKey, iv, authTag }: EncryptionResult): Promise<string> {
    const decipher = createDecipheriv('aes-256-gcm', await this.dataKey(encryptedKey), Buffer.from(iv, 'base64'));
    decipher.setAuthTag(Buffer.from(authTag, 'base64'));
    return Buffer.concat([decipher.update(encryptedData, 'base64'), decipher.final()]).toString('utf8');
  }

  /** The data key inside a wrapped one. */
  async dataKey(encryptedKey: string, context?: Record<string, string>): Promise<Uint8Array> {
    const reply = await this.kms.send(
      new DecryptCommand({
        KeyId: this.keyArn,
        CiphertextBlob: Buffer.from(encryptedKey, 'base64'),
        EncryptionContext: context,
      }),
    );
    return reply.Plaintext!;
  }

  /** A record that ends `lifetime` seconds from now, not yet in the table. */
  async record(sessionId: string, plaintext: string | Uint8Array, lifetime = 3600): Promise<EncryptedSessionRecord> {
    return { sessionId, ...(await this.seal(plaintext)), ttl: Math.floor(Date.now() / 1000) + lifetime, version: 1 };
  }

  async set(sessionId: string, session: object, lifetime?: number): Promise<void> {
    await this.put(await this.record(sessionId, JSON.stringify(session), lifetime));
  }

  /** The session, or `null` if there is none or it has ended. */
  async get(sessionId: string): Promise<any> {
    const { Item: record } = await this.#documents.send(
      new GetCommand({ TableName: this.tableName, Key: { sessionId }, ConsistentRead: true }),
    );
    if (record === undefined || record.ttl <= Date.now() / 1000) return null;
    return JSON.parse(await this.open(record as EncryptedSessionRecord));
  }

  /** Writes an item of plain values. */
  async put(item: object): Promise<void> {
    await this.#documents.send(new PutCommand({ TableName: this.tableName, Item: item }));
  }

  /** Writes an item of DynamoDB's own types. */
  async putItem(item: Item): Promise<void> {
    await this.dynamodb.send(new PutItemCommand({ TableName: this.tableName, Item: item }));
  }

  /** Reads an item in DynamoDB's own types. */
  async item(sessionId: string): Promise<Item | undefined> {
    const key = { sessionId: { S: sessionId } };
    return (await this.dynamodb.send(new GetItemCommand({ TableName: this.tableName, Key: key, ConsistentRead: true }))).Item;
  }

  close(): void {
    this.kms.destroy();
    this.dynamodb.destroy();
  }
}

/** Seals under a given data key. */
export function sealUnder(key: Uint8Array, wrapped: Uint8Array, plaintext: string | Uint8Array): EncryptionResult {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  const encrypted = Buffer.concat([cipher.update(Buffer.from(plaintext)), cipher.final()]);
  return {
    encryptedData: encrypted.toString('base64'),
    encryptedKey: Buffer.from(wrapped).toString('base64'),
    iv: iv.toString('base64'),
    authTag: cipher.getAuthTag().toString('base64'),
  };
}
