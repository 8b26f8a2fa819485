/**
 * connect-dynamodb-kms: a session store on DynamoDB for express-session and @fastify/session. Every
 * session is sealed with AES-256-GCM under its own data key, and AWS KMS wraps that key.
 */

import { EventEmitter } from 'node:events';

/**
 * A session as the web framework passes it: anything that `JSON.stringify` can write, with the
 * framework's `cookie`.
 */
export interface SessionData {
  /** The framework's cookie. */
  cookie?: SessionCookie;
  [key: string]: any;
}

/**
 * The cookie of a session, as in express-session and @fastify/session. The store reads only
 * `expires`, and keeps everything.
 */
export interface SessionCookie {
  /**
   * When the session ends: a `Date`, or a string or number that `new Date()` accepts. It is a
   * string in a session that `get` returned.
   */
  expires?: Date | string | number | null | undefined;
  /** The cookie's lifetime in milliseconds when it was set. */
  originalMaxAge?: number | null | undefined;
  [key: string]: any;
}

/**
 * Every `code` of a {@link SessionStoreError}. There is one code for each thing that a caller can
 * do about a failure.
 */
export type SessionStoreErrorCode =
  /**
   * An option, an argument such as the session id, or the folder of local mode cannot be used. (The
   * folder: another process has it open, or its key file is lost or readable by others.) `detail`
   * names it and says what to do.
   */
  | 'ERR_CONFIG'
  /**
   * KMS did not answer within {@link Timeouts}. Sessions whose data key is cached can still be
   * opened. Try again.
   */
  | 'ERR_KMS_UNAVAILABLE'
  /** KMS refused the request because of its request quota. Try again later, or raise the quota. */
  | 'ERR_KMS_THROTTLED'
  /**
   * The KMS key is disabled, pending deletion, missing, or not a symmetric encryption key. Enable
   * it, or correct `kmsKeyArn`.
   */
  | 'ERR_KMS_KEY_UNUSABLE'
  /**
   * DynamoDB did not answer within {@link Timeouts}, or the file of local mode cannot be used. Try
   * again.
   */
  | 'ERR_DYNAMODB_UNAVAILABLE'
  /**
   * DynamoDB refused the request because of the capacity of the table or the account. Try again
   * later, or raise the capacity.
   */
  | 'ERR_DYNAMODB_THROTTLED'
  /**
   * The table does not exist in this account and region. Create it, or correct `tableName` or
   * `region`.
   */
  | 'ERR_TABLE_NOT_FOUND'
  /**
   * The table's key is not `sessionId` of type String without a sort key, or its status is not
   * ACTIVE.
   */
  | 'ERR_TABLE_SCHEMA'
  /** The credentials lack a permission. `detail` names the IAM action, and the table or the key. */
  | 'ERR_ACCESS_DENIED'
  /**
   * No credentials were found in time, they cannot sign a request, or AWS rejects them (unknown,
   * expired or badly signed). Retryable if the service that issues them (AWS STS, SSO, or the
   * endpoint of a container or an instance) failed or did not answer in time.
   */
  | 'ERR_CREDENTIALS'
  /**
   * This store did not write the record, or the record was changed since, or another KMS key sealed
   * it. Nothing was deleted.
   */
  | 'ERR_INTEGRITY'
  /**
   * `acceptVersions` leaves out the record's version, or this release does not know it. Add it
   * there, or upgrade the package.
   */
  | 'ERR_VERSION'
  /**
   * The sealed session would not fit into a DynamoDB item (409,600 bytes). `detail` has both sizes.
   * Nothing was sent.
   */
  | 'ERR_SESSION_TOO_LARGE'
  /** The session cannot be written as JSON, or what was sealed is not a JSON object. */
  | 'ERR_SERIALIZATION'
  /**
   * Somebody else has changed the session since it was read (with `onConflict: 'error'`, or in
   * {@link DynamoDBSessionStore.update}), or the session given to `update` or `refresh` has unsaved
   * changes.
   * Read it again and repeat the change. Retryable from an `update` whose deadline passed.
   */
  | 'ERR_CONFLICT'
  /**
   * The session given to {@link DynamoDBSessionStore.update} or
   * {@link DynamoDBSessionStore.refresh} was never saved. Save it first.
   */
  | 'ERR_NOT_SAVED'
  /**
   * Another holder kept the lease for as long as {@link DynamoDBSessionStore.withLock} or
   * {@link DynamoDBSessionStore.refresh} waited. Try again.
   */
  | 'ERR_LOCK_TIMEOUT'
  /**
   * As many calls as `maxCallsInFlight` allows are already waiting for an answer. Nothing was sent.
   * Try again later.
   */
  | 'ERR_OVERLOADED'
  /**
   * A defect of this package or of a library in it: a panic. The process's standard error shows
   * where it happened. Report it.
   */
  | 'ERR_INTERNAL'
  /** The store is closed, or was closed while the call read the whole table. */
  | 'ERR_CLOSED';

/**
 * The error of every failing call of this package. It never contains a key, the content of a
 * session or a whole session id.
 *
 * `message` is for the client that made the request: web frameworks send it to the browser. Each
 * code has one message, which names no table, key, account, region, path or option. `detail` and
 * `cause` are for the operator. `inspect`, `console.error` and pino show both. They are not in a
 * response for which a framework or `JSON.stringify` writes the error. A copy of all properties
 * (`{ ...error }`) contains `detail`: do not send it.
 */
export class SessionStoreError extends Error {
  readonly name: 'SessionStoreError';
  readonly code: SessionStoreErrorCode;
  /** The kind of failure, safe to show to a visitor. */
  readonly message: string;
  /**
   * What failed and what to do about it. Names the table, the key's ARN, the IAM action, the option
   * or the folder concerned. It is also in the store's log.
   */
  readonly detail: string;
  /** Whether the same call can succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /**
   * The status with which Fastify, Express and Koa answer a request that fails with this error: 503
   * if it is retryable, else 500.
   */
  readonly statusCode: 500 | 503;
  /**
   * How many milliseconds the service asks its callers to wait before they try again (its headers
   * `x-amz-retry-after`, or `Retry-After` in seconds), if it says so.
   */
  readonly retryAfterMillis?: number;
  /**
   * The underlying error, such as AWS's: `name` is its code (`AccessDeniedException`). It has
   * `message` and, if there is one, `requestId`.
   */
  readonly cause?: unknown;
  /** For `JSON.stringify` and `response.json(error)`. Leaves out `detail` and `cause`. */
  toJSON(): Pick<SessionStoreError, 'statusCode' | 'code' | 'message' | 'retryable' | 'retryAfterMillis'>;
  /**
   * Makes an error like those of the store, for the tests of an application. `message` and
   * `statusCode` follow from `code`, and so does `retryable` if it is left out.
   * @throws {TypeError} if this package has no such code.
   */
  constructor(failure: SessionStoreFailure);
}

/** The properties of a new {@link SessionStoreError}. */
export interface SessionStoreFailure {
  code: SessionStoreErrorCode;
  /** Default `''`. */
  detail?: string | undefined;
  /**
   * Default: as in the store's own errors of this code. `ERR_CONFLICT` is retryable only from
   * `update`, so its default is `false`.
   */
  retryable?: boolean | undefined;
  retryAfterMillis?: number | undefined;
  cause?: unknown;
}

/**
 * The item in the DynamoDB table, described in docs/record-format.md. All strings except
 * `sessionId` are base64. Version 2 stores them as bytes.
 */
export interface EncryptedSessionRecord {
  /**
   * The table's partition key: `prefix` and the session id, or a hash of the id with
   * `hashSessionIds`.
   */
  sessionId: string;
  /** The session's JSON, encrypted. */
  encryptedData: string;
  /** The session's data key, wrapped by KMS. */
  encryptedKey: string;
  /** The 12-byte initialization vector of AES-256-GCM, new for every write. */
  iv: string;
  /** The 16-byte authentication tag of AES-256-GCM, new for every write. */
  authTag: string;
  /** When the session ends, in epoch seconds. DynamoDB's Time to Live reads this attribute. */
  ttl: number;
  /** 1 or 2; 0 for an item without this attribute (see `acceptVersions`). */
  version: number;
  /** Version 2: the latest end that a touch can give the session, in epoch seconds. */
  notAfter?: number;
  /**
   * Version 2: the 16 random bytes from which the keys are derived. They stay the same while the
   * data key is in memory.
   */
  salt?: string;
  /** Version 2: the 32 bytes that commit the record to its data key. */
  commit?: string;
  /**
   * With the option `users`: the HMAC-SHA256 of the user's id in base64url, or `-` if the session
   * has no user.
   */
  user?: string;
  /** With the option `users`: the number of the session's entry on the user's list. */
  userEntry?: number;
}

/** The result of {@link encryptSessionData}, all base64. */
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

/**
 * Where the store logs: `console`, pino, or any object with these two methods. Each is called with
 * one string. A pino logger gets {@link SessionStoreLogFields} before it, and others where
 * {@link SessionStoreConfig.logFields} says.
 */
export interface SessionStoreLogger {
  /**
   * Failing calls: at most one line a minute for each operation and code, with the number of
   * failures that were left out since the last line.
   */
  warn(message: string, fields?: any): void;
  /** Every request for an expired session. */
  debug(message: string, fields?: any): void;
}

