// A second implementation of both versions of the record: node:crypto and AWS's own clients, written from docs/record-format.md alone.

import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import {
  type AttributeValue,
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { DecryptCommand, GenerateDataKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import type { AwsLocal } from './aws-local.ts';

// The tests run on the oldest Node.js that the package supports, which these clients announce to leave.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

export type RecordItem = Record<string, AttributeValue>;
export type Version = 1 | 2;

/** What version 2 is bound to. */
export interface Binding {
  notAfter: number;
  table: string;
  /** The partition key. */
  key: string;
}

const LABEL = 'connect-dynamodb-kms session';
const SUITE = Buffer.from([0, 1]);

function expand(dataKey: Uint8Array, salt: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', dataKey, salt, info, 32));
}

export function deriveKeys(dataKey: Uint8Array, salt: Uint8Array): { encryptionKey: Buffer; commit: Buffer } {
  return {
    encryptionKey: expand(dataKey, salt, 'connect-dynamodb-kms v2 encryption key'),
    commit: expand(dataKey, salt, 'connect-dynamodb-kms v2 key commitment'),
  };
}

export function additionalData({ notAfter, table, key }: Binding): Buffer {
  const seconds = Buffer.alloc(8);
  seconds.writeBigUInt64BE(BigInt(notAfter));
  const fields = [Buffer.from(LABEL), Buffer.from([0, 2]), SUITE, seconds, Buffer.from(table), Buffer.from(key)];
  return Buffer.concat(
    fields.flatMap((field) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(field.length);
      return [length, field];
    }),
  );
}

/** AES-256-GCM with a tag of 16 bytes. */
export function encrypt(key: Uint8Array, iv: Uint8Array, payload: Uint8Array, aad: Uint8Array = Buffer.alloc(0)) {
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
  cipher.setAAD(aad);
  const encryptedData = Buffer.concat([cipher.update(payload), cipher.final()]);
  return { encryptedData, authTag: cipher.getAuthTag() };
}

function decrypt(
  key: Uint8Array,
  parts: Record<'iv' | 'authTag' | 'encryptedData', Buffer>,
  aad: Uint8Array = Buffer.alloc(0),
): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, parts.iv, { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(parts.authTag);
  return Buffer.concat([decipher.update(parts.encryptedData), decipher.final()]);
}

/** The whole number that an attribute holds. */
export function seconds(item: RecordItem, name: string): number {
  const text = item[name]?.N;
  if (text === undefined || !/^\d+$/.test(text)) throw new Error(`${name} is no whole number`);
  return Number(text);
}

/** The bytes that an attribute holds, of this many at least and at most. */
export function bytes(item: RecordItem, name: string, least = 0, most = least || Number.POSITIVE_INFINITY): Buffer {
  const value = item[name];
  const isBinary = seconds(item, 'version') === 2;
  const found = isBinary ? value?.B : value?.S;
  if (found === undefined) throw new Error(`${name} is missing or of another type`);
  const decoded = typeof found === 'string' ? Buffer.from(found, 'base64') : Buffer.from(found);
  if (typeof found === 'string' && decoded.toString('base64') !== found) throw new Error(`${name} is no base64`);
  if (decoded.length < least || decoded.length > most) throw new Error(`${name} has ${decoded.length} bytes`);
  return decoded;
}

const escapeSign = (found: string) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`;
const escapedSigns = (text: string) => text.replace(/%(?=3A|23|25)/g, escapeSign);
const escaped = (text: string) => text.replace(/[:#]|%(?=3A|23|25)/g, escapeSign);

function prefixInTable(prefix: string): string {
  if (prefix === '') return '';
  const ended = /[:#]$/.test(prefix) && !prefix.endsWith('%:') ? prefix : `${prefix}%:`;
  const [inner, delimiter] = [ended.slice(0, -1), ended.slice(-1)];
  const usual = inner
    .split(/[:#]/)
    .slice(1)
    .every((part) => /^[\w.-]+$/.test(part));
  return (usual ? escapedSigns(inner) : escaped(inner)) + delimiter;
}

export interface ReaderOptions {
  tableName?: string;
  keyArn?: string;
  prefix?: string;
  hashed?: boolean | { secret: string };
  encryptionContext?: Record<string, string>;
}

export class RecordReader {
  readonly kms: KMSClient;
  readonly dynamodb: DynamoDBClient;
  readonly keyArn: string;
  readonly table: string;
  readonly #prefix: string;
  readonly #hashed: boolean | { secret: string };
  readonly #context: Record<string, string>;

  /** On the servers' first key, if no other is named. */
  constructor(aws: AwsLocal, options: ReaderOptions = {}) {
    const { tableName = 'sessions', keyArn = aws.keyArns[0]!, prefix = '', hashed = false, encryptionContext = {} } = options;
    const credentials = { accessKeyId: 'record-reader', secretAccessKey: 'local' };
    this.kms = new KMSClient({ endpoint: aws.kms, region: keyArn.split(':')[3], credentials });
    this.dynamodb = new DynamoDBClient({ endpoint: aws.dynamodb, region: 'us-east-1', credentials });
    this.keyArn = keyArn;
    this.table = tableName;
    this.#prefix = prefixInTable(prefix);
    this.#hashed = hashed;
    this.#context = { ...encryptionContext, purpose: 'session-store', table: tableName, v: '2' };
  }

  partitionKey(sid: string): string {
    let key = this.#prefix + sid;
    if (this.#hashed !== false) {
      const hash = this.#hashed === true ? createHash('sha256') : createHmac('sha256', Buffer.from(this.#hashed.secret));
      key = this.#prefix + hash.update(sid, 'utf8').digest('base64url');
    } else if (this.#prefix !== '') {
      key = this.#prefix + (/^[\w.-]+[:#]/.test(sid) ? escaped(sid) : escapedSigns(sid));
    }
    return /lease:[\w-]{43}%*$/.test(key) ? `${key}%` : key;
  }

  /** The session, or `null` if there is none or it is over. Refuses whatever the page refuses. */
  async get(sid: string): Promise<any> {
    const item = await this.item(sid);
    if (item === undefined) return null;
    const now = Math.floor(Date.now() / 1000);
    if (now >= seconds(item, 'ttl') || (seconds(item, 'version') === 2 && now >= seconds(item, 'notAfter'))) return null;
    const { id, session } = this.parse(await this.open(item));
    if (id !== undefined && this.partitionKey(id) !== item.sessionId!.S) throw new Error('the record of another session');
    return session;
  }

  /** A session that ends `lifetime` seconds from now. */
  async set(sid: string, session: object, { version = 2, lifetime = 3600 }: { version?: Version; lifetime?: number } = {}) {
    await this.put(await this.record(sid, this.payload(sid, session), { version, lifetime }));
  }

  payload(sid: string, session: object): string {
    const json = JSON.stringify(session);
    return this.#hashed === false ? json : `[${JSON.stringify(sid)},${json}]`;
  }

  parse(payload: string): { id?: string; session: object } {
    if (this.#hashed === false) return { session: JSON.parse(payload) };
    const [id, session, ...more] = JSON.parse(payload);
    if (typeof id !== 'string' || more.length > 0) throw new Error('not an id and a session');
    if (!payload.startsWith('["')) throw new Error('white space between id and session');
    return { id, session };
  }

  /** The payload of a record. */
  async open(item: RecordItem): Promise<string> {
    const version = seconds(item, 'version');
    const parts = { iv: bytes(item, 'iv', 12), authTag: bytes(item, 'authTag', 16), encryptedData: bytes(item, 'encryptedData') };
    if (version === 1) return decrypt(await this.dataKey(item), parts).toString('utf8');
    if (version !== 2) throw new Error(`version ${version}`);
    const { encryptionKey, commit } = deriveKeys(await this.dataKey(item), bytes(item, 'salt', 16));
    if (!timingSafeEqual(commit, bytes(item, 'commit', 32))) throw new Error('the commitment differs');
    const aad = additionalData({ notAfter: seconds(item, 'notAfter'), table: this.table, key: item.sessionId!.S! });
    return decrypt(encryptionKey, parts, aad).toString('utf8');
  }

  /** The data key inside a record's wrapped one. */
  async dataKey(item: RecordItem): Promise<Uint8Array> {
    const wrapped = bytes(item, 'encryptedKey', 1, 6144);
    const EncryptionContext = seconds(item, 'version') === 2 ? this.#context : undefined;
    const reply = await this.kms.send(new DecryptCommand({ KeyId: this.keyArn, CiphertextBlob: wrapped, EncryptionContext }));
    return reply.Plaintext!;
  }

  /** A record with this payload, not yet in the table. */
  async record(sid: string, payload: string | Uint8Array, { version = 2 as Version, lifetime = 3600 } = {}): Promise<RecordItem> {
    const EncryptionContext = version === 2 ? this.#context : undefined;
    const request = { KeyId: this.keyArn, KeySpec: 'AES_256' as const, EncryptionContext };
    const made = await this.kms.send(new GenerateDataKeyCommand(request));
    const now = Math.floor(Date.now() / 1000);
    const common = { sessionId: { S: this.partitionKey(sid) }, version: { N: `${version}` }, ttl: { N: `${now + lifetime}` } };
    const [iv, wrapped, content] = [randomBytes(12), Buffer.from(made.CiphertextBlob!), Buffer.from(payload)];
    if (version === 1) {
      const sealed = { ...encrypt(made.Plaintext!, iv, content), iv, encryptedKey: wrapped };
      return {
        ...common,
        ...Object.fromEntries(Object.entries(sealed).map(([name, value]) => [name, { S: value.toString('base64') }])),
      };
    }
    const salt = randomBytes(16);
    const { encryptionKey, commit } = deriveKeys(made.Plaintext!, salt);
    const notAfter = now + 2 * lifetime;
    const aad = additionalData({ notAfter, table: this.table, key: common.sessionId.S });
    const sealed = { ...encrypt(encryptionKey, iv, content, aad), iv, encryptedKey: wrapped, salt, commit };
    return {
      ...common,
      notAfter: { N: `${notAfter}` },
      ...Object.fromEntries(Object.entries(sealed).map(([name, value]) => [name, { B: value }])),
    };
  }

  async put(item: RecordItem): Promise<void> {
    await this.dynamodb.send(new PutItemCommand({ TableName: this.table, Item: item }));
  }

  async item(sid: string): Promise<RecordItem | undefined> {
    const Key = { sessionId: { S: this.partitionKey(sid) } };
    return (await this.dynamodb.send(new GetItemCommand({ TableName: this.table, Key, ConsistentRead: true }))).Item;
  }

  /** Sets one attribute of a record, as a writer of the table may. */
  async change(sid: string, name: string, value: AttributeValue): Promise<void> {
    const Key = { sessionId: { S: this.partitionKey(sid) } };
    const names = { ExpressionAttributeNames: { '#name': name }, ExpressionAttributeValues: { ':value': value } };
    await this.dynamodb.send(
      new UpdateItemCommand({ TableName: this.table, Key, UpdateExpression: 'SET #name = :value', ...names }),
    );
  }

  async remove(sid: string): Promise<void> {
    const Key = { sessionId: { S: this.partitionKey(sid) } };
    await this.dynamodb.send(new DeleteItemCommand({ TableName: this.table, Key }));
  }

  close(): void {
    this.kms.destroy();
    this.dynamodb.destroy();
  }
}
