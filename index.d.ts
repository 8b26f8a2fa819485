/**
 * connect-dynamodb-kms: an express-session compatible session store on DynamoDB. Every session is sealed with AES-256-GCM under a
 * data key of its own, and AWS KMS wraps the data key.
 */

import { EventEmitter } from 'node:events';

/** A session as the web framework hands it over: anything that `JSON.stringify` can write, with the framework's `cookie`. */
export interface SessionData {
  /** The framework's cookie. Its `expires` (a `Date`, or a string or number that `new Date()` reads) bounds the session's life. */
  cookie?: any;
  [key: string]: any;
}

/** Every `code` that a {@link SessionStoreError} of this package carries; one for each thing that a caller can do about it. */
export type SessionStoreErrorCode =
  /**
   * An option, an argument such as the session id, or the folder of the local mode cannot be used (another process has it open, its key file
   * is open to others or lost). The message names it and says what to do.
   */
  | 'ERR_CONFIG'
  /** KMS did not answer. Sessions whose data key is cached still open. Try again. */
  | 'ERR_KMS_UNAVAILABLE'
  /** KMS refuses for now because of its request quota. Try again later, or raise the quota. */
  | 'ERR_KMS_THROTTLED'
  /** The KMS key is disabled, pending deletion, absent, or not a symmetric encryption key. Enable it, or correct `kmsKeyArn`. */
  | 'ERR_KMS_KEY_UNUSABLE'
  /** DynamoDB, or the file of the local mode, did not answer. Try again. */
  | 'ERR_DYNAMODB_UNAVAILABLE'
  /** DynamoDB refuses for now because of the table's or the account's capacity. Try again later, or raise the capacity. */
  | 'ERR_DYNAMODB_THROTTLED'
  /** The table does not exist in this account and region. Create it, or correct `tableName` or `region`. */
  | 'ERR_TABLE_NOT_FOUND'
  /** The table's key is not `sessionId` of type String without a sort key, or its status is not ACTIVE. */
  | 'ERR_TABLE_SCHEMA'
  /** The credentials lack a permission. The message names the IAM action. */
  | 'ERR_ACCESS_DENIED'
  /** No credentials were found, or AWS does not accept them (unknown, expired, badly signed). */
  | 'ERR_CREDENTIALS'
  /** The record is not one that this store wrote, or it was changed since, or another KMS key sealed it. Nothing was deleted. */
  | 'ERR_INTEGRITY'
  /** The record has a version that `acceptVersions` leaves out, or that this release does not know. Add it there, or upgrade the package. */
  | 'ERR_VERSION'
  /** The sealed session would not fit into a DynamoDB item (409,600 bytes). The message has both sizes. Nothing was sent. */
  | 'ERR_SESSION_TOO_LARGE'
  /** The session cannot be written as JSON, or what was sealed is not a JSON object. */
  | 'ERR_SERIALIZATION'
  /** The store is closed. */
  | 'ERR_CLOSED';

/** The error of every failing call of this package. Its text never holds a key, a session's content or a whole session id. */
export class SessionStoreError extends Error {
  readonly name: 'SessionStoreError';
  readonly code: SessionStoreErrorCode;
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** The error below, such as AWS's: `name` is its code (`AccessDeniedException`), with `message` and, where there is one, `requestId`. */
  readonly cause?: unknown;
  private constructor();
}

/** The item in the DynamoDB table; docs/record-format.md describes it. All strings but `sessionId` are base64; version 2 stores them as bytes. */
export interface EncryptedSessionRecord {
  /** The table's HASH key: `prefix` and the session id, or a hash of it under `hashSessionIds`. */
  sessionId: string;
  /** The session's JSON, encrypted. */
  encryptedData: string;
  /** The session's data key, wrapped by KMS. */
  encryptedKey: string;
  /** The 12 bytes that AES-256-GCM was started with; new for every write. */
  iv: string;
  /** AES-256-GCM's authentication tag, 16 bytes; new for every write. */
  authTag: string;
  /** When the session ends, in epoch seconds: the attribute for DynamoDB's Time to Live. */
  ttl: number;
  /** 1 or 2. */
  version: number;
  /** Version 2: the last moment that the session may live to, in epoch seconds. */
  notAfter?: number;
  /** Version 2: the 16 bytes that the keys were derived with; random, and kept while the data key is in memory. */
  salt?: string;
  /** Version 2: what ties the record to its data key, 32 bytes. */
  commit?: string;
}