/**
 * What a line of the log says, as fields for loggers that take them. A field that does not apply is
 * missing. None of them has a whole session id, a key, session data, or the name of a table or key.
 */
export interface SessionStoreLogFields {
  /** The error code of the call that failed, or of the request for a lease. */
  code?: SessionStoreErrorCode;
  /** The method of the store or of the envelope, such as `get`. */
  operation?: string;
  /**
   * The first 8 hex digits of the SHA-256 of the session id; of its HMAC-SHA256, if `hashSessionIds`
   * has a secret. The event `conflict` has the whole hash.
   */
  session?: string;
  /** The same for the id of an item, in the lines of a {@link SealedStore}. */
  item?: string;
  /** The id of the request that AWS refused, for its support. */
  requestId?: string;
  /** How many milliseconds the service asks its callers to wait; see {@link SessionStoreError}. */
  retryAfterMillis?: number;
  /** How many failures of the same operation and code have had no line since the last one. */
  omitted?: number;
  /** What happened, in a line that is not about a failed call. */
  event?: SessionStoreLogEvent;
  /** What became of the session, in lines with the event `conflict`. */
  resolution?: SessionConflict['resolution'];
}

/**
 * - `expired` (debug): a request for a session that has ended.
 * - `conflict` (debug): the event `conflict` of the store.
 * - `leaseLost`, `leaseNotRenewed`, `leaseNotReleased`: what became of the lease of `withLock` or
 *   `refresh`.
 * - `refreshedStale`: a new token that `refresh` was given had already run out.
 * - `keysRevoked`: KMS refused to unwrap a cached data key, and all of them were wiped.
 * - `revocationCheckUnanswered`: KMS did not answer the revocation check.
 * - `batchReadsRefused`: the role may not `dynamodb:BatchGetItem`.
 * - `answeredTwice`: a handler or hook answered without returning the reply.
 * - `notGuarded`: a Fastify application has no guard; see {@link guardReplies}.
 * - `noUserYet`: `users.idOf` has given no user for any session.
 * - `recordVersionNotGiven`, `localModeByEnvironment`: once a process.
 */
export type SessionStoreLogEvent =
  | 'expired'
  | 'conflict'
  | 'leaseLost'
  | 'leaseNotRenewed'
  | 'leaseNotReleased'
  | 'refreshedStale'
  | 'keysRevoked'
  | 'revocationCheckUnanswered'
  | 'batchReadsRefused'
  | 'answeredTwice'
  | 'notGuarded'
  | 'noUserYet'
  | 'recordVersionNotGiven'
  | 'localModeByEnvironment';

/** The limits of the cache of data keys. Each is a whole number, at least 1. */
export interface KeyCacheLimits {
  /** The largest number of cached data keys. Default 10,000. */
  maxEntries?: number | undefined;
  /**
   * The longest time in seconds that a data key is cached, less up to a tenth at random. Use does
   * not extend it. Default 3,600.
   */
  maxAgeSeconds?: number | undefined;
  /**
   * How many times a process seals under one data key. Counting restarts each time the process
   * reads the key. Default 1,048,576 (2^20).
   */
  maxSealsPerKey?: number | undefined;
  /** How many bytes a process seals under one data key. Default 68,719,476,736 (2^36). */
  maxBytesPerKey?: number | undefined;
  /**
   * The least time in seconds between two revocation checks. A check happens while there is
   * traffic: one cached key is unwrapped again, and if KMS refuses, the whole cache is emptied.
   * Default 60.
   */
  revocationCheckSeconds?: number | undefined;
}

/**
 * How long a call may take, in milliseconds: whole numbers from 1 to 60,000. Each limit is part of
 * the next and must not exceed it. A limit that is left out has its default, or the value of the
 * next limit if that is lower.
 */
export interface Timeouts {
  /** To connect, including TLS. Default 1,000. */
  connectMillis?: number | undefined;
  /** For one attempt of a request, including connecting. Default 2,000. */
  attemptMillis?: number | undefined;
  /**
   * For a whole call of the store: all its requests, their retries, and whatever it waits for, such
   * as credentials or a data key that another call is unwrapping. For `all`, `ids`, `length`,
   * `clear`, `sessionsOf` and `destroyAllOf`, it limits each of their requests instead. For
   * `update`, it limits each read and each write, and for `withLock` each request about the lease.
   * Default 5,000.
   */
  callMillis?: number | undefined;
}

/** The requests of a store to one service. */
export interface RequestCounts {
  /** All requests. */
  sent: number;
  /** Those that repeated an earlier one, by the AWS SDK's rules. */
  retries: number;
}

/** The result of {@link DynamoDBSessionStore.stats}: counts since the store was created. */
export interface SessionStoreStats {
  keyCache: {
    /** Data keys in the cache now. */
    entries: number;
    /** Uses that found their data key in the cache. */
    hits: number;
    /** Uses that did not. */
    misses: number;
    /** Data keys that KMS made or unwrapped. */
    loads: number;
    /** Failed attempts to have one made or unwrapped. */
    loadFailures: number;
    /**
     * Data keys that left the cache: to make room, because of their age, or because a session was
     * destroyed.
     */
    evictions: number;
    /** Revocation checks that found the key usable. */
    checksUsable: number;
    /** Revocation checks that KMS refused. Each emptied the cache. */
    checksRevoked: number;
    /** Revocation checks that got no answer. The cache was kept. */
    checksUnknown: number;
  };
  /** The outcomes for sessions that were saved, touched or updated. */
  sessions: {
    /** Written whole: new sessions, and known ones whose content had changed. */
    written: number;
    /** Unchanged, and their end was moved. */
    extended: number;
    /** Unchanged, and their end did not need to move: nothing was sent. */
    unchanged: number;
    /**
     * Already gone (logged out, or expired and unchanged) and left so; or saved with an end that
     * has passed, and removed.
     */
    gone: number;
    /** Read and removed by {@link DynamoDBSessionStore.take}. */
    taken: number;
    /**
     * Changed by somebody else since they were read, whatever `onConflict` made of it. Without those
     * after which `update` and `refresh` try again.
     */
    conflicts: number;
  };
  /** What became of calls of `refresh`. */
  refreshes: {
    /** How often a function `refresh` ran. */
    run: number;
    /** Calls that shared a renewal that another call of this process had begun. */
    joined: number;
    /** Renewals that found that another process had renewed the token. */
    adopted: number;
    /** Those of `run` that began before the token had run out. */
    early: number;
    /** Those of `run` that failed, or whose result could not be stored. */
    failed: number;
    /** How many results this process keeps now because they could not be stored, at most 1,000. */
    unsaved: number;
  };
  /** The outcomes of leases of `withLock` and `refresh`. Each is logged, too. */
  leases: {
    /** Leases that ended before their task did. */
    lost: number;
    /** Failed renewals. Each is retried as long as the lease lasts. */
    notRenewed: number;
    /** Leases that could not be released, and ended by themselves. */
    notReleased: number;
  };
  /** The requests sent to AWS, including revocation checks. */
  requests: { dynamodb: RequestCounts; kms: RequestCounts };
  /** Reads that arrived together and were sent as one BatchGetItem. */
  batchReads: {
    /** The requests. `requests.dynamodb` counts them, too. */
    requests: number;
    /** The reads in them. */
    reads: number;
    /** Whether DynamoDB has refused such a request. Reads are sent one by one since. */
    refused: boolean;
  };
  /** Failed calls by code. A code that never occurred is missing. */
  errors: Partial<Record<SessionStoreErrorCode, number>>;
  /** The calls that have ended, by the name of the method. One that was never called is missing. */
  operations: Record<string, OperationStats>;
  /** Calls that wait for an answer now, except `withLock` and `refresh`. */
  callsInFlight: number;
  /**
   * Calls of `withLock` and `refresh` that run now or wait, and those that ended while one of
   * their requests is still under way.
   */
  tasksInFlight: number;
}

/**
 * The calls of one method that have ended. `count` is `errors` and the sum of `outcomes`, and the sum
 * of `milliseconds.buckets`.
 */
export interface OperationStats {
  /** All calls, those that were refused included. */
  count: number;
  /**
   * Those that failed, also because of a function that the caller gave to them, or because the
   * caller gave up.
   */
  errors: number;
  /** The others by {@link CallOutcome}. An outcome that never occurred is missing. */
  outcomes: Record<string, number>;
  /** How long callers waited. */
  milliseconds: {
    /** All of them together. */
    sum: number;
    /**
     * How many calls took at most as long as the bound in {@link LATENCY_BUCKETS} of the same index,
     * and longer than the one before it; and last, those that took longer than all bounds.
     */
    buckets: number[];
  };
}

/**
 * The upper bounds of the buckets of {@link OperationStats}, in milliseconds: 1, 2.5, 5, 10, 25, 50,
 * 100, 250, 500, 1,000, 2,500 and 5,000. They do not change within a major version.
 */
export const LATENCY_BUCKETS: readonly number[];

/** The argument of the event `conflict`. */
export interface SessionConflict {
  /**
   * The SHA-256 of the session id in hexadecimal digits; with a secret in `hashSessionIds`, its
   * HMAC-SHA256 under the secret. Logs show the first 8.
   */
  session: string;
  /** What `onConflict` made of it. */
  resolution: 'overwritten' | 'refused' | 'dropped';
}

