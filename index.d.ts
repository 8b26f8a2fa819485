/**
 * connect-dynamodb-kms: an express-session compatible session store on DynamoDB. Every session is sealed with AES-256-GCM under a
 * data key of its own, and AWS KMS wraps the data key.
 */

import { EventEmitter } from 'node:events';

/** A session as the web framework hands it over: anything that `JSON.stringify` can write, with the framework's `cookie`. */
export interface SessionData {
  /** The framework's cookie. */
  cookie?: SessionCookie;
  [key: string]: any;
}

/** The cookie of a session, as express-session and @fastify/session have it. The store reads `expires` alone and keeps everything. */
export interface SessionCookie {
  /** Ends the session: a `Date`, or a string or number that `new Date()` reads. In a session that `get` gave, it is a string. */
  expires?: Date | string | number | null | undefined;
  /** The cookie's lifetime in milliseconds when it was set. */
  originalMaxAge?: number | null | undefined;
  [key: string]: any;
}

/** Every `code` that a {@link SessionStoreError} of this package carries; one for each thing that a caller can do about it. */
export type SessionStoreErrorCode =
  /**
   * An option, an argument such as the session id, or the folder of the local mode cannot be used (another process has it open, its key file
   * is open to others or lost). The detail names it and says what to do.
   */
  | 'ERR_CONFIG'
  /** KMS did not answer within {@link Timeouts}. Sessions whose data key is cached still open. Try again. */
  | 'ERR_KMS_UNAVAILABLE'
  /** KMS refuses for now because of its request quota. Try again later, or raise the quota. */
  | 'ERR_KMS_THROTTLED'
  /** The KMS key is disabled, pending deletion, absent, or not a symmetric encryption key. Enable it, or correct `kmsKeyArn`. */
  | 'ERR_KMS_KEY_UNUSABLE'
  /** DynamoDB did not answer within {@link Timeouts}, or the file of the local mode cannot be used. Try again. */
  | 'ERR_DYNAMODB_UNAVAILABLE'
  /** DynamoDB refuses for now because of the table's or the account's capacity. Try again later, or raise the capacity. */
  | 'ERR_DYNAMODB_THROTTLED'
  /** The table does not exist in this account and region. Create it, or correct `tableName` or `region`. */
  | 'ERR_TABLE_NOT_FOUND'
  /** The table's key is not `sessionId` of type String without a sort key, or its status is not ACTIVE. */
  | 'ERR_TABLE_SCHEMA'
  /** The credentials lack a permission. The detail names the IAM action, and the table or the key. */
  | 'ERR_ACCESS_DENIED'
  /**
   * No credentials were found in time, they cannot sign a request, or AWS does not accept them (unknown, expired, badly signed). Retryable if the service that
   * issues them (AWS STS, SSO, a container's or an instance's endpoint) did not answer in time or failed.
   */
  | 'ERR_CREDENTIALS'
  /** The record is not one that this store wrote, or it was changed since, or another KMS key sealed it. Nothing was deleted. */
  | 'ERR_INTEGRITY'
  /** The record has a version that `acceptVersions` leaves out, or that this release does not know. Add it there, or upgrade the package. */
  | 'ERR_VERSION'
  /** The sealed session would not fit into a DynamoDB item (409,600 bytes). The detail has both sizes. Nothing was sent. */
  | 'ERR_SESSION_TOO_LARGE'
  /** The session cannot be written as JSON, or what was sealed is not a JSON object. */
  | 'ERR_SERIALIZATION'
  /**
   * Somebody else has changed the session since it was read (`onConflict: 'error'`, {@link DynamoDBSessionStore.update}), or the session given to
   * `update` has changes that are not saved. Read it again and repeat the change. Retryable from `update` whose deadline passed.
   */
  | 'ERR_CONFLICT'
  /** The session given to {@link DynamoDBSessionStore.update} was never saved. Save it first. */
  | 'ERR_NOT_SAVED'
  /** Another holder kept the lease for as long as {@link DynamoDBSessionStore.withLock} waited. Try again. */
  | 'ERR_LOCK_TIMEOUT'
  /** As many calls as `maxCallsInFlight` allows are waiting for an answer already. Nothing was sent. Try again later. */
  | 'ERR_OVERLOADED'
  /** A defect of this package or of a library in it: a panic, whose place stands on the process's standard error. Report it. */
  | 'ERR_INTERNAL'
  /** The store is closed, or was closed while the call read the whole table. */
  | 'ERR_CLOSED';