/** What {@link encryptSessionData} gives, all base64. */
export interface EncryptionResult {
  encryptedData: string;
  encryptedKey: string;
  iv: string;
  authTag: string;
}

/** An opaque handle of a shared AWS client; see {@link kmsClient} and {@link docClient}. */
export interface AwsClientHandle {
  readonly service: 'kms' | 'dynamodb';
}

/** Where the store logs to: `console`, pino, or anything with these two methods. Called with one string. */
export interface SessionStoreLogger {
  /** Every failing call. */
  warn(message: string): void;
  /** Every expired session that was asked for. */
  debug(message: string): void;
}

/** What bounds the cache of data keys. Each is a whole number from 1. */
export interface KeyCacheLimits {
  /** How many data keys are kept. Default 10,000. */
  maxEntries?: number;
  /** How many seconds a data key is kept at most, less up to a tenth at random; use does not prolong it. Default 3,600. */
  maxAgeSeconds?: number;
  /** How many times a process seals under one data key. Default 1,048,576 (2^20). */
  maxSealsPerKey?: number;
  /** How many bytes a process seals under one data key. Default 68,719,476,736 (2^36). */
  maxBytesPerKey?: number;
  /**
   * How many seconds pass at least between two revocation checks: while there is traffic, one cached key is unwrapped again, and if KMS refuses, the
   * whole cache is emptied. Default 60.
   */
  revocationCheckSeconds?: number;
}

/** What {@link DynamoDBSessionStore.stats} gives: counts since the store was made. */
export interface SessionStoreStats {
  keyCache: {
    /** Data keys in the cache now. */
    entries: number;
    /** Uses of a cached data key. */
    hits: number;
    /** Uses that found none. */
    misses: number;
    /** Data keys that KMS made or unwrapped. */
    loads: number;
    /** Calls to make or unwrap one that failed. */
    loadFailures: number;
    /** Data keys that were let go of: for room, for age, or because a session was destroyed. */
    evictions: number;
    /** Revocation checks that found the key usable. */
    checksUsable: number;
    /** Revocation checks that found it taken away; each emptied the cache. */
    checksRevoked: number;
    /** Revocation checks that got no answer; nothing was done. */
    checksUnknown: number;
  };
}