/** Options of {@link DynamoDBSessionStore.ping}. */
export interface PingOptions {
  /**
   * Whether KMS is asked as well, with two requests. `false` suits a probe that is repeated, and one
   * that takes servers out of service. Default `true`.
   */
  keys?: boolean | undefined;
}

/**
 * What came of a call that did not fail:
 * - `found`, `missing`: whether `get` or `record` found something.
 * - `written`, `extended`, `unchanged`, `gone`: what `set`, `touch`, `put` or `update` did, as
 *   {@link SessionStoreStats.sessions} counts it. With a callback, `extended` may mean that the end
 *   of the session is being moved in the background. `update` may also be `missing`.
 * - `dropped`: not saved because of `onConflict: 'drop'`.
 * - `taken`, `missing`: whether `take` found something and removed it.
 * - `deleted`: by `destroy`, `delete`, `clear` or `destroyAllOf`, whether there was something or not.
 * - `fresh`, `renewed`, `joined`, `missing`: whether `refresh` found a good token, renewed it, or
 *   waited for another call of this process that renewed it; or found no session.
 * - `done`: any other call.
 */
export type CallOutcome =
  | 'found'
  | 'missing'
  | 'written'
  | 'extended'
  | 'unchanged'
  | 'gone'
  | 'dropped'
  | 'taken'
  | 'deleted'
  | 'fresh'
  | 'renewed'
  | 'joined'
  | 'done';

/** What has made a message of a diagnostics channel. */
export interface MessageSource {
  component: 'session-store' | 'sealed-store' | 'envelope';
  /** The DynamoDB table. An envelope has none. */
  tableName?: string;
}

/**
 * The message of `tracingChannel('connect-dynamodb-kms:call')` of `node:diagnostics_channel`: a call
 * of a {@link DynamoDBSessionStore}, a {@link SealedStore} or an {@link Envelope}. All five events of
 * a call (`start`, `end`, `asyncStart`, `asyncEnd` and, if it fails, `error`) have the same object,
 * which fills as the call proceeds. docs/observing.md describes the channels.
 */
export interface CallMessage extends MessageSource {
  /** The name of the method. */
  operation: string;
  /**
   * The first 8 hexadecimal digits of what {@link SessionConflict.session} is, as in log lines: of
   * the session, or of the item. Absent if the call is about none.
   */
  session?: string;
  /** The requests that the call has sent so far, retries included. */
  requests: { dynamodb: number; kms: number };
  /** Whether all data keys that the call needed were cached. Absent if it needed none. */
  keyCacheHit?: boolean;
  /** What came of it. Absent until then, and if it fails. */
  outcome?: CallOutcome;
  /** The error's code, if the call failed with a {@link SessionStoreError}. */
  code?: SessionStoreErrorCode;
  /**
   * What the call failed with. It may be an error of a function that the caller gave to the call,
   * whose text this package does not know.
   */
  error?: unknown;
}

/**
 * The message of `channel('connect-dynamodb-kms:conflict')`: somebody else has changed a session or
 * an item since it was read.
 */
export interface ConflictMessage extends MessageSource {
  /** The name of the method that met it. */
  operation: string;
  /** As in {@link CallMessage.session}. */
  session: string;
  /**
   * What became of the write: as in {@link SessionConflict.resolution}; or `retried`, if `update` or
   * `refresh` reads the session anew and tries again.
   */
  resolution: SessionConflict['resolution'] | 'retried';
}

/** The message of `channel('connect-dynamodb-kms:lease')`: what became of a lease. */
export interface LeaseMessage extends MessageSource {
  /** The name of the method that has the lease. */
  operation: string;
  /** As in {@link CallMessage.session}. */
  session: string;
  /**
   * - `acquired`, `released`: how leases begin and end.
   * - `lost`: it ended before its task did.
   * - `notRenewed`: a renewal failed. It is retried as long as the lease lasts.
   * - `notReleased`: it could not be released, and ends by itself.
   */
  event: 'acquired' | 'released' | 'lost' | 'notRenewed' | 'notReleased';
  /** Of the failure with `notRenewed` and `notReleased`. */
  code?: SessionStoreErrorCode;
}

/**
 * The message of `channel('connect-dynamodb-kms:request')`: one attempt of one request to AWS,
 * published when it has ended.
 */
export interface RequestMessage extends MessageSource {
  service: 'dynamodb' | 'kms';
  /** AWS's name of it, such as `GetItem`. */
  operation: string;
  /** 1, and more for retries. */
  attempt: number;
  /** From sending it until its answer was read, it failed or the call gave up. */
  milliseconds: number;
  /** The HTTP status. Absent if there was no answer. */
  status?: number;
  /**
   * The call that sent it. Absent for revocation checks, for requests that outlive their call, and
   * unless the channel of calls had subscribers when the call began.
   */
  call?: CallMessage;
}

/**
 * The message of `channel('connect-dynamodb-kms:revocation')`: a revocation check ended (see
 * {@link KeyCacheLimits.revocationCheckSeconds}).
 */
export interface RevocationMessage extends MessageSource {
  /**
   * - `usable`: KMS unwrapped a cached data key.
   * - `revoked`: KMS refused, and all cached data keys were wiped.
   * - `unknown`: KMS did not answer, and the cache was kept.
   */
  outcome: 'usable' | 'revoked' | 'unknown';
}

/** Options of {@link DynamoDBSessionStore.get}. */
export interface GetOptions {
  /** Stops waiting when it aborts: the promise rejects with the signal's reason at once. */
  signal?: AbortSignal | undefined;
}

/**
 * The function given to {@link DynamoDBSessionStore.update}. It changes the session in place and
 * returns nothing, or returns the whole session to write.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return is what most callers write
export type SessionMutation<T> = (session: T) => T | undefined | void | PromiseLike<T | undefined | void>;

/** Options of {@link DynamoDBSessionStore.update}. */
export interface UpdateOptions {
  /** After how many seconds no further attempt is made, 0 to 3,600. Default 5. */
  deadlineSeconds?: number | undefined;
}

/** Options of {@link DynamoDBSessionStore.refresh} without the question whether a token is good. */
export interface RenewalOptions<T> extends LockOptions {
  /**
   * Renews the token. It changes the session in place and returns nothing, or returns the whole
   * session to write, as the function given to `update` does. It is never repeated because of a
   * failed write. `signal` aborts if the lease is lost, or if nobody waits for the result any more.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a function without a return is what most callers write
  refresh: (session: T, signal: AbortSignal) => T | undefined | void | PromiseLike<T | undefined | void>;
  /**
   * Which of a session's tokens it is, such as `'google'`. Calls with the same session and name
   * share one renewal, so they must give functions that do the same. Default `''`.
   */
  name?: string | undefined;
}

/** Options of {@link DynamoDBSessionStore.refresh}. */
export type RefreshOptions<T> = RenewalOptions<T> &
  (
    | {
        /** Whether the token in a session is good. */
        isFresh: (session: T) => boolean;
        expiresAt?: undefined;
        earlySeconds?: undefined;
      }
    | {
        /**
         * When the token in a session runs out, in epoch milliseconds or as a Date; 0 if there is
         * no token.
         */
        expiresAt: (session: T) => number | Date;
        /**
         * How many seconds before its end a token is renewed at the earliest, 0 to 3,600: each
         * token from a moment of its own, between this and half of it. Default 60.
         */
        earlySeconds?: number | undefined;
        isFresh?: undefined;
      }
  );

/** Options of {@link DynamoDBSessionStore.withLock}. */
export interface LockOptions {
  /**
   * How many seconds the lease lasts if its holder dies, 1 to 3,600. It is renewed while the task
   * runs. Default 10.
   */
  leaseSeconds?: number | undefined;
  /** How many seconds to wait for the lease, 0 to 3,600. Default 10. */
  waitSeconds?: number | undefined;
  /** Stops waiting for the lease when it aborts, and aborts the task's signal. */
  signal?: AbortSignal | undefined;
}

/** The id of a user: a whole number is the same user as its decimal digits. */
export type UserId = string | number | bigint;

/** The option `users`: whose a session is. `T` is the type of the sessions. */
export interface UsersOptions<T extends SessionData = any> {
  /**
   * Gives the id of a session's user: a string or a whole number, and `undefined`, `null` or `false`
   * for a session without a user. Or the path to it, such as `'user.id'` or `'passport.user'`.
   *
   * It is called at once with every save and touch, and must give the same id for the same session,
   * whether that is the framework's object or the plain object that was stored: use properties, not
   * methods such as `session.get`. A save fails with `ERR_CONFIG` if it throws or gives something
   * else, such as an object, a promise or the text `'undefined'`.
   */
  idOf: ((session: T) => UserId | null | undefined | false) | string;
  /**
   * At least 16 bytes. The table has the HMAC-SHA256 of user ids under it. Every server needs the
   * same one. After a change, sessions join the lists anew with their next save or touch.
   */
  secret: string;
  /**
   * How many sessions a user can have, from 1 to 2,000. A login beyond that ends the session that
   * logged in first, in the same transaction: a login that fails ends none. Sessions that have ended
   * by themselves make room before that; of more than 64 sessions, a login looks for such ones among
   * 64. Default 1,000.
   */
  maxSessions?: number | undefined;
}