/**
 * The error of every failing call of this package. Nothing in it holds a key, a session's content or a whole session id.
 *
 * `message` is for whoever made the request: web frameworks send it to the browser. It is the same text for each code, and names no table, key, account, region,
 * path or option. `detail` and `cause` are for the operator. `inspect`, `console.error` and pino show both; a response in which a framework or `JSON.stringify` writes
 * the error holds neither. What copies an error property by property (`{ ...error }`) copies `detail`, too: do not send that.
 */
export class SessionStoreError extends Error {
  readonly name: 'SessionStoreError';
  readonly code: SessionStoreErrorCode;
  /** What kind of failure it is, safe to show to a visitor. */
  readonly message: string;
  /** What failed and what to do about it, with the table, the key's ARN, the IAM action, the option or the folder that it is about. Also in the store's log. */
  readonly detail: string;
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** The status that Fastify, Express and Koa answer a request with that ends in this error: 503 if it is retryable, else 500. */
  readonly statusCode: 500 | 503;
  /** How many milliseconds the service asks its callers to wait before they try again (`x-amz-retry-after`, `Retry-After` in seconds), where it says so. */
  readonly retryAfterMillis?: number;
  /** The error below, such as AWS's: `name` is its code (`AccessDeniedException`), with `message` and, where there is one, `requestId`. */
  readonly cause?: unknown;
  /** For `JSON.stringify` and `response.json(error)`: without `detail` and `cause`. */
  toJSON(): Pick<SessionStoreError, 'statusCode' | 'code' | 'message' | 'retryable' | 'retryAfterMillis'>;
  /**
   * Makes an error as the store's calls fail with, for the tests of an application. `message`, `statusCode` and, if it is left out, `retryable` follow from `code`.
   * @throws {TypeError} for a code that this package does not have.
   */
  constructor(failure: SessionStoreFailure);
}

/** What a {@link SessionStoreError} is made of. */
export interface SessionStoreFailure {
  code: SessionStoreErrorCode;
  /** Default `''`. */
  detail?: string | undefined;
  /** Default: as the store's own error of this code. `ERR_CONFLICT` is retryable from `update` alone; the default is `false`. */
  retryable?: boolean | undefined;
  retryAfterMillis?: number | undefined;
  cause?: unknown;
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
  /** Failing calls: at most one line a minute for each operation and code, with the number of those that were left out since the last one. */
  warn(message: string): void;
  /** Every expired session that was asked for. */
  debug(message: string): void;
}

/** What bounds the cache of data keys. Each is a whole number from 1. */
export interface KeyCacheLimits {
  /** How many data keys are kept. Default 10,000. */
  maxEntries?: number | undefined;
  /** How many seconds a data key is kept at most, less up to a tenth at random; use does not prolong it. Default 3,600. */
  maxAgeSeconds?: number | undefined;
  /** How many times a process seals under one data key, counted anew each time that it reads the key. Default 1,048,576 (2^20). */
  maxSealsPerKey?: number | undefined;
  /** How many bytes a process seals under one data key. Default 68,719,476,736 (2^36). */
  maxBytesPerKey?: number | undefined;
  /**
   * How many seconds pass at least between two revocation checks: while there is traffic, one cached key is unwrapped again, and if KMS refuses, the
   * whole cache is emptied. Default 60.
   */
  revocationCheckSeconds?: number | undefined;
}

/**
 * How long a call may take, in milliseconds: whole numbers from 1 to 60,000. Each is a part of the next, and must not exceed it; one that is left out is its
 * default, or less where the next one is less.
 */
export interface Timeouts {
  /** To connect, TLS included. Default 1,000. */
  connectMillis?: number | undefined;
  /** For one attempt of a request, connecting included. Default 2,000. */
  attemptMillis?: number | undefined;
  /**
   * For a call of the store with all its requests, their retries, and whatever it waits for: credentials, or the data key that another call is unwrapping. `all`, `ids`,
   * `length` and `clear` have it for each of their requests instead; `update` for each read and each write; `withLock` for each request about the lease. Default 5,000.
   */
  callMillis?: number | undefined;
}