export interface SessionStoreConfig {
  /** The DynamoDB table. Default {@link SESSIONS_TABLE}. */
  tableName?: string;
  /**
   * How many seconds a session lives after a save or a touch, 1 to 315,360,000 (ten years), or a function of the session that gives
   * them. Default 604,800 (7 days). An earlier `cookie.expires` ends it earlier.
   */
  ttlSeconds?: number | ((session: SessionData) => number);
  /**
   * The KMS key that wraps the data keys: a key ARN or an alias ARN. Of a list the first wraps and all unwrap, for a change of the key or the
   * account: a session moves to the first with its next save. KMS is called in the region of each ARN. Default {@link KMS_KEY_ARN}.
   */
  kmsKeyArn?: string | string[];
  /** The AWS region of the table and the key. Default {@link AWS_REGION}. */
  region?: string;
  /** One URL for both services, for local servers. Default: `AWS_ENDPOINT_URL`, else AWS's own. */
  endpoint?: string;
  /** DynamoDB's URL. Default: `endpoint`, else `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL`, else AWS's own. */
  dynamodbEndpoint?: string;
  /** KMS's URL. Default: `endpoint`, else `AWS_ENDPOINT_URL_KMS`, else `AWS_ENDPOINT_URL`, else AWS's own. */
  kmsEndpoint?: string;
  /** The profile of the AWS configuration files; goes before credentials in the environment. Default: the default chain, with `AWS_PROFILE`. */
  profile?: string;
  /** The ARN of an IAM role to assume for every call. Default: none, the credentials of the default chain are used as they are. */
  roleArn?: string;
  /** Stands before every session id in the table, so that several applications share one. Default: ''. */
  prefix?: string;
  /**
   * `true` (default): a session keeps its data key, and data keys are cached in memory within {@link KeyCacheLimits}. `'strict'`: the same with
   * 1,000 entries, 60 seconds, 1,024 seals, 1 GiB and a check every 10 seconds. `false`: a new data key at every save, an unwrapping at every
   * read.
   */
  keyCache?: boolean | 'strict' | KeyCacheLimits;
  /**
   * The version of the records that the store writes. Default 1, the interchange format of plain implementations. 2 is bound to its table,
   * session and end of life, and committed to its data key: take it for every new table.
   */
  recordVersion?: 1 | 2;
  /** The versions that the store reads; must contain `recordVersion`. Others fail with `ERR_VERSION`. Default [1, 2]. */
  acceptVersions?: Array<1 | 2>;
  /**
   * Joins the KMS encryption context of version 2 records (which has `purpose`, `table` and `v`). It stands in CloudTrail in plaintext, and must
   * not change while there are sessions.
   */
  encryptionContext?: Record<string, string>;
  /**
   * `true`: the table holds the SHA-256 of session ids in place of the ids. With a secret of at least 16 bytes: their HMAC-SHA256, for ids short
   * enough to be guessed. `ids` then opens every session. Default `false`. A change makes the sessions that there are unknown.
   */
  hashSessionIds?: boolean | { secret: string };
  /** Default: `console`. */
  logger?: SessionStoreLogger;
  /** The shared handle {@link kmsClient}. It has the environment's settings, so it excludes `region`, `profile`, `roleArn` and KMS endpoints. */
  kmsClient?: AwsClientHandle;
  /** The shared handle {@link docClient}. It has the environment's settings, so it excludes `region`, `profile`, `roleArn` and DynamoDB endpoints. */
  docClient?: AwsClientHandle;
  /**
   * Local mode, for development and tests: no AWS account and no network. `path` is a folder, made on first use, for `sessions.redb` and
   * the `key` file (mode 0600) that wraps the data keys. One process at a time. The options about AWS are
   * checked, but not used.
   */
  local?: { path: string };
}

/**
 * The session store. It is express-session's `Store` where that package is installed beside this one, else an `EventEmitter`.
 *
 * Every method takes a callback and returns nothing, or returns a promise when it is given none. A callback runs exactly once,
 * asynchronously. No method throws; failures reach the callback or the promise as {@link SessionStoreError}. The codes
 * `ERR_KMS_UNAVAILABLE`, `ERR_KMS_THROTTLED`, `ERR_KMS_KEY_UNUSABLE`, `ERR_DYNAMODB_UNAVAILABLE`, `ERR_DYNAMODB_THROTTLED`,
 * `ERR_TABLE_NOT_FOUND`, `ERR_TABLE_SCHEMA`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS` and `ERR_CLOSED` may come from any of them;
 * those named at a method may come from it as well. A session id is a non-empty string of at most 2,048 UTF-8 bytes together
 * with `prefix`, without lone surrogates; another one fails with `ERR_CONFIG`.
 *
 * Time is `Date.now()`, so a test that fakes the `Date` can turn the store's clock.
 */
export class DynamoDBSessionStore extends EventEmitter {
  /**
   * Checks the options; connects to nothing, opens nothing.
   * @throws {SessionStoreError} `ERR_CONFIG`, naming the option that is unknown, mistyped or contradicts another.
   */
  constructor(config?: SessionStoreConfig);

  /**
   * Reads a session: a new object, equal to what `JSON.parse(JSON.stringify(session))` made of the saved one; `cookie.expires` moves only
   * if a touch extended the session past it. `null` if there is none or it has expired. One consistent GetItem; a KMS Decrypt
   * only if the data key is not cached.
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, `ERR_CONFIG`.
   */
  get(sid: string, callback: (error: any, session?: any) => void): void;
  get(sid: string): Promise<SessionData | null>;

  /**
   * Saves a session, new or known, in one PutItem; asks KMS for a data key only if none is cached for this session. It ends
   * `ttlSeconds` from now or at `cookie.expires`, whichever comes first.
   * Fails with `ERR_SERIALIZATION`, `ERR_SESSION_TOO_LARGE`, `ERR_CONFIG`, in which cases nothing is written.
   */
  set(sid: string, session: SessionData, callback: ((error?: any) => void) | undefined): void;
  set(sid: string, session: SessionData): Promise<void>;