/** The options of {@link DynamoDBSessionStore}. `T` is the type of the sessions. */
export interface SessionStoreConfig<T extends SessionData = SessionData> {
  /** The DynamoDB table. Default {@link SESSIONS_TABLE}. */
  tableName?: string | undefined;
  /**
   * The longest life of a session after a save or a touch, in seconds, 1 to 315,360,000 (ten
   * years); or a function of the session that returns it. An earlier `cookie.expires` ends the
   * session earlier. Default: the session lives as long as its cookie, at most ten years, or
   * 604,800 seconds (7 days) if the cookie has no expiry.
   */
  ttlSeconds?: number | ((session: T) => number) | undefined;
  /**
   * The KMS key that wraps the data keys: the ARN of a key or of an alias. If it is a list, the
   * first key wraps and all of them unwrap, to change the key or the account: the next save of a
   * session moves it to the first key. KMS is called in the region of each ARN. To change the key
   * of a fleet, deploy `[old, new]`, `[new, old]` and `[new]`; docs/data-keys.md says when each
   * step may follow. Default {@link KMS_KEY_ARN}.
   */
  kmsKeyArn?: string | string[] | undefined;
  /**
   * The AWS region of the table. (KMS is called in the region of the key's ARN.) Default: the
   * environment's `AWS_REGION`, else the `region` of the profile in use or of its `source_profile`,
   * else `us-east-1`. `AWS_DEFAULT_REGION` is not read.
   */
  region?: string | undefined;
  /** One URL for both services, for local servers. Default: `AWS_ENDPOINT_URL`, else AWS's own. */
  endpoint?: string | undefined;
  /**
   * DynamoDB's URL. Default: `endpoint`, else `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL`,
   * else AWS's own.
   */
  dynamodbEndpoint?: string | undefined;
  /**
   * KMS's URL. Default: `endpoint`, else `AWS_ENDPOINT_URL_KMS`, else `AWS_ENDPOINT_URL`, else
   * AWS's own.
   */
  kmsEndpoint?: string | undefined;
  /**
   * The profile of the AWS configuration files, of any kind: keys, `role_arn` with `source_profile`
   * or `credential_source`, `web_identity_token_file`, `credential_process` or SSO. It takes
   * precedence over credentials in the environment. Default: the default chain, with `AWS_PROFILE`.
   */
  profile?: string | undefined;
  /**
   * The ARN of an IAM role to assume for every call. Default: none; the credentials of the default
   * chain are used as they are.
   */
  roleArn?: string | undefined;
  /**
   * Comes before every session id in the table, at most 1,024 bytes. Stores with different prefixes
   * share a table, and each lists, reads and clears only its own sessions. End it with `:` or `#`:
   * a prefix without such an end, such as `app`, is written as `app%:`. After a prefix, an id that
   * looks like the start of a longer prefix, such as `admin:x`, is escaped (docs/record-format.md).
   *
   * Default: `''`, the whole table. Such a store lists and clears the sessions of every prefix,
   * with their keys as ids, unless `hashSessionIds` is set.
   */
  prefix?: string | undefined;
  /**
   * - `true` (default): a session keeps its data key, and data keys are cached in memory within
   *   {@link KeyCacheLimits}.
   * - `'strict'`: the same, with limits of 1,000 entries, 60 seconds, 1,024 seals and 1 GiB, and a
   *   revocation check every 10 seconds.
   * - `false`: a new data key at every save, and a Decrypt at every read.
   */
  keyCache?: boolean | 'strict' | KeyCacheLimits | undefined;
  /**
   * The version of the records that the store writes. Use 2 for every new table: its records are
   * bound to their table, session and end of life, and committed to their data key. Default 1, the
   * interchange format with plain implementations. If it is left out, the first store of a process
   * logs a warning.
   */
  recordVersion?: 1 | 2 | undefined;
  /**
   * The versions that the store reads, which must include `recordVersion`. Other versions fail with
   * `ERR_VERSION`, unless the session has ended: an ended session of any version reads as no
   * session. 0 stands for items without `version` that an earlier implementation wrote with the
   * other attributes of version 1: they are read as version 1, and the next save or touch of such a
   * session writes it in `recordVersion`. Without 0, they are not this store's: `get` fails with
   * `ERR_INTEGRITY`, and `all`, `ids`, `length` and `clear` ignore them. Default [1, 2].
   */
  acceptVersions?: Array<0 | 1 | 2> | undefined;
  /**
   * The table name that records of version 2 are bound to, in the encryption context and in the
   * authenticated data. A table that was restored from a backup has another name; with the name of
   * the original here, its sessions open. Default: `tableName`.
   */
  boundTableName?: string | undefined;
  /**
   * Added to the KMS encryption context of version 2 records, which has `purpose`, `table` and `v`.
   * CloudTrail shows it in plaintext. It must not change while there are sessions.
   */
  encryptionContext?: Record<string, string> | undefined;
  /**
   * `true`: the table holds the SHA-256 of session ids instead of the ids. `{ secret }`, at least
   * 16 bytes: it holds their HMAC-SHA256, for ids that are short enough to be guessed, and so do
   * log lines and the event `conflict`. `ids` then opens every session. After a change of this option, existing sessions are not found. Default
   * `false`.
   */
  hashSessionIds?: boolean | { secret: string } | undefined;
  /**
   * Lets the store know whose its sessions are, for `sessionsOf` and `destroyAllOf`. Default: it
   * does not. See docs/users.md.
   */
  users?: UsersOptions<T> | undefined;
  /**
   * By how many seconds a request must move the end of a session whose content does not change, so
   * that the move is written; never more than a tenth of its lifetime. 0 moves it with every
   * request. Default: 1 % of the session's lifetime (100 minutes for 7 days, 18 seconds for 30
   * minutes). A session whose user does not come back ends up to this much earlier.
   */
  touchAfter?: number | undefined;
  /**
   * Whether sessions that are read at the same moment are read with one BatchGetItem, which takes
   * half of the CPU time. No read waits for others. A role that may not `dynamodb:BatchGetItem`
   * reads them one by one after the first refusal. Default `true`.
   */
  batchReads?: boolean | undefined;
  /**
   * What a save does if somebody else has changed the session since it was read:
   * - `'overwrite'` (default): the last write wins.
   * - `'error'`: the save fails with `ERR_CONFLICT`.
   * - `'drop'`: the save succeeds and writes nothing.
   *
   * Each emits the event `conflict`. With `'error'` and `'drop'`, `get` adds the property
   * `sessionRevision` to sessions. It carries the revision through frameworks that copy sessions,
   * and never appears in the session's JSON.
   */
  onConflict?: 'overwrite' | 'error' | 'drop' | undefined;
  /**
   * The result of reading a record that fails its integrity check:
   * - `'error'` (default): the read fails with `ERR_INTEGRITY`, as does every request of that
   *   browser until its cookie is gone.
   * - `'missing'`: there is no session.
   * - `'destroy'`: there is no session, and the record is removed if it has the form of this
   *   store's records and nobody writes it meanwhile. This also removes records that a wrong
   *   `kmsKeyArn` or `encryptionContext` cannot open.
   *
   * Each failed check is counted in `stats().errors` and logged once a minute.
   */
  onIntegrityFailure?: 'error' | 'missing' | 'destroy' | undefined;
  /**
   * For how many sessions the store remembers the record by session id. Frameworks need this that
   * copy sessions without a trace of what the copy was read from (@fastify/session up to 11.1.1).
   * If more other sessions than this are read between the read and the save of one request, the
   * save is taken for one of a new session. Default 10,000 (about 3 MB).
   */
  maxRecentSessions?: number | undefined;
  /** How long calls to AWS may take. */
  timeouts?: Timeouts | undefined;
  /**
   * How many calls may wait for an answer at a time, including those that wait for an earlier write
   * of their session. One more fails with `ERR_OVERLOADED` at once, so that an outage does not fill
   * the memory. Calls of `withLock` and `refresh` are counted separately, up to the same number, so that calls
   * that wait for a lease do not block the calls of its holder. Default 1,000 (about 100 MB while
   * none is answered).
   */
  maxCallsInFlight?: number | undefined;
  /**
   * Whether the Fastify applications of this process are guarded, as described at
   * {@link guardReplies}, once this store is created. With `false`, an application that was written
   * for the in-memory store may run the handlers of requests that its hooks refuse. Default `true`.
   */
  guardReplies?: boolean | undefined;
  /** Default: `console`. */
  logger?: SessionStoreLogger | undefined;
  /**
   * Where the fields of a line ({@link SessionStoreLogFields}) stand when `logger` is called:
   * - `'first'`: `logger.warn(fields, message)`, as pino and bunyan take them.
   * - `'last'`: `logger.warn(message, fields)`, as winston takes them.
   * - `false`: `logger.warn(message)`.
   *
   * Default: `'first'` for a logger that pino has made, such as Fastify's `app.log`; `false` for all
   * others.
   */
  logFields?: 'first' | 'last' | false | undefined;
  /**
   * The shared handle {@link kmsClient}. It uses the environment's settings, so it cannot be
   * combined with `region`, `profile`, `roleArn` or KMS endpoints.
   */
  kmsClient?: AwsClientHandle | undefined;
  /**
   * The shared handle {@link docClient}. It uses the environment's settings, so it cannot be
   * combined with `region`, `profile`, `roleArn` or DynamoDB endpoints.
   */
  docClient?: AwsClientHandle | undefined;
  /**
   * Local mode, for development and tests: no AWS account and no network. `path` is a folder,
   * created on first use, for `sessions.redb` and the file `key` (mode 0600) that wraps the data
   * keys. A folder that holds nothing else gets a `.gitignore` that excludes it. One process at a
   * time can use it. The options about AWS are checked, but not used.
   *
   * Default: the environment's `SESSIONS_LOCAL`, which is refused with `ERR_CONFIG` if `NODE_ENV` is
   * `production`, unless `SESSIONS_LOCAL_IN_PRODUCTION` is `yes`; else none.
   */
  local?: { path: string } | undefined;
}