/** Requests of a store to one service. */
export interface RequestCounts {
  /** All of them. */
  sent: number;
  /** Those that repeated an earlier one, by the AWS SDK's rules. */
  retries: number;
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
  /** What became of sessions that were saved, touched or updated. */
  sessions: {
    /** Written whole: new ones, and known ones whose content had changed. */
    written: number;
    /** Unchanged, and their end was moved. */
    extended: number;
    /** Unchanged, and their end was near enough: nothing was sent. */
    unchanged: number;
    /** Gone by then (logged out, or expired and unchanged), and left so; or saved with an end that has passed, and removed. */
    gone: number;
    /** Changed by somebody else since they were read, whatever `onConflict` made of it. */
    conflicts: number;
  };
  /** What became of the leases of `withLock`; each is told in the log, too. */
  leases: {
    /** Ended before their task did. */
    lost: number;
    /** Renewals that failed; each is tried again as long as the lease lasts. */
    notRenewed: number;
    /** Leases that could not be given back, and ended by themselves. */
    notReleased: number;
  };
  /** What was sent to AWS, revocation checks included. */
  requests: { dynamodb: RequestCounts; kms: RequestCounts };
  /** Failed calls by their code; a code that never came is not there. */
  errors: Partial<Record<SessionStoreErrorCode, number>>;
  /** Calls that wait for an answer now, without `withLock`. */
  callsInFlight: number;
  /** Calls of `withLock` whose task runs now, or waits for the lease, and those that gave up while a request of theirs is still under way. */
  tasksInFlight: number;
}

/** What the event `conflict` tells. */
export interface SessionConflict {
  /** The SHA-256 of the session id in hexadecimal digits; logs show the first 8. */
  session: string;
  /** What `onConflict` made of it. */
  resolution: 'overwritten' | 'refused' | 'dropped';
}

/** Options of {@link DynamoDBSessionStore.get}. */
export interface GetOptions {
  /** Ends the waiting: the promise rejects with the signal's reason at once. */
  signal?: AbortSignal | undefined;
}

/** What {@link DynamoDBSessionStore.update} calls: changes the session in place and gives nothing, or gives the whole session to write. */
// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return is what most callers write
export type SessionMutation<T> = (session: T) => T | undefined | void | PromiseLike<T | undefined | void>;

/** Options of {@link DynamoDBSessionStore.update}. */
export interface UpdateOptions {
  /** After how many seconds no further attempt is made, 0 to 3,600. Default 5. */
  deadlineSeconds?: number | undefined;
}

/** Options of {@link DynamoDBSessionStore.withLock}. */
export interface LockOptions {
  /** How many seconds the lease lasts if its holder dies, 1 to 3,600; it is renewed while the task runs. Default 10. */
  leaseSeconds?: number | undefined;
  /** How many seconds to wait for the lease, 0 to 3,600. Default 10. */
  waitSeconds?: number | undefined;
  /** Ends the waiting, and aborts the task's signal. */
  signal?: AbortSignal | undefined;
}