  /**
   * Moves a session's end as `set` would, without rewriting its content: one UpdateItem of `ttl`. Where a record of version 2 does not let
   * the session live that long (after twice its lifetime), it is sealed again, on condition that nobody wrote it meanwhile. A session that is gone stays
   * gone, one that has ended stays so, and both are a success.
   * Fails with `ERR_CONFIG`.
   */
  touch(sid: string, session: SessionData, callback: ((error?: any) => void) | undefined): void;
  touch(sid: string, session: SessionData): Promise<void>;

  /** Removes a session and wipes its cached data key. Removing one that is gone is a success. Fails with `ERR_CONFIG`. */
  destroy(sid: string, callback: ((error?: any) => void) | undefined): void;
  destroy(sid: string): Promise<void>;

  /**
   * Every live session of this store (its `prefix`), each with its `id` as an extra property. Reads the whole table: for small tables
   * and administration.
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION` if one of the records cannot be opened.
   */
  all(callback: (error: any, sessions?: any) => void): void;
  all(): Promise<Array<SessionData & { id: string }>>;

  /**
   * The ids of every live session of this store. Reads the whole table's keys and asks nothing of KMS; under `hashSessionIds` it opens every
   * session, and fails as `all` does.
   */
  ids(callback: (error: any, ids?: any) => void): void;
  ids(): Promise<string[]>;

  /** How many live sessions this store has. Reads the whole table's keys; asks nothing of KMS. */
  length(callback: (error: any, length?: any) => void): void;
  length(): Promise<number>;

  /** Removes every session of this store, expired ones too, in batches. Other items of the table stay. */
  clear(callback: ((error?: any) => void) | undefined): void;
  clear(): Promise<void>;

  /**
   * For a readiness probe: succeeds if the table is ACTIVE with the right key schema, and the KMS key makes and unwraps a data key
   * (DescribeTable, GenerateDataKey, Decrypt).
   */
  ping(callback: ((error?: any) => void) | undefined): void;
  ping(): Promise<void>;

  /**
   * The record as it lies in the table, still sealed, or `null`: for support and for showing what a reader of the table sees.
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_CONFIG`.
   */
  record(sid: string, callback: (error: any, record?: any) => void): void;
  record(sid: string): Promise<EncryptedSessionRecord | null>;

  /** What happened so far. Also of a closed store. */
  stats(): SessionStoreStats;

  /** Waits for the calls in flight, wipes the cached data keys and refuses further calls (`ERR_CLOSED`). May be called again. */
  close(callback: ((error?: any) => void) | undefined): void;
  close(): Promise<void>;

  /** express-session's own; there only if express-session is installed. */
  regenerate(req: any, callback: (error?: any) => any): void;
  /** express-session's own; there only if express-session is installed. */
  load(sid: string, callback: (error: any, session?: any) => any): void;
  /** express-session's own; there only if express-session is installed. */
  createSession(req: any, session: any): any;
}

/**
 * Encrypts a text with AES-256-GCM under a fresh data key from KMS ({@link KMS_KEY_ARN}, GenerateDataKey).
 * @param data the text, without lone surrogates.
 * @throws {SessionStoreError} (rejects) `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`; `ERR_SERIALIZATION` if `data` is no well-formed string.
 */
export function encryptSessionData(data: string): Promise<EncryptionResult>;

/**
 * Decrypts what {@link encryptSessionData} gave, or the four attributes of a version 1 record, all canonical base64.
 * @throws {SessionStoreError} (rejects) `ERR_INTEGRITY` if anything was changed or malformed; `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`.
 */
export function decryptSessionData(encryptedData: string, encryptedKey: string, iv: string, authTag: string): Promise<string>;

/** The environment's `KMS_KEY_ARN` when this module was loaded, else `arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a`. */
export const KMS_KEY_ARN: string;

/** The environment's `SESSIONS_TABLE` when this module was loaded, else `mcp-gateway-sessions`. */
export const SESSIONS_TABLE: string;

/** The environment's `AWS_REGION` when this module was loaded, else `us-east-1`. */
export const AWS_REGION: string;

/** The process's KMS client with the environment's settings, made on first use. */
export const kmsClient: AwsClientHandle;

/** The process's DynamoDB client with the environment's settings, made on first use. */
export const docClient: AwsClientHandle;