/**
 * The session store. It extends express-session's `Store` if that package is installed beside this
 * one, else `EventEmitter`.
 *
 * **Callbacks and promises.** Every method takes a callback and returns nothing, or returns a
 * promise if it gets no callback. A callback runs exactly once: before the method returns if `set`
 * or `touch` has nothing to wait for, and asynchronously otherwise. No method throws; failures are
 * passed to the callback or the promise as {@link SessionStoreError}. The store does not catch what
 * a callback throws, like the frameworks' own stores, with one exception: `ERR_HTTP_HEADERS_SENT`
 * means that a response was sent while its session was being saved, and becomes one warning a
 * minute. A promise that nobody handles rejects into the log alone and never causes an
 * `unhandledRejection`. Methods can be taken out of the store and called on their own.
 *
 * **Errors.** Any method can fail with `ERR_KMS_UNAVAILABLE`, `ERR_KMS_THROTTLED`,
 * `ERR_KMS_KEY_UNUSABLE`, `ERR_DYNAMODB_UNAVAILABLE`, `ERR_DYNAMODB_THROTTLED`,
 * `ERR_TABLE_NOT_FOUND`, `ERR_TABLE_SCHEMA`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`, `ERR_CONFIG`,
 * `ERR_OVERLOADED`, `ERR_INTERNAL` and `ERR_CLOSED`, and with the codes that its own documentation
 * names.
 *
 * **Session ids.** A session id is a non-empty string without lone surrogates, at most 2,048 UTF-8
 * bytes together with `prefix`. Any other id fails with `ERR_CONFIG`.
 *
 * **Order.** Writes to one session are sent in the order in which they were requested. Calls that
 * read a session (`get`, `update`, `record`) wait for the writes of that session that this process
 * was asked for before.
 *
 * **Known sessions.** A session is *known* if this process has read or written it: the session
 * objects of express-session and @fastify/session, and any object that `get` returned or that was
 * saved. A known session that is gone from the table stays gone, and one that is there is written
 * again only if its content has changed. A plain object that the store does not know is a new
 * session, also after `destroy`.
 *
 * **Events.** `conflict` ({@link SessionConflict}): a save found that somebody else has changed the
 * session since it was read. `connect`, `disconnect` and `error` are never emitted: the store
 * connects with the first call and again when it must, and express-session serves requests without
 * sessions after `disconnect`. An outage is an error of the calls that meet it.
 *
 * **Time.** The store uses `Date.now()`, so a test that fakes `Date` can move the store's clock.
 * Fake timers (`setTimeout`, `setImmediate`, `process.nextTick`) do not affect the store: it keeps
 * the real ones from when it was loaded. Enable the mock timers of `node:test` after that.
 */
export class DynamoDBSessionStore<T extends SessionData = SessionData> extends EventEmitter {
  /**
   * Checks the options. Connects to nothing and opens nothing.
   * @throws {SessionStoreError} `ERR_CONFIG`, whose `detail` names the option that is unknown, has
   *   a wrong type or value, or contradicts another.
   */
  constructor(config?: SessionStoreConfig<T>);

  /**
   * Reads a session. Sends one consistent GetItem, and a KMS Decrypt only if the data key is not
   * cached.
   * @returns a new object, equal to `JSON.parse(JSON.stringify(session))` of the saved one, except
   *   that `cookie.expires` is later if a touch extended the session past it; `null` if there is no
   *   session or it has expired.
   *
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, `ERR_CONFIG`.
   */
  get(sid: string, callback: (error: any, session?: T | null) => void): void;
  /**
   * The signature that the frameworks' types have: their session type is the one that the
   * application declares.
   */
  get(sid: string, callback: (error: any, session?: any) => void): void;
  get(sid: string, options?: GetOptions): Promise<T | null>;

  /**
   * Saves a session, which then ends after `ttlSeconds` or at `cookie.expires`, whichever comes
   * first. The store sends:
   * - for a new session, and for a known one whose content has changed: one PutItem. KMS is asked
   *   for a data key only if none is cached for the session.
   * - for a known session whose content is the same, apart from the cookie's expiry: what
   *   {@link touch} sends.
   * - for a known session that is gone: nothing, and the call succeeds. A session that has ended is
   *   gone, too, even if DynamoDB has not deleted it yet, unless its content has changed: then it
   *   is saved.
   * - for a session whose new end has passed, as with `cookie.expires = new Date(0)`: one
   *   DeleteItem, on the same condition as the save would have had. The session is removed.
   *
   * With a callback, `set` calls back before it returns if the session is known to be gone, or is
   * known and its content is the same (compared up to 16,384 characters of JSON, and behind
   * @fastify/session at any size). If its end is due to move, the store moves it in the background:
   *   in order with the session's other writes, counted in `stats().callsInFlight`, and awaited by
   *   {@link DynamoDBSessionStore.close}. The move is skipped while `maxCallsInFlight` calls wait.
   *   If it fails, the failure is counted and logged, but not passed to the caller. New and changed
   *   sessions, and those that must be sealed again, call back when they are stored.
   *
   * Fails with `ERR_SERIALIZATION`, `ERR_SESSION_TOO_LARGE`, `ERR_CONFIG`, and with
   * `onConflict: 'error'` also with `ERR_CONFLICT`. Nothing is written then.
   */
  set(sid: string, session: T, callback: ((error?: any) => void) | undefined): void;
  set(sid: string, session: T): Promise<void>;

  /**
   * Moves a session's end as `set` would, without rewriting its content: one UpdateItem of `ttl`,
   * or nothing within `touchAfter`.
   * - A session that is gone stays gone, and one that has ended stays ended. Both are a success.
   * - A session whose new end has passed is removed.
   * - A record of version 2 limits how long touches can extend the session (to twice its lifetime).
   *   Past that limit, the session is sealed again, on condition that nobody has written it
   *   meanwhile.
   * - A known session whose cookie has changed (its path, its lifetime, anything but its moving
   *   expiry), or that must be sealed again, is saved as by `set`.
   *
   * With a callback, `touch` calls back before it returns for every other known session.
   *
   * Fails with `ERR_CONFIG`; where it saves, as `set` does.
   */
  touch(sid: string, session: T, callback: ((error?: any) => void) | undefined): void;
  touch(sid: string, session: T): Promise<void>;

  /**
   * Reads a session and removes it, for what may be used once. Of all callers on all servers, one
   * gets the session. The others get `null`, as if it had never been there. Sends a GetItem, a KMS
   * Decrypt if the data key is not cached, and a DeleteItem on condition that the session is as it
   * was read.
   *
   * At most once, never twice: the session is removed only after it was opened. If KMS is not
   * available, or the record cannot be opened, it stays. If DynamoDB carried out the removal and
   * its reply was lost, nobody gets the session: the call gives `null`, or fails with
   * `ERR_DYNAMODB_UNAVAILABLE`.
   *
   * A taken session is gone, as after {@link destroy}: a late save of it brings nothing back, and
   * its cached data key is wiped.
   * @param sid the id of the session.
   * @returns the session, as `get` would have given it; `null` if there is none, it has expired, or
   *   another caller took it.
   *
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, `ERR_CONFIG`, and then removes
   * nothing. `onIntegrityFailure` has the same effect as on `get`.
   */
  take(sid: string, callback: (error: any, session?: T | null) => void): void;
  take(sid: string): Promise<T | null>;

  /**
   * Removes a session and wipes its cached data key. Succeeds if the session is already gone. Fails
   * with `ERR_CONFIG`.
   */
  destroy(sid: string, callback: ((error?: any) => void) | undefined): void;
  destroy(sid: string): Promise<void>;

  /**
   * Returns every live session of this store (its `prefix`), each with its `id` as an extra
   * property. Reads the whole table: for small tables and administration.
   *
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION` if one of the records cannot be
   * opened.
   */
  all(callback: (error: any, sessions?: Array<T & { id: string }>) => void): void;
  /**
   * The signature that the frameworks' types have: their session type is the one that the
   * application declares.
   */
  all(callback: (error: any, sessions?: any) => void): void;
  all(): Promise<Array<T & { id: string }>>;

  /**
   * Iterates over every live session of this store, page by page: `for await (const session of
   * store.sessions())`. Each has the property `id`. It reads the next page (1 MB of the table) when
   * those of the page before were taken, so memory stays bounded, and stops reading if the loop is
   * left. A session that is saved or ends meanwhile may be there or not.
   *
   * The iterator fails as `all` does, and with `ERR_CLOSED` once the store is closed.
   */
  sessions(): AsyncGenerator<T & { id: string }, void, undefined>;

  /**
   * Returns the ids of every live session of this store. Reads the keys of the whole table, without
   * KMS. With `hashSessionIds`, it opens every session instead, and fails as `all` does.
   */
  ids(callback: (error: any, ids?: string[]) => void): void;
  ids(): Promise<string[]>;