/** The options of {@link DynamoDBSessionStore}. `T` is the type of the sessions. */
export interface SessionStoreConfig<T extends SessionData = SessionData> {
  /** The DynamoDB table. Default {@link SESSIONS_TABLE}. */
  tableName?: string | undefined;
  /**
   * How many seconds a session lives at most after a save or a touch, 1 to 315,360,000 (ten years), or a function of the session that gives
   * them. An earlier `cookie.expires` ends it earlier. Default: the session lives as long as its cookie, ten years at most, or 604,800 seconds (7 days)
   * where the cookie has no end.
   */
  ttlSeconds?: number | ((session: T) => number) | undefined;
  /**
   * The KMS key that wraps the data keys: a key ARN or an alias ARN. Of a list the first wraps and all unwrap, for a change of the key or the
   * account: a session moves to the first with its next save. KMS is called in the region of each ARN. Default {@link KMS_KEY_ARN}.
   * A fleet changes its key in three deployments, `[old, new]`, `[new, old]`, `[new]`; the README says when each may follow.
   */
  kmsKeyArn?: string | string[] | undefined;
  /**
   * The AWS region of the table; a KMS key is asked in the region of its ARN. Default: the environment's `AWS_REGION`, else the `region` of the profile that
   * counts (or of its `source_profile`), else `us-east-1`. `AWS_DEFAULT_REGION` is not read.
   */
  region?: string | undefined;
  /** One URL for both services, for local servers. Default: `AWS_ENDPOINT_URL`, else AWS's own. */
  endpoint?: string | undefined;
  /** DynamoDB's URL. Default: `endpoint`, else `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL`, else AWS's own. */
  dynamodbEndpoint?: string | undefined;
  /** KMS's URL. Default: `endpoint`, else `AWS_ENDPOINT_URL_KMS`, else `AWS_ENDPOINT_URL`, else AWS's own. */
  kmsEndpoint?: string | undefined;
  /**
   * The profile of the AWS configuration files, of any kind: keys, `role_arn` with `source_profile` or `credential_source`, `web_identity_token_file`,
   * `credential_process` or SSO. Goes before credentials in the environment. Default: the default chain, with `AWS_PROFILE`.
   */
  profile?: string | undefined;
  /** The ARN of an IAM role to assume for every call. Default: none, the credentials of the default chain are used as they are. */
  roleArn?: string | undefined;
  /**
   * Stands before every session id in the table, so that several applications share one: each lists, reads and clears its own sessions alone. End it with `:` or `#`; one
   * that does not, such as `app`, stands as `app%:`. Behind a prefix, an id that starts as a longer prefix would, such as `admin:x`, is escaped (docs/record-format.md). Default: '', the whole table: such a store lists and clears
   * the sessions of every prefix, with their keys as ids, unless `hashSessionIds` is set. At most 1,024 bytes.
   */
  prefix?: string | undefined;
  /**
   * `true` (default): a session keeps its data key, and data keys are cached in memory within {@link KeyCacheLimits}. `'strict'`: the same with
   * 1,000 entries, 60 seconds, 1,024 seals, 1 GiB and a check every 10 seconds. `false`: a new data key at every save, an unwrapping at every
   * read.
   */
  keyCache?: boolean | 'strict' | KeyCacheLimits | undefined;
  /**
   * The version of the records that the store writes. Default 1, the interchange format of plain implementations. 2 is bound to its table,
   * session and end of life, and committed to its data key: take it for every new table. Left out, the first store of a process says so at `warn`.
   */
  recordVersion?: 1 | 2 | undefined;
  /**
   * The versions that the store reads; must contain `recordVersion`. Others fail with `ERR_VERSION`, unless the session has
   * ended: that is no session in whatever version. Default [1, 2].
   */
  acceptVersions?: Array<1 | 2> | undefined;
  /**
   * Joins the KMS encryption context of version 2 records (which has `purpose`, `table` and `v`). It stands in CloudTrail in plaintext, and must
   * not change while there are sessions.
   */
  encryptionContext?: Record<string, string> | undefined;
  /**
   * `true`: the table holds the SHA-256 of session ids in place of the ids. With a secret of at least 16 bytes: their HMAC-SHA256, for ids short
   * enough to be guessed. `ids` then opens every session. Default `false`. A change makes the sessions that there are unknown.
   */
  hashSessionIds?: boolean | { secret: string } | undefined;
  /**
   * How many seconds pass at least between two moves of the end of a session whose content does not change; never more than a tenth of its
   * lifetime. 0 moves it with every request. Default 60.
   */
  touchAfter?: number | undefined;
  /**
   * What a save does to a session that somebody else has changed since it was read. `'overwrite'` (default): the last write wins. `'error'`: it fails with
   * `ERR_CONFLICT`. `'drop'`: it does nothing. The event `conflict` tells of each. With the latter two, `get` adds the property `sessionRevision` to
   * sessions, which never appears in their JSON: it carries the revision through frameworks that copy sessions.
   */
  onConflict?: 'overwrite' | 'error' | 'drop' | undefined;
  /**
   * What a read makes of a record that fails its integrity check. `'error'` (default): it fails with `ERR_INTEGRITY`, and so does every request of that browser
   * until its cookie is gone. `'missing'`: there is no session. `'destroy'`: the record is removed as well, if it is one of the store's kind and nobody writes it
   * meanwhile; so are records that a wrong configuration cannot open: another `kmsKeyArn` or `encryptionContext`. Each is counted in `stats().errors` and logged once a minute.
   */
  onIntegrityFailure?: 'error' | 'missing' | 'destroy' | undefined;
  /**
   * How many sessions' records are remembered by their id, for frameworks that copy sessions and whose copies do not tell what they were read from
   * (@fastify/session up to 11.1.1). Between the read and the save of one request there must not be reads of more other sessions than this, or the save is
   * taken for one of a new session. Default 10,000 (about 3 MB).
   */
  maxRecentSessions?: number | undefined;
  /** How long calls of AWS may take. */
  timeouts?: Timeouts | undefined;
  /**
   * How many calls may wait for an answer at a time, those that wait for an earlier write of their session included; one more fails with
   * `ERR_OVERLOADED` at once, so that an outage does not fill the memory. Calls of `withLock` are counted apart, up to the same number, so that
   * those that wait for a lease do not stop what the task under it does. Default 1,000 (about 100 MB while none is answered).
   */
  maxCallsInFlight?: number | undefined;
  /**
   * Whether the Fastify applications of this process are guarded as {@link guardReplies} says, once this store is made. Default `true`. With `false`, an
   * application that relies on the session store in memory may run the handlers that its hooks refuse.
   */
  guardReplies?: boolean | undefined;
  /** Default: `console`. */
  logger?: SessionStoreLogger | undefined;
  /** The shared handle {@link kmsClient}. It has the environment's settings, so it excludes `region`, `profile`, `roleArn` and KMS endpoints. */
  kmsClient?: AwsClientHandle | undefined;
  /** The shared handle {@link docClient}. It has the environment's settings, so it excludes `region`, `profile`, `roleArn` and DynamoDB endpoints. */
  docClient?: AwsClientHandle | undefined;
  /**
   * Local mode, for development and tests: no AWS account and no network. `path` is a folder, made on first use, for `sessions.redb` and
   * the `key` file (mode 0600) that wraps the data keys; a folder that holds nothing else gets a `.gitignore` that leaves it out. One process at a time. The options
   * about AWS are checked, but not used.
   */
  local?: { path: string } | undefined;
}