  /**
   * Returns the number of live sessions of this store. Reads the keys of the whole table, without
   * KMS.
   */
  length(callback: (error: any, length?: number) => void): void;
  length(): Promise<number>;

  /**
   * Removes every session of this store, including expired ones, in batches. Other items of the
   * table stay.
   */
  clear(callback: ((error?: any) => void) | undefined): void;
  clear(): Promise<void>;

  /**
   * Returns the live sessions of a user with their ids, the latest login first; an empty array if
   * there are none. Each object has the property `id`. Reads the user's list (one item) and each of
   * the sessions on it, and opens them: one Decrypt of KMS for each data key that is not cached.
   *
   * @param userId the user's id, as `users.idOf` gives it: a string, or a whole number, which is
   *   the same user as its decimal digits.
   *
   * Fails with `ERR_CONFIG` without the option `users` or for another user id, and with
   * `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION` if one of the sessions cannot be opened.
   */
  sessionsOf(userId: UserId, callback: (error: any, sessions?: Array<T & { id: string }>) => void): void;
  sessionsOf(userId: UserId): Promise<Array<T & { id: string }>>;

  /**
   * Ends all sessions of a user, on every server. A session that was saved before the call is gone
   * when it resolves. A login that meets the call is either ended or was committed after it.
   *
   * A call that fails has ended some of the sessions; call it again. A session that was saved last
   * by a store without the option `users` is not on the user's list (docs/users.md).
   *
   * @param userId the user's id, as for `sessionsOf`.
   * @param options `except`: the id of a session that stays, such as the one of this request:
   *   `request.sessionID` on Express, `request.session.sessionId` on Fastify.
   * @returns how many sessions were ended.
   *
   * Fails with `ERR_CONFIG` without the option `users`, for another user id and for unknown options.
   */
  destroyAllOf(
    userId: UserId,
    options: { except?: string | undefined } | undefined,
    callback: (error: any, ended?: number) => void,
  ): void;
  destroyAllOf(userId: UserId, callback: (error: any, ended?: number) => void): void;
  destroyAllOf(userId: UserId, options?: { except?: string | undefined }): Promise<number>;

  /**
   * Changes a session safely: reads it, calls `mutate` with it, and writes it on condition that
   * nobody else has written meanwhile. If somebody has, it starts again, so `mutate` can be called
   * several times. The session keeps its end, unless `mutate` changes `cookie.expires`. If that is
   * changed to a moment that has passed, the session is removed.
   * @param target a session id, or the session object of the current request (`request.session`).
   *   That object then holds what was written, so that the save at the end of the request does not
   *   undo it. It must have no unsaved changes (`ERR_CONFLICT`), and must have been saved once
   *   (`ERR_NOT_SAVED`): the first request of a session, or one after `regenerate`, saves its
   *   session first.
   * @param mutate changes the session in place and returns nothing, or returns the whole session to
   *   write, directly or as a promise. If it throws, the call fails with what it threw, and nothing
   *   is written.
   * @returns the session as it was written; `null` if there is none, or if it was removed.
   *
   * Fails, and writes nothing, with `ERR_CONFIG` if `mutate` changes the session and returns
   * something else, as `(s) => (s.n = 1)` does, or returns an object without the cookie that the
   * session has; with `ERR_SERIALIZATION` if it returns something that is not an object. Fails with
   * `ERR_CONFLICT` (retryable) at the deadline, and with `ERR_SERIALIZATION`,
   * `ERR_SESSION_TOO_LARGE`, `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_NOT_SAVED`, `ERR_CONFIG`.
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
   * Gives the session with a token that is good. If the token has run out, one caller of all
   * processes renews it with `options.refresh`. All others wait for the session that it wrote.
   * Callers of one process share one wait and one result. docs/tokens.md has the whole story.
   * @param target a session id, or the session object of the current request (`request.session`).
   *   If its token is good, the call resolves with it at once and sends nothing. Otherwise that
   *   object then holds what is stored, so that the save at the end of the request has nothing to
   *   write. It must have no unsaved changes (`ERR_CONFLICT`), and must have been saved once
   *   (`ERR_NOT_SAVED`).
   * @param options `refresh`, and either `isFresh` or `expiresAt`, are required. `waitSeconds`
   *   limits how long the caller waits for somebody else, not its own `refresh`. `leaseSeconds` is
   *   how long others wait if the process that renews the token dies.
   * @returns the session with its token: the object given, or a new one if an id was given; `null`
   *   if there is no session, or if it was removed meanwhile.
   *
   * With `expiresAt`, a token is renewed shortly before its end. Until then, all other callers get
   * the session as it is, and so does the caller whose renewal fails; the failure is logged.
   *
   * Fails with what `refresh` throws, for all callers that shared it; with `ERR_LOCK_TIMEOUT`
   * (retryable) after `waitSeconds`; with the reason of `options.signal`; with `ERR_CONFIG` for
   * wrong options, if `isFresh` or `expiresAt` throws or returns something else, and if `refresh`
   * returns a wrong value; and with the other codes of {@link update}. If the result of `refresh`
   * cannot be stored, this process keeps it, and the next call for that session stores it first.
   */
  refresh(target: string | object, options: RefreshOptions<T>): Promise<T | null>;
  refresh(target: string | object, options: RefreshOptions<T>, callback: (error: any, session?: T | null) => void): void;

  /**
   * Runs `task` while no other process runs one for the same session, for work such as refreshing
   * an OAuth token once. It takes a lease in the same table, renews it while the task runs, and
   * releases it. If the holder dies, the lease ends by itself. Not reentrant.
   * @param target a session id, or the session object of the current request (`request.session`).
   * @param task gets a signal that aborts if the lease is lost (another process may then hold it)
   *   or if `options.signal` aborts.
   * @returns the result of `task`.
   *
   * Fails with what `task` throws, with `ERR_LOCK_TIMEOUT` (retryable) after `waitSeconds`, with
   * the reason of `options.signal`, and with `ERR_CONFIG`.
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
   * For a probe. Succeeds if the table is ACTIVE and has the right key schema, and the KMS key makes
   * and unwraps a data key (DescribeTable, GenerateDataKey, Decrypt). With `keys: false`, it asks the
   * table alone (DescribeTable): sessions whose data key is cached are served without KMS.
   *
   * Fails with the codes of the table and of KMS, such as `ERR_TABLE_NOT_FOUND`,
   * `ERR_TABLE_SCHEMA`, `ERR_DYNAMODB_UNAVAILABLE`, `ERR_KMS_UNAVAILABLE`, `ERR_KMS_KEY_UNUSABLE`
   * and `ERR_ACCESS_DENIED`, and with `ERR_CONFIG`.
   */
  ping(callback: ((error?: any) => void) | undefined): void;
  ping(options: PingOptions | undefined, callback: (error?: any) => void): void;
  ping(options?: PingOptions): Promise<void>;

  /**
   * Returns the record as it is in the table, still sealed, or `null`. It is for support, and shows
   * what a reader of the table sees.
   *
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_CONFIG`.
   */
  record(sid: string, callback: (error: any, record?: EncryptedSessionRecord | null) => void): void;
  record(sid: string): Promise<EncryptedSessionRecord | null>;

  /** Returns the counters of this store. Also works on a closed store. */
  stats(): SessionStoreStats;

  /**
   * Refuses further calls (`ERR_CLOSED`), waits for those in flight, and wipes the cached data
   * keys. Can be called again. Calls end by their deadline; `all`, `ids`, `length`, `clear`,
   * `sessionsOf` and `destroyAllOf`, which have none as a whole, fail with `ERR_CLOSED` after
   * `callMillis`. `close` does not wait for the tasks of `withLock`: their leases end by themselves.
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

  /** As in express-session's `Store`. */
  regenerate(req: any, callback: (error?: any) => any): void;
  /** As in express-session's `Store`. */
  load(sid: string, callback: (error: any, session?: any) => any): void;
  /**
   * As in express-session's `Store`: creates the session object of a request. Its classes are those
   * of the express-session that the store was given to. A process whose first request comes with a
   * cookie learns these classes by asking the application's `genid` for an id, which is not used.
   * @throws {SessionStoreError} `ERR_CONFIG` if the store was not given to a middleware of
   *   express-session.
   */
  createSession(req: any, session: any): any;
}

/**
 * The options of {@link SealedStore}: those of {@link SessionStoreConfig} that are not about
 * sessions and frameworks. `touchAfter`, `onConflict`, `maxRecentSessions` and `guardReplies` are
 * refused. What `SessionStoreConfig` says of sessions holds for items.
 */
export interface SealedStoreConfig
  extends Omit<SessionStoreConfig, 'ttlSeconds' | 'touchAfter' | 'onConflict' | 'maxRecentSessions' | 'guardReplies' | 'users'> {
  /**
   * Comes before every id in the table, as in {@link SessionStoreConfig.prefix}. Give every kind of
   * item a prefix of its own. Default `'item:'`.
   */
  prefix?: string | undefined;
  /**
   * How many seconds an item lives after `put`, 1 to 315,360,000 (ten years), unless `put` says
   * otherwise. Default 604,800 (7 days).
   */
  ttlSeconds?: number | undefined;
  /** As in {@link SessionStoreConfig.recordVersion}. Default 2. */
  recordVersion?: 1 | 2 | undefined;
  /** As in {@link SessionStoreConfig.acceptVersions}. Default: `recordVersion` alone. */
  acceptVersions?: Array<1 | 2> | undefined;
  /** As in {@link SessionStoreConfig.hashSessionIds}, for the ids of items. Default `true`. */
  hashSessionIds?: boolean | { secret: string } | undefined;
}