/**
 * The session store. It is express-session's `Store` where that package is installed beside this one, else an `EventEmitter`.
 *
 * Every method takes a callback and returns nothing, or returns a promise when it is given none. A callback runs exactly once: before the call
 * returns where `set` or `touch` has nothing to wait for, and asynchronously everywhere else. No method throws of itself; failures reach the callback or
 * the promise as {@link SessionStoreError}. What a callback throws goes on to whoever is above it, as from the frameworks' own stores, but for
 * `ERR_HTTP_HEADERS_SENT`: that says that a response was sent while its session was being saved, and is one warning a minute. A promise that nobody
 * looks at rejects into the log alone, never into an unhandledRejection. The codes
 * `ERR_KMS_UNAVAILABLE`, `ERR_KMS_THROTTLED`, `ERR_KMS_KEY_UNUSABLE`, `ERR_DYNAMODB_UNAVAILABLE`, `ERR_DYNAMODB_THROTTLED`,
 * `ERR_TABLE_NOT_FOUND`, `ERR_TABLE_SCHEMA`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`, `ERR_CONFIG`, `ERR_OVERLOADED`, `ERR_INTERNAL` and `ERR_CLOSED` may come from any of them;
 * those named at a method may come from it as well. A session id is a non-empty string of at most 2,048 UTF-8 bytes together
 * with `prefix`, without lone surrogates; another one fails with `ERR_CONFIG`. Methods may be taken out of the store and called on their own.
 * Writes to one session are sent in the order in which they were asked for, and what reads a session (`get`, `update`, `record`) waits for the writes of
 * it that this process was asked for before.
 *
 * A session is *known* if this process has read or written it: express-session's and @fastify/session's own objects, and any object that `get` gave,
 * that was saved. A known session that is gone from the table stays gone; its payload is written again only if its content has changed. A plain object
 * that the store does not know is a new session, also after `destroy`.
 *
 * Event `conflict` ({@link SessionConflict}): a save met a session that somebody else has changed since it was read. `connect`, `disconnect` and `error`
 * are never emitted: the store connects with the first call and again when it must, and express-session serves requests without
 * sessions after `disconnect`. An outage is an error of the calls that meet it.
 *
 * Time is `Date.now()`, so a test that fakes the `Date` can turn the store's clock. Fake timers (`setTimeout`, `setImmediate`, `process.nextTick`) leave the store alone: it has its
 * own, taken when it is loaded. Mock timers of `node:test` must be enabled after that.
 */
export class DynamoDBSessionStore<T extends SessionData = SessionData> extends EventEmitter {
  /**
   * Checks the options; connects to nothing, opens nothing.
   * @throws {SessionStoreError} `ERR_CONFIG`, whose `detail` names the option that is unknown, mistyped or contradicts another.
   */
  constructor(config?: SessionStoreConfig<T>);

  /**
   * Reads a session: a new object, equal to what `JSON.parse(JSON.stringify(session))` made of the saved one; `cookie.expires` moves only
   * if a touch extended the session past it. `null` if there is none or it has expired. One consistent GetItem; a KMS Decrypt
   * only if the data key is not cached.
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, `ERR_CONFIG`.
   */
  get(sid: string, callback: (error: any, session?: T | null) => void): void;
  /** As the frameworks' types have it: their session is the one that the application declares. */
  get(sid: string, callback: (error: any, session?: any) => void): void;
  get(sid: string, options?: GetOptions): Promise<T | null>;