/** Options of {@link SealedStore.put}. */
export interface PutOptions {
  /** How many seconds the item lives, 1 to 315,360,000. Default: the `ttlSeconds` of the store. */
  ttlSeconds?: number | undefined;
}

/** The result of {@link SealedStore.stats}: counts since the store was created. */
export interface SealedStoreStats extends Omit<SessionStoreStats, 'sessions' | 'refreshes'> {
  items: {
    /** Written by `put`, or changed by `update`. */
    written: number;
    /** Read and removed by `take`. */
    taken: number;
    /** Changed by somebody else while an `update` ran, which then read it again. */
    conflicts: number;
  };
}

/**
 * Keeps values that are no sessions, sealed as sessions are: authorization codes, pending logins,
 * bearer tokens. It can share a table with session stores and with other `SealedStore`s: no store
 * lists, counts, clears or opens records of the other kind. `T` is the type of the values.
 *
 * A value is anything that `JSON.stringify` writes, and comes back as `JSON.parse` reads it.
 * `cookie` and `expires` have no meaning in it.
 *
 * Every method returns a promise and never throws. A promise that nobody handles rejects into the
 * log alone. Methods can be taken out of the store and called on their own. Writes to one id are
 * sent in the order in which they were requested, and reads of it wait for the writes that this
 * process was asked for before.
 *
 * Any method can fail with the codes that {@link DynamoDBSessionStore} lists under *Errors*, and
 * with those that its own documentation names. In their texts, *session* also stands for an item.
 */
export class SealedStore<T = any> {
  /**
   * Checks the options. Connects to nothing and opens nothing.
   * @throws {SessionStoreError} `ERR_CONFIG`, whose `detail` names the option that is unknown, not
   *   of this class, has a wrong type or value, or contradicts another.
   */
  constructor(config?: SealedStoreConfig);

  /**
   * Stores a value, in place of any other under this id. Sends a PutItem.
   * @param id a non-empty string without lone surrogates, at most 2,048 UTF-8 bytes together with
   *   `prefix`.
   * @param value any JSON value.
   *
   * Fails with `ERR_SERIALIZATION` for what is no JSON value (`undefined`, a function, a BigInt, a
   * cycle), `ERR_SESSION_TOO_LARGE`, `ERR_CONFIG`. Nothing is written then.
   */
  put(id: string, value: T, options?: PutOptions): Promise<void>;

  /**
   * Reads a value. Sends a GetItem, and a KMS Decrypt only if the data key is not cached.
   * @returns the value; `null` if there is none or it has expired. (A stored `null` reads as `null`,
   *   too.)
   *
   * Fails with `ERR_INTEGRITY`, `ERR_VERSION`, `ERR_SERIALIZATION`, `ERR_CONFIG`.
   */
  get(id: string): Promise<T | null>;

  /**
   * Reads a value and removes it: of all callers on all servers, one gets it. At most once, never
   * twice; see {@link DynamoDBSessionStore.take} for what happens in an outage.
   * @returns the value; `null` if there is none, it has expired, or another caller took it.
   *
   * Fails as `get` does, and then removes nothing.
   */
  take(id: string): Promise<T | null>;

  /**
   * Removes an item and wipes its cached data key. Succeeds if there is none. Fails with
   * `ERR_CONFIG`.
   */
  delete(id: string): Promise<void>;

  /**
   * Changes a value safely: reads it, calls `change` with it, and writes it on condition that nobody
   * else has written meanwhile. If somebody has, it starts again, so `change` can be called several
   * times. The item keeps its end.
   * @param change changes the value in place and returns nothing, or returns the value to write,
   *   directly or as a promise. If it throws, the call fails with what it threw, and nothing is
   *   written.
   * @returns the value as it was written; `null` if there is none.
   *
   * Fails, and writes nothing, with `ERR_CONFIG` if `change` changes the value and returns something
   * else, as `(v) => (v.n = 1)` does. Fails with `ERR_CONFLICT` (retryable) at the deadline, with
   * `ERR_SERIALIZATION`, `ERR_SESSION_TOO_LARGE`, and as `get` does.
   */
  update(id: string, change: SessionMutation<T>, options?: UpdateOptions): Promise<T | null>;

  /**
   * Runs `task` while no other process runs one for the same id of this `prefix`, as
   * {@link DynamoDBSessionStore.withLock} does. The item need not exist.
   *
   * Fails with what `task` throws, with `ERR_LOCK_TIMEOUT` (retryable) after `waitSeconds`, with the
   * reason of `options.signal`, and with `ERR_CONFIG`.
   */
  withLock<R>(id: string, task: (signal: AbortSignal) => R | PromiseLike<R>, options?: LockOptions): Promise<R>;

  /**
   * Returns the ids of every live item of this store. Reads the whole table, and opens every item
   * unless `hashSessionIds` is `false`. Fails with `ERR_INTEGRITY`, `ERR_VERSION` if one of them
   * cannot be opened.
   */
  ids(): Promise<string[]>;

  /** Returns the number of live items of this store. Reads the keys of the whole table. */
  length(): Promise<number>;

  /** Removes every item of this store, including expired ones. Everything else in the table stays. */
  clear(): Promise<void>;

  /** For a probe, as {@link DynamoDBSessionStore.ping}. */
  ping(options?: PingOptions): Promise<void>;

  /** Returns the counters of this store. Also works on a closed store. */
  stats(): SealedStoreStats;

  /**
   * Refuses further calls (`ERR_CLOSED`), waits for those in flight, and wipes the cached data keys,
   * as {@link DynamoDBSessionStore.close}.
   */
  close(): Promise<void>;
}

/**
 * Encrypts a text with AES-256-GCM under a new data key from KMS ({@link KMS_KEY_ARN},
 * GenerateDataKey), or of the folder that the environment's `SESSIONS_LOCAL` names. The call has the
 * default {@link Timeouts}, but belongs to no store: it is not limited by `maxCallsInFlight`, not
 * counted and not logged.
 * @param data the text, without lone surrogates.
 * @throws {SessionStoreError} (rejects) `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`,
 *   `ERR_CONFIG`; `ERR_SERIALIZATION` if `data` is not a well-formed string.
 */
export function encryptSessionData(data: string): Promise<EncryptionResult>;

/**
 * Decrypts the result of {@link encryptSessionData}, or the four attributes of a version 1 record,
 * all canonical base64.
 * @throws {SessionStoreError} (rejects) `ERR_INTEGRITY` if anything was changed or malformed;
 *   `ERR_KMS_…`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`, `ERR_CONFIG`.
 */
export function decryptSessionData(encryptedData: string, encryptedKey: string, iv: string, authTag: string): Promise<string>;

/** The options of {@link createEnvelope}. Each means what it does in {@link SessionStoreConfig}. */
export interface EnvelopeConfig {
  /**
   * The KMS key that wraps the data keys, or a list: the first wraps, and all of them unwrap.
   * Default {@link KMS_KEY_ARN}.
   */
  kmsKeyArn?: string | string[] | undefined;
  /**
   * A check: KMS is called in the region of the key's ARN, and another region here is `ERR_CONFIG`.
   */
  region?: string | undefined;
  /** The same as `kmsEndpoint`. */
  endpoint?: string | undefined;
  /** KMS's URL. Default: `AWS_ENDPOINT_URL_KMS`, else `AWS_ENDPOINT_URL`, else AWS's own. */
  kmsEndpoint?: string | undefined;
  /** The profile of the AWS configuration files. Default: the default chain, with `AWS_PROFILE`. */
  profile?: string | undefined;
  /** The ARN of an IAM role to assume for every call. */
  roleArn?: string | undefined;
  /**
   * Added to the KMS encryption context, which has `purpose: 'envelope'`. CloudTrail shows it in
   * plaintext. It must not change while there are envelopes to open.
   */
  encryptionContext?: Record<string, string> | undefined;
  /**
   * - `true` (default): data keys are cached within {@link KeyCacheLimits}. One data key seals until
   *   its age, its seals or its bytes reach the limit.
   * - `'strict'`: the same, with the store's strict limits.
   * - `false`: a new data key for each `encrypt`, and a Decrypt for each `decrypt`.
   */
  keyCache?: boolean | 'strict' | KeyCacheLimits | undefined;
  /** How long calls to KMS may take. */
  timeouts?: Timeouts | undefined;
  /** How many calls may wait for an answer; one more is `ERR_OVERLOADED`. Default 1,000. */
  maxCallsInFlight?: number | undefined;
  /** Default: `console`. */
  logger?: SessionStoreLogger | undefined;
  /** As in {@link SessionStoreConfig.logFields}. */
  logFields?: 'first' | 'last' | false | undefined;
  /**
   * Local mode, for development and tests: the key file in this folder wraps the data keys. Default:
   * the environment's `SESSIONS_LOCAL`, as for a store.
   */
  local?: { path: string } | undefined;
}