  /**
   * Saves a session. A new one, or a known one whose content has changed: one PutItem; KMS is asked for a data key only if none is cached for it. A known one
   * whose content is the same, the cookie's expiry apart: as {@link touch}. A known one that is gone: nothing, and that is a success. (One that has ended
   * and that DynamoDB has not deleted yet is gone, too, unless its content has changed: then it is saved.) It
   * ends `ttlSeconds` from now or at `cookie.expires`, whichever comes first. If that has passed, as of `cookie.expires = new Date(0)`, the session is removed: one
   * DeleteItem, on the condition that the save would have had.
   *
   * With a callback, a known session whose content is the same (up to 16,384 characters of JSON, any size behind @fastify/session) or that is known to be
   * gone is answered before `set` returns. If its end is due, that moves in the background: in order with the session's other writes, counted in
   * `stats().callsInFlight`, waited for by {@link DynamoDBSessionStore.close}, left out while `maxCallsInFlight` calls wait; its failure is counted and
   * logged, and is never the caller's. New and changed sessions, and those to be sealed again, are answered when they are stored.
   * Fails with `ERR_SERIALIZATION`, `ERR_SESSION_TOO_LARGE`, `ERR_CONFIG`, and under `onConflict: 'error'` with `ERR_CONFLICT`, in which cases
   * nothing is written.
   */
  set(sid: string, session: T, callback: ((error?: any) => void) | undefined): void;
  set(sid: string, session: T): Promise<void>;

  /**
   * Moves a session's end as `set` would, without rewriting its content: one UpdateItem of `ttl`, or nothing within `touchAfter`. Where a record of version 2 does not let
   * the session live that long (after twice its lifetime), it is sealed again, on condition that nobody wrote it meanwhile. A session that is gone stays
   * gone, one that has ended stays so, and both are a success. One whose new end has passed is removed. A known session whose cookie has changed (its path,
   * its lifetime, all but its moving end), or that must be sealed again, is saved as by `set`. With a callback, every other known session is answered
   * before `touch` returns.
   * Fails with `ERR_CONFIG`; where it saves, as `set` does.
   */
  touch(sid: string, session: T, callback: ((error?: any) => void) | undefined): void;
  touch(sid: string, session: T): Promise<void>;

  /** Removes a session and wipes its cached data key. Removing one that is gone is a success. Fails with `ERR_CONFIG`. */
  destroy(sid: string, callback: ((error?: any) => void) | undefined): void;
  destroy(sid: string): Promise<void>;

  /**
   * Every live session of this store (its `prefix`), each with its `id` as an extra property. Reads the whole table: for small tables
   * and administration.
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION` if one of the records cannot be opened.
   */
  all(callback: (error: any, sessions?: Array<T & { id: string }>) => void): void;
  /** As the frameworks' types have it: their session is the one that the application declares. */
  all(callback: (error: any, sessions?: any) => void): void;
  all(): Promise<Array<T & { id: string }>>;

  /**
   * The ids of every live session of this store. Reads the whole table's keys and asks nothing of KMS; under `hashSessionIds` it opens every
   * session, and fails as `all` does.
   */
  ids(callback: (error: any, ids?: string[]) => void): void;
  ids(): Promise<string[]>;

  /** How many live sessions this store has. Reads the whole table's keys; asks nothing of KMS. */
  length(callback: (error: any, length?: number) => void): void;
  length(): Promise<number>;

  /** Removes every session of this store, expired ones too, in batches. Other items of the table stay. */
  clear(callback: ((error?: any) => void) | undefined): void;
  clear(): Promise<void>;

  /**
   * Changes a session safely: reads it, calls `mutate` with it, and writes it on condition that nobody else has, again and again until that holds. `mutate`
   * changes the session in place and returns nothing, or returns the whole session to write; at once or as a promise. It may be called several times; if it
   * throws, the call fails with what it threw and nothing is written. What it returns besides having changed the session, as `(s) => (s.n = 1)` does, and an object
   * without the cookie that the session has are refused with `ERR_CONFIG`, and what is no object with `ERR_SERIALIZATION`; nothing is written then. The session keeps its end, unless
   * `mutate` changes `cookie.expires`; to a moment that has passed, it removes the session.
   * @param target a session id, or the session object of the current request (`request.session`): that object then holds what was
   * written, so that the save at the end of the request does not undo it. It must not have unsaved changes (`ERR_CONFLICT`), and must have been saved once
   * (`ERR_NOT_SAVED`): a first request, or one after `regenerate`, saves its session first.
   * @returns the session as it was written; `null` if there is none, or it was removed.
   * Fails with `ERR_CONFLICT` (retryable) at the deadline, `ERR_SERIALIZATION`, `ERR_SESSION_TOO_LARGE`, `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_NOT_SAVED`,
   * `ERR_CONFIG`.
   */
  update(target: string | object, mutate: SessionMutation<T>, options?: UpdateOptions): Promise<T | null>;
  update(target: string | object, mutate: SessionMutation<T>, callback: (error: any, session?: T | null) => void): void;
  update(
    target: string | object,
    mutate: SessionMutation<T>,
    options: UpdateOptions | undefined,
    callback: (error: any, session?: T | null) => void,
  ): void;