/** Options of {@link Envelope.encrypt} and {@link Envelope.decrypt}. */
export interface EnvelopeOptions {
  /**
   * What the envelope belongs to, such as `{ user: 'ada', provider: 'google' }`: names with texts,
   * in any order. It is authenticated with the ciphertext, but is not part of the result, and is
   * not sent to KMS. A plain object with own properties: an instance of a class, an accessor, a
   * symbol or a property that is not enumerable is `ERR_CONFIG`. Default `{}`.
   */
  context?: Record<string, string> | undefined;
}

/**
 * The result of {@link Envelope.encrypt}. All strings but `type` are base64. It can be stored as
 * JSON, and other properties beside these are ignored. docs/envelope.md describes every byte.
 */
export interface SealedEnvelope<Type extends 'text' | 'bytes' = 'text' | 'bytes'> {
  /** Whether a string or a `Uint8Array` was encrypted. It is authenticated. */
  type: Type;
  encryptedData: string;
  /** The data key, wrapped by KMS. */
  encryptedKey: string;
  /** The 12-byte initialization vector of AES-256-GCM, new for every envelope. */
  iv: string;
  /** The 16-byte authentication tag of AES-256-GCM. */
  authTag: string;
  /** The 16 random bytes from which the keys are derived. They stay the same with the data key. */
  salt: string;
  /** The 32 bytes that commit the envelope to its data key. */
  commit: string;
}

/** The result of {@link Envelope.stats}: counts since the envelope was created. */
export interface EnvelopeStats {
  keyCache: SessionStoreStats['keyCache'];
  requests: { kms: RequestCounts };
  /** Failed calls by code. A code that never occurred is missing. */
  errors: Partial<Record<SessionStoreErrorCode, number>>;
  /** As in {@link SessionStoreStats.operations}. */
  operations: Record<string, OperationStats>;
  /** Calls that wait for an answer now. */
  callsInFlight: number;
}

/**
 * What {@link createEnvelope} makes. Its methods return promises, never throw, and can be taken out
 * of it. Any call can fail with `ERR_KMS_UNAVAILABLE`, `ERR_KMS_THROTTLED`,
 * `ERR_KMS_KEY_UNUSABLE`, `ERR_ACCESS_DENIED`, `ERR_CREDENTIALS`, `ERR_CONFIG`, `ERR_OVERLOADED`,
 * `ERR_INTERNAL` and `ERR_CLOSED`, and with the codes that its own documentation names.
 */
export interface Envelope {
  /**
   * Seals a text or bytes. KMS is asked for a data key only if none is cached that may still seal.
   * Bytes are copied before the method returns.
   * @param data a string without lone surrogates, or a `Uint8Array` (a `Buffer` is one).
   *
   * Fails with `ERR_SERIALIZATION` if it is neither.
   */
  encrypt(data: string, options?: EnvelopeOptions): Promise<SealedEnvelope<'text'>>;
  encrypt(data: Uint8Array, options?: EnvelopeOptions): Promise<SealedEnvelope<'bytes'>>;
  encrypt(data: string | Uint8Array, options?: EnvelopeOptions): Promise<SealedEnvelope>;

  /**
   * Opens what `encrypt` gave: with the same key, `encryptionContext` and `context`. KMS is asked
   * only if the data key is not cached.
   * @returns a string if a string was encrypted, else a new `Uint8Array`.
   *
   * Fails with `ERR_INTEGRITY` if anything was changed, or was encrypted for another context or under
   * another key; with `ERR_VERSION` if a later release encrypted it.
   */
  decrypt(sealed: SealedEnvelope<'text'>, options?: EnvelopeOptions): Promise<string>;
  decrypt(sealed: SealedEnvelope<'bytes'>, options?: EnvelopeOptions): Promise<Uint8Array>;
  decrypt(sealed: SealedEnvelope, options?: EnvelopeOptions): Promise<string | Uint8Array>;

  /** Returns the counters. Also works on a closed envelope. */
  stats(): EnvelopeStats;

  /**
   * Refuses further calls (`ERR_CLOSED`), waits for those in flight, and wipes the cached data keys.
   * Can be called again.
   */
  close(): Promise<void>;
}

/**
 * Makes an envelope: AES-256-GCM for texts and bytes that lie where you keep them, under data keys
 * of KMS that are cached and used again. What it seals is bound to a context, is committed to its
 * data key, and never opens as a session. Connects to nothing and opens nothing.
 * @throws {SessionStoreError} `ERR_CONFIG`, whose `detail` names the option that is unknown, has a
 *   wrong type or value, or contradicts another.
 */
export function createEnvelope(config?: EnvelopeConfig): Envelope;

/** What {@link guardReplies} needs of a Fastify 5 application. Every `FastifyInstance` has it. */
export interface FastifyApplication {
  addHook(name: 'onRoute', hook: (route: any) => void): unknown;
  log: { warn(message: string): void };
}

/** The options of {@link guardReplies}. */
export interface GuardRepliesOptions {
  /**
   * Called once for each place that is found, with its name:
   * - a handler by its route, such as `GET /users/:id` (`GET|POST /both` for a route of two
   *   methods);
   * - a route's hook, such as `onRequest hook of GET /admin`,
   *   `preHandler hook (requireUser) of GET /admin`, or `preHandler hook 2 of GET /admin` for one
   *   without a name in an array;
   * - a hook of `addHook`, such as `onRequest hook (requireUser) of all routes` or
   *   `onRequest hook of all routes under /admin`;
   * - `error handler of …` and `not-found handler of …`.
   *
   * If it throws, or returns a promise that rejects, that is ignored. Default: one line for
   * `app.log.warn`, which is lost in an application without a logger.
   */
  report?: ((place: string) => unknown) | undefined;
}

/** What {@link guardReplies} has found so far. */
export interface GuardedReplies {
  /**
   * The names of the hooks and handlers, in the order in which they were found. The array grows
   * while the application runs.
   */
  readonly routes: readonly string[];
}

/**
 * Makes a reply of a Fastify 5 application count as sent as soon as `reply.send()` or
 * `reply.redirect()` has returned, as it does with the in-memory session store. Behind a store that
 * calls back later, Fastify assumes that an async hook has passed if it refuses a request without
 * returning the reply, and **runs the handler that the hook protects**. The process then ends with
 * `ERR_HTTP_HEADERS_SENT`.
 *
 * With the guard:
 * - After an answer, no later hook and no handler runs, whichever of these answered: hooks of
 *   routes, instances and plugins (`onRequest`, `preParsing`, `preValidation`, `preHandler`, also
 *   with callbacks), decorators such as those of @fastify/passport and @fastify/auth, handlers,
 *   error handlers and not-found handlers.
 * - A second answer is ignored, and so is an error that is thrown after an answer, even if the
 *   client has disconnected meanwhile.
 * - A header or payload that cannot be sent gives a 500, as with the in-memory store, and not an
 *   uncaught exception.
 * - A stream that fails while the session is being saved, and a WebSocket client that resets its
 *   connection while the session is being read, do not end the process. A Node.js stream whose
 *   session cannot be saved is destroyed when the response has ended.
 * - Async hooks and handlers that answered without returning or awaiting the reply are reported.
 * - Other hooks and handlers run as they would without it.
 *
 * It also saves a session of @fastify/session (11.1.2 or newer) that a handler changed and answered
 * through `reply.raw`, when the response and the handler have ended: Fastify does not run the hook
 * that saves it. It overwrites nothing that another request has stored meanwhile, and names the
 * route in `app.log` where the change could not be stored. The session keeps the end that other
 * requests have given it.
 *
 * **You rarely need to call it**: every application that is created after the import of this
 * package has the guard. It is active once the process has created a {@link DynamoDBSessionStore},
 * unless that has `guardReplies: false`. Call it to be told of the places, to find them while the
 * store is still another one, or to guard an application that was created before the import. In
 * that last case, call it before hooks and routes are registered.
 * @param app the application. If it has the guard already, this call adds `report`, at any time.
 * @throws {TypeError} if `app` is not a Fastify instance, or `report` is not a function.
 * @throws {Error} if the application has no guard and has started already, or replaces `reply.send`
 *   itself. The `cause` is Fastify's error.
 */
export function guardReplies(app: FastifyApplication, options?: GuardRepliesOptions): GuardedReplies;

/** @deprecated The former name of {@link guardReplies}. */
export function findUnreturnedReplies(app: FastifyApplication, options?: GuardRepliesOptions): GuardedReplies;

/** @deprecated The former name of {@link GuardRepliesOptions}. */
export type UnreturnedRepliesOptions = GuardRepliesOptions;

/** @deprecated The former name of {@link GuardedReplies}. */
export type UnreturnedReplies = GuardedReplies;

/**
 * `KMS_KEY_ARN` in the environment of this thread when this module was loaded, else
 * `arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a`.
 */
export const KMS_KEY_ARN: string;

/** `SESSIONS_TABLE` in the environment of this thread when this module was loaded, else `mcp-gateway-sessions`. */
export const SESSIONS_TABLE: string;

/** `AWS_REGION` in the environment of this thread when this module was loaded, else `us-east-1`. */
export const AWS_REGION: string;

/** The process's KMS client with the environment's settings, created on first use. */
export const kmsClient: AwsClientHandle;

/** The process's DynamoDB client with the environment's settings, created on first use. */
export const docClient: AwsClientHandle;