  /**
   * Runs `task` while no other process runs one for the same session, for work such as refreshing an OAuth token once: takes a lease in the same
   * table, renews it while the task runs, and gives it back. A holder that dies frees it when the lease ends. Not reentrant.
   * @param target a session id, or the session object of the current request (`request.session`).
   * @param task gets a signal that aborts if the lease is lost (another process may have it then) or `options.signal` aborts.
   * @returns what `task` gives.
   * Fails with what `task` throws, with `ERR_LOCK_TIMEOUT` (retryable) after `waitSeconds`, with the reason of `options.signal`, with `ERR_CONFIG`.
   */
  withLock<R>(target: string | object, task: (signal: AbortSignal) => R | PromiseLike<R>, options?: LockOptions): Promise<R>;
  withLock<R>(
    target: string | object,
    task: (signal: AbortSignal) => R | PromiseLike<R>,
    callback: (error: any, value?: R) => void,
  ): void;
  withLock<R>(
    target: string | object,
    task: (signal: AbortSignal) => R | PromiseLike<R>,
    options: LockOptions | undefined,
    callback: (error: any, value?: R) => void,
  ): void;

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
  record(sid: string, callback: (error: any, record?: EncryptedSessionRecord | null) => void): void;
  record(sid: string): Promise<EncryptedSessionRecord | null>;

  /** What happened so far. Also of a closed store. */
  stats(): SessionStoreStats;

  /**
   * Refuses further calls (`ERR_CLOSED`), waits for those in flight, and wipes the cached data keys. May be called again. Calls end by their deadline;
   * `all`, `ids`, `length` and `clear`, which have none as a whole, fail with `ERR_CLOSED` when `callMillis` have passed since. It does not wait for the
   * tasks of `withLock`: their leases end by themselves.
   */
  close(callback: ((error?: any) => void) | undefined): void;
  close(): Promise<void>;

  on(event: 'conflict', listener: (conflict: SessionConflict) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  once(event: 'conflict', listener: (conflict: SessionConflict) => void): this;
  once(event: string | symbol, listener: (...args: any[]) => void): this;
  off(event: 'conflict', listener: (conflict: SessionConflict) => void): this;
  off(event: string | symbol, listener: (...args: any[]) => void): this;
  addListener(event: 'conflict', listener: (conflict: SessionConflict) => void): this;
  addListener(event: string | symbol, listener: (...args: any[]) => void): this;
  removeListener(event: 'conflict', listener: (conflict: SessionConflict) => void): this;
  removeListener(event: string | symbol, listener: (...args: any[]) => void): this;
  prependListener(event: 'conflict', listener: (conflict: SessionConflict) => void): this;
  prependListener(event: string | symbol, listener: (...args: any[]) => void): this;
  prependOnceListener(event: 'conflict', listener: (conflict: SessionConflict) => void): this;
  prependOnceListener(event: string | symbol, listener: (...args: any[]) => void): this;

  /** As express-session's `Store` has it. */
  regenerate(req: any, callback: (error?: any) => any): void;
  /** As express-session's `Store` has it. */
  load(sid: string, callback: (error: any, session?: any) => any): void;
  /**
   * As express-session's `Store` has it: makes the session object of a request. Its classes are those of the express-session that the store was given to. A process whose
   * first request comes with a cookie learns them by asking the application's `genid` for an id that nobody uses.
   * @throws {SessionStoreError} `ERR_CONFIG` if the store was given to no middleware of express-session.
   */
  createSession(req: any, session: any): any;
}

/**
 * Encrypts a text with AES-256-GCM under a fresh data key from KMS ({@link KMS_KEY_ARN}, GenerateDataKey). It has the deadlines of {@link Timeouts}'
 * defaults, but is no call of a store: nothing bounds how many wait, counts or logs them.
 * @param data the text, without lone surrogates.
 * @throws {SessionStoreError} (rejects) `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`; `ERR_SERIALIZATION` if `data` is no well-formed string.
 */
export function encryptSessionData(data: string): Promise<EncryptionResult>;

/**
 * Decrypts what {@link encryptSessionData} gave, or the four attributes of a version 1 record, all canonical base64.
 * @throws {SessionStoreError} (rejects) `ERR_INTEGRITY` if anything was changed or malformed; `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`.
 */
export function decryptSessionData(encryptedData: string, encryptedKey: string, iv: string, authTag: string): Promise<string>;

/** What {@link guardReplies} needs of a Fastify 5 application; every `FastifyInstance` has it. */
export interface FastifyApplication {
  addHook(name: 'onRoute', hook: (route: any) => void): unknown;
  log: { warn(message: string): void };
}

/** What {@link guardReplies} may be told. */
export interface GuardRepliesOptions {
  /**
   * Gets the name of each place that is found, once:
   * - a handler by its route, such as `GET /users/:id` (`GET|POST /both` for a route of two methods);
   * - a route's hook, such as `onRequest hook of GET /admin`, `preHandler hook (requireUser) of GET /admin`, or `preHandler hook 2 of GET /admin` for one
   *   without a name in an array;
   * - a hook of `addHook`, such as `onRequest hook (requireUser) of all routes` or `onRequest hook of all routes under /admin`;
   * - `error handler of …` and `not-found handler of …`.
   *
   * What it throws, or a promise of it that rejects, is ignored. Default: one line for `app.log.warn`, which goes nowhere in an application without a logger.
   */
  report?: ((place: string) => unknown) | undefined;
}

/** What {@link guardReplies} found so far. */
export interface GuardedReplies {
  /** The names of the hooks and handlers, in the order in which they were found. It grows while the application runs. */
  readonly routes: readonly string[];
}

/**
 * Lets a reply of a Fastify 5 application count as sent as soon as `reply.send()` or `reply.redirect()` has returned, as it does with the session
 * store in memory. Behind a store that calls back later, Fastify takes an async hook that refuses a request without returning the reply for passed, and
 * **runs the handler that it protects**; then the process ends with `ERR_HTTP_HEADERS_SENT`.
 *
 * With the guard, no later hook and no handler runs after an answer, whoever gave it: hooks of routes, instances and plugins (`onRequest`, `preParsing`,
 * `preValidation`, `preHandler`, with callbacks as well), decorators such as those of @fastify/passport and @fastify/auth, handlers, error handlers and
 * not-found handlers. A second answer is ignored, and an error that is thrown after an answer is too, also when the client has left meanwhile. A header or payload that
 * cannot be sent gives a 500, as with the store in memory, and not an uncaught exception. Async hooks and handlers that answered without returning or
 * awaiting the reply are reported. Other hooks and handlers run as they would without it.
 *
 * **Not needed in general**: every application that is made after this package was imported has the guard. It acts as soon as the process has made a
 * {@link DynamoDBSessionStore}, unless with `guardReplies: false`. Call it to be told of the places, to have them found while the store is
 * still another one, or in an application that was made before the import; then it must come before hooks and routes.
 * @param app the application. If it has the guard already, this attaches `report`, at any time.
 * @throws {TypeError} `app` is no Fastify instance, or `report` is not a function.
 * @throws {Error} the application has no guard and has started already, or replaces `reply.send` by itself; the error of Fastify is its `cause`.
 */
export function guardReplies(app: FastifyApplication, options?: GuardRepliesOptions): GuardedReplies;

/** @deprecated The former name of {@link guardReplies}. */
export function findUnreturnedReplies(app: FastifyApplication, options?: GuardRepliesOptions): GuardedReplies;

/** @deprecated The former name of {@link GuardRepliesOptions}. */
export type UnreturnedRepliesOptions = GuardRepliesOptions;

/** @deprecated The former name of {@link GuardedReplies}. */
export type UnreturnedReplies = GuardedReplies;

/** `KMS_KEY_ARN` in the environment of this thread when this module was loaded, else `arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a`. */
export const KMS_KEY_ARN: string;

/** `SESSIONS_TABLE` in the environment of this thread when this module was loaded, else `mcp-gateway-sessions`. */
export const SESSIONS_TABLE: string;

/** `AWS_REGION` in the environment of this thread when this module was loaded, else `us-east-1`. */
export const AWS_REGION: string;

/** The process's KMS client with the environment's settings, made on first use. */
export const kmsClient: AwsClientHandle;

/** The process's DynamoDB client with the environment's settings, made on first use. */
export const docClient: AwsClientHandle;
