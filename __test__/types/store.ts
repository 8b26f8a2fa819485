// What the compiler must infer, and what it must refuse, of everything that the package exports.

import type { EventEmitter } from 'node:events';
import type Bunyan from 'bunyan';
import {
  AWS_REGION,
  type AwsClientHandle,
  type CallMessage,
  type ConflictMessage,
  createEnvelope,
  DynamoDBSessionStore,
  decryptSessionData,
  docClient,
  type EncryptedSessionRecord,
  type EncryptionResult,
  type Envelope,
  type EnvelopeConfig,
  type EnvelopeStats,
  encryptSessionData,
  type KeyCacheLimits,
  KMS_KEY_ARN,
  kmsClient,
  LATENCY_BUCKETS,
  type LeaseMessage,
  type OperationStats,
  type RequestMessage,
  type RevocationMessage,
  type SESSIONS_TABLE,
  type SealedEnvelope,
  SealedStore,
  type SealedStoreConfig,
  type SealedStoreStats,
  type SessionData,
  type SessionStoreConfig,
  SessionStoreError,
  type SessionStoreErrorCode,
  type SessionStoreLogEvent,
  type SessionStoreLogFields,
  type SessionStoreLogger,
  type SessionStoreStats,
  type UserId,
  type UsersOptions,
} from 'connect-dynamodb-kms';
import pino from 'pino';
import winston from 'winston';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_same: Same<A, B>): void {}

// Options

new DynamoDBSessionStore();
new DynamoDBSessionStore(undefined);
new DynamoDBSessionStore({});
const everything: Required<SessionStoreConfig> = {
  tableName: 'sessions',
  ttlSeconds: (session) => (session.cookie ? 60 : 3600),
  kmsKeyArn: KMS_KEY_ARN,
  region: AWS_REGION,
  endpoint: 'http://127.0.0.1:8000',
  dynamodbEndpoint: 'http://127.0.0.1:8000',
  kmsEndpoint: 'http://127.0.0.1:8001',
  profile: 'live',
  roleArn: 'arn:aws:iam::232282424912:role/store',
  prefix: 'app:',
  keyCache: false,
  recordVersion: 2,
  acceptVersions: [0, 1, 2],
  boundTableName: 'sessions-before',
  encryptionContext: { app: 'gateway' },
  hashSessionIds: { secret: 'a secret of the tests' },
  touchAfter: 60,
  batchReads: false,
  onIntegrityFailure: 'destroy',
  onConflict: 'error',
  maxRecentSessions: 10_000,
  timeouts: { connectMillis: 1000, attemptMillis: 2000, callMillis: 5000 },
  maxCallsInFlight: 1000,
  guardReplies: false,
  users: { idOf: 'user.id', secret: 'a secret of the users', maxSessions: 5 },
  logger: console,
  logFields: 'last',
  kmsClient,
  docClient,
  local: { path: './.sessions' },
};
const store: DynamoDBSessionStore = new DynamoDBSessionStore(everything);
same<SessionStoreConfig['ttlSeconds'], number | ((session: SessionData) => number) | undefined>(true);
new DynamoDBSessionStore({
  ...{ tableName: undefined, timeouts: { callMillis: undefined }, keyCache: { maxEntries: undefined }, local: undefined },
});
new DynamoDBSessionStore({ ttlSeconds: 60, region: undefined, logger: { warn: (_text: string) => {}, debug: () => {} } });

// @ts-expect-error an unknown option
new DynamoDBSessionStore({ table: 'sessions' });
// @ts-expect-error an unknown option, in another case
new DynamoDBSessionStore({ tablename: 'sessions' });
// @ts-expect-error a number
new DynamoDBSessionStore({ tableName: 7 });
// @ts-expect-error no null for "left out"
new DynamoDBSessionStore({ tableName: null });
// @ts-expect-error a string
new DynamoDBSessionStore({ ttlSeconds: '60' });
// @ts-expect-error a function that gives no number
new DynamoDBSessionStore({ ttlSeconds: () => '60' });
// @ts-expect-error a function that gives a promise
new DynamoDBSessionStore({ ttlSeconds: async () => 60 });
// @ts-expect-error a URL object
new DynamoDBSessionStore({ endpoint: new URL('http://127.0.0.1:8000') });
new DynamoDBSessionStore({ keyCache: 'strict', kmsKeyArn: [KMS_KEY_ARN], recordVersion: 1, hashSessionIds: true });
new DynamoDBSessionStore({
  keyCache: { maxEntries: 5, maxAgeSeconds: 60, maxSealsPerKey: 9, maxBytesPerKey: 9, revocationCheckSeconds: 9 },
});
const limits: KeyCacheLimits = {};
new DynamoDBSessionStore({ keyCache: limits });
// @ts-expect-error another text
new DynamoDBSessionStore({ keyCache: 'no' });
// @ts-expect-error an unknown limit
new DynamoDBSessionStore({ keyCache: { maxAge: 60 } });
// @ts-expect-error a version that there is not
new DynamoDBSessionStore({ recordVersion: 3 });
// @ts-expect-error a version that no record is written in
new DynamoDBSessionStore({ recordVersion: 0 });
// @ts-expect-error one version that there is not
new DynamoDBSessionStore({ acceptVersions: [2, 3] });
// @ts-expect-error a context with a number
new DynamoDBSessionStore({ encryptionContext: { app: 7 } });
// @ts-expect-error a secret without a name
new DynamoDBSessionStore({ hashSessionIds: 'a secret of the tests' });
new DynamoDBSessionStore({ users: { idOf: (session) => session.passport?.user, secret: 's' } });
const inSessions: UsersOptions = { idOf: () => 7n, secret: 's', maxSessions: undefined };
new DynamoDBSessionStore({ users: inSessions });
// @ts-expect-error users without a secret
new DynamoDBSessionStore({ users: { idOf: 'user.id' } });
// @ts-expect-error users without idOf
new DynamoDBSessionStore({ users: { secret: 's' } });
// @ts-expect-error a user id that is a promise
new DynamoDBSessionStore({ users: { idOf: async () => 'ada', secret: 's' } });
// @ts-expect-error a user id that is an object
new DynamoDBSessionStore({ users: { idOf: () => ({ id: 7 }), secret: 's' } });
// @ts-expect-error an option that there is not
new DynamoDBSessionStore({ users: { idOf: 'user.id', secret: 's', max: 5 } });
// @ts-expect-error a number among the keys
new DynamoDBSessionStore({ kmsKeyArn: [KMS_KEY_ARN, 7] });
// @ts-expect-error a logger without debug
new DynamoDBSessionStore({ logger: { warn() {} } });
// @ts-expect-error a path instead of an object with one
new DynamoDBSessionStore({ local: './.sessions' });
// @ts-expect-error no path
new DynamoDBSessionStore({ local: {} });
// @ts-expect-error an unknown option of local
new DynamoDBSessionStore({ local: { path: './.sessions', mode: 0o600 } });
// @ts-expect-error another object
new DynamoDBSessionStore({ kmsClient: {} });
// @ts-expect-error another object
new DynamoDBSessionStore({ docClient: 'dynamodb' });
// @ts-expect-error an array
new DynamoDBSessionStore(['sessions']);
// @ts-expect-error two arguments
new DynamoDBSessionStore({}, {});

// Methods, with a promise

const session: SessionData = { cookie: { expires: new Date() }, user: { id: 7 } };
same<Promise<SessionData | null>, ReturnType<typeof getPromise>>(true);
function getPromise() {
  return store.get('id', { signal: AbortSignal.timeout(1000) });
}
export async function promises(): Promise<void> {
  const found = await store.get('id');
  same<typeof found, SessionData | null>(true);
  // @ts-expect-error it may be null
  found.cookie;
  if (found) found.anything.at.all;
  const nothing = [
    await store.set('id', session),
    await store.touch('id', session),
    await store.destroy('id'),
    await store.clear(),
    await store.ping(),
    await store.ping({ keys: false }),
    await store.close(),
  ] as const;
  same<(typeof nothing)[number], void>(true);
  const all = await store.all();
  same<typeof all, Array<SessionData & { id: string }>>(true);
  const first: string | undefined = all[0]?.id;
  for await (const session of store.sessions()) same<typeof session, SessionData & { id: string }>(true);
  const ids = await store.ids();
  same<typeof ids, string[]>(true);
  const length = await store.length();
  same<typeof length, number>(true);
  const taken = await store.take('id');
  same<typeof taken, SessionData | null>(true);
  const record = await store.record('id');
  same<typeof record, EncryptedSessionRecord | null>(true);
  const theirs = await store.sessionsOf('ada');
  same<typeof theirs, Array<SessionData & { id: string }>>(true);
  const user: UserId = 7;
  await store.destroyAllOf(user, { except: 'id' });
  same<Promise<number>, ReturnType<typeof store.destroyAllOf>>(true);
  await store.destroyAllOf(7n, { except: undefined });
  // @ts-expect-error no user
  await store.destroyAllOf(undefined);
  // @ts-expect-error no user
  await store.sessionsOf(null);
  // @ts-expect-error an option that there is not
  await store.destroyAllOf('ada', { but: 'id' });
  // @ts-expect-error the id itself
  await store.destroyAllOf('ada', 'id');
  void [first];
}

// Methods, with a callback

const done = [
  store.get('id', (error, found) => void [error, found]),
  store.get('id', (_error) => {}),
  store.set('id', session, (error) => void error),
  store.set('id', session, () => {}),
  store.set('id', session, undefined),
  store.touch('id', session, (error) => void error),
  store.take('id', (error, taken) => void [error, taken]),
  store.destroy('id', (error) => void error),
  store.destroy('id', undefined),
  store.all((error, sessions) => void [error, sessions]),
  store.ids((error, ids) => void [error, ids]),
  store.length((error, length) => void [error, length]),
  store.clear((error) => void error),
  store.ping((error) => void error),
  store.ping(undefined),
  store.ping({ keys: false }, (error) => void error),
  store.ping(undefined, (error) => void error),
  store.record('id', (error, record) => void [error, record]),
  store.sessionsOf('ada', (error, sessions) => void [error, sessions?.[0]?.id]),
  store.destroyAllOf('ada', (error, ended) => void [error, ended]),
  store.destroyAllOf('ada', { except: 'id' }, (error, ended) => void [error, ended]),
  store.destroyAllOf('ada', undefined, () => {}),
  store.close((error) => void error),
] as const;
same<(typeof done)[number], void>(true);

// @ts-expect-error no id
store.get();
// @ts-expect-error a number as id
store.get(7);
// @ts-expect-error no session
store.set('id');
// @ts-expect-error a text as session
store.set('id', 'session');
// @ts-expect-error a null session
store.set('id', null);
// @ts-expect-error something else than a callback
store.get('id', 'callback');
// @ts-expect-error an option that there is not
store.get('id', { timeout: 1000 });
// @ts-expect-error something else than a callback
store.destroy('id', {});
// @ts-expect-error a method of another release, or none
store.refresh('id');

interface MySession {
  cookie: { path: string };
  user: { id: number };
}
declare const mine: MySession & Record<string, unknown>;
void store.set('id', mine);

// The store is an EventEmitter

const emitter: EventEmitter = store;
store.on('connect', () => {}).off('disconnect', () => {});
for (const method of ['once', 'addListener', 'prependListener', 'prependOnceListener', 'off', 'removeListener'] as const) {
  store[method]('conflict', ({ resolution }) => void same<typeof resolution, 'overwritten' | 'refused' | 'dropped'>(true));
}
store.on('conflict', ({ session, resolution }) => {
  same<typeof session, string>(true);
  same<typeof resolution, 'overwritten' | 'refused' | 'dropped'>(true);
});
void emitter;

// Changes and leases

export async function refreshed(sid: string, held: object): Promise<number> {
  const updated = await store.update(sid, async (session) => void Object.assign(session, { n: 1 }), { deadlineSeconds: 1 });
  same<typeof updated, SessionData | null>(true);
  await store.update(held, (session) => ({ ...session, n: 2 }));
  store.update(
    sid,
    () => {},
    (error, session) => void [error, session],
  );
  store.update(
    sid,
    () => {},
    undefined,
    (error) => void error,
  );
  // @ts-expect-error what an assignment gives is not the session
  await store.update(sid, (session) => (session.user = 'ada'));
  const renewed = await store.refresh(held, {
    isFresh: (session) => session.n === 1,
    refresh: async (session, signal) => void Object.assign(session, { aborted: signal.aborted }),
  });
  same<typeof renewed, SessionData | null>(true);
  const refresh = (session: SessionData) => ({ ...session, n: 2 });
  await store.refresh(sid, { expiresAt: () => new Date(), earlySeconds: 30, refresh, name: 'google', waitSeconds: 1 });
  store.refresh(sid, { expiresAt: () => 0, refresh }, (error, session) => void [error, session?.cookie]);
  // @ts-expect-error one of both
  await store.refresh(sid, { refresh });
  // @ts-expect-error only one of both
  await store.refresh(sid, { isFresh: () => true, expiresAt: () => 0, refresh });
  // @ts-expect-error no promise
  await store.refresh(sid, { isFresh: async () => true, refresh });
  // @ts-expect-error the options are not optional
  await store.refresh(sid);
  await store.withLock(held, () => 1);
  // @ts-expect-error a function
  await store.update(sid, {});
  // @ts-expect-error an unknown option
  await store.update(sid, () => {}, { seconds: 1 });
  store.withLock(
    sid,
    () => 1,
    (error, value?: number) => void [error, value],
  );
  // @ts-expect-error a number of seconds
  await store.withLock(sid, () => 1, { leaseSeconds: '1' });
  return store.withLock(sid, (signal) => (signal.aborted ? 0 : 1), {
    leaseSeconds: 1,
    waitSeconds: 0,
    signal: AbortSignal.timeout(1),
  });
}

// Items that are no sessions

interface PendingLogin {
  state: string;
  tries: number;
}
const allOfItems: Required<SealedStoreConfig> = {
  tableName: 'sessions',
  ttlSeconds: 600,
  kmsKeyArn: KMS_KEY_ARN,
  region: AWS_REGION,
  endpoint: 'http://127.0.0.1:8000',
  dynamodbEndpoint: 'http://127.0.0.1:8000',
  kmsEndpoint: 'http://127.0.0.1:8001',
  profile: 'live',
  roleArn: 'arn:aws:iam::232282424912:role/store',
  prefix: 'code:',
  keyCache: false,
  recordVersion: 2,
  acceptVersions: [1, 2],
  boundTableName: 'items-before',
  encryptionContext: { app: 'gateway' },
  hashSessionIds: false,
  batchReads: false,
  onIntegrityFailure: 'destroy',
  timeouts: { callMillis: 5000 },
  maxCallsInFlight: 1000,
  logger: console,
  logFields: 'last',
  kmsClient,
  docClient,
  local: { path: './.sessions' },
};
const logins = new SealedStore<PendingLogin>(allOfItems);
new SealedStore();
// @ts-expect-error an option of session stores
new SealedStore({ touchAfter: 60 });
// @ts-expect-error an option of session stores
new SealedStore({ guardReplies: false });
// @ts-expect-error an option of session stores
new SealedStore({ users: inSessions });
// @ts-expect-error a function of sessions
new SealedStore({ ttlSeconds: () => 60 });
export async function itemCalls(login: PendingLogin): Promise<void> {
  same<void, Awaited<ReturnType<typeof logins.put>>>(true);
  await logins.put('id', login, { ttlSeconds: 60 });
  const found = await logins.get('id');
  same<typeof found, PendingLogin | null>(true);
  const taken = await logins.take('id');
  same<typeof taken, PendingLogin | null>(true);
  const updated = await logins.update('id', (value) => void value.tries++, { deadlineSeconds: 1 });
  same<typeof updated, PendingLogin | null>(true);
  await logins.update('id', async (value) => ({ ...value, tries: 0 }));
  await new SealedStore<number>().update('id', (count) => count + 1);
  const result = await logins.withLock('id', (signal) => signal.aborted, { waitSeconds: 0 });
  same<typeof result, boolean>(true);
  same<string[], Awaited<ReturnType<typeof logins.ids>>>(true);
  const { items, sessions }: SealedStoreStats & { sessions?: undefined } = logins.stats();
  same<typeof items, { written: number; taken: number; conflicts: number }>(true);
  void sessions;
  await logins.delete('id');
  await logins.close();
  // @ts-expect-error a value of another type
  await logins.put('id', { state: 'x' });
  // @ts-expect-error an option that there is not
  await logins.put('id', login, { ttl: 60 });
  // @ts-expect-error what an assignment gives is not the value
  await logins.update('id', (value) => (value.tries = 1));
  // @ts-expect-error no callbacks
  logins.get('id', () => {});
}

// Errors

const codes: Record<SessionStoreErrorCode, string> = {
  ERR_CONFIG: '',
  ERR_KMS_UNAVAILABLE: '',
  ERR_KMS_THROTTLED: '',
  ERR_KMS_KEY_UNUSABLE: '',
  ERR_DYNAMODB_UNAVAILABLE: '',
  ERR_DYNAMODB_THROTTLED: '',
  ERR_TABLE_NOT_FOUND: '',
  ERR_TABLE_SCHEMA: '',
  ERR_ACCESS_DENIED: '',
  ERR_CREDENTIALS: '',
  ERR_INTEGRITY: '',
  ERR_VERSION: '',
  ERR_SESSION_TOO_LARGE: '',
  ERR_SERIALIZATION: '',
  ERR_CONFLICT: '',
  ERR_NOT_SAVED: '',
  ERR_LOCK_TIMEOUT: '',
  ERR_OVERLOADED: '',
  ERR_INTERNAL: '',
  ERR_CLOSED: '',
};
// @ts-expect-error the union is closed
const other: SessionStoreErrorCode = 'ERR_OTHER';
// @ts-expect-error and no string
const text: SessionStoreErrorCode = String(other);
void [codes, text];

export function handle(error: unknown): string {
  if (!(error instanceof SessionStoreError)) return String(error);
  const asError: Error = error;
  same<typeof error.code, SessionStoreErrorCode>(true);
  same<typeof error.retryable, boolean>(true);
  same<typeof error.statusCode, 500 | 503>(true);
  same<typeof error.detail, string>(true);
  same<ReturnType<typeof error.toJSON>['statusCode'], 500 | 503>(true);
  // @ts-expect-error what may leave the server has no detail
  error.toJSON().detail;
  same<typeof error.retryAfterMillis, number | undefined>(true);
  same<typeof error.cause, unknown>(true);
  same<typeof error.name, 'SessionStoreError'>(true);
  // @ts-expect-error no such code
  if (error.code === 'ENOENT') return '';
  // @ts-expect-error read only
  error.code = 'ERR_CLOSED';
  switch (error.code) {
    case 'ERR_CLOSED':
      return asError.message;
    default:
      return error.retryable ? 'again' : error.code;
  }
}

const made: SessionStoreError = new SessionStoreError({ code: 'ERR_CONFLICT' });
new SessionStoreError({ code: 'ERR_KMS_THROTTLED', detail: 'd', retryable: true, retryAfterMillis: 5, cause: made });
// @ts-expect-error no such code
new SessionStoreError({ code: 'ENOENT' });
// @ts-expect-error no code
new SessionStoreError({ detail: 'd' });

// Sessions of a type

interface User {
  cookie: { path: string; expires?: Date };
  user: { id: number };
}
const typed = new DynamoDBSessionStore<User>({ ttlSeconds: ({ user }) => user.id });
const inferred = new DynamoDBSessionStore({ ttlSeconds: (session: User) => session.user.id });
same<typeof inferred, DynamoDBSessionStore<User>>(true);
new DynamoDBSessionStore<User>({ users: { idOf: ({ user }) => user.id, secret: 's' } });
// @ts-expect-error no such property of a user
new DynamoDBSessionStore<User>({ users: { idOf: ({ user }) => user.name, secret: 's' } });
same<Awaited<ReturnType<typeof typed.sessionsOf>>, Array<User & { id: string }>>(true);
export async function typedCalls(user: User): Promise<void> {
  const found = await typed.get('id');
  same<typeof found, User | null>(true);
  same<Awaited<ReturnType<typeof typed.all>>, Array<User & { id: string }>>(true);
  await typed.set('id', user);
  // @ts-expect-error a session of another type
  await typed.set('id', { user: 'ada' });
  const updated = await typed.update('id', (session) => void session.user.id++);
  same<typeof updated, User | null>(true);
  // @ts-expect-error no such property
  await typed.update('id', (session) => void session.admin);
  const renewed = await typed.refresh('id', { isFresh: ({ user }) => user.id > 0, refresh: ({ user }) => void user.id++ });
  same<typeof renewed, User | null>(true);
  typed.get('id', (_error, session) => {
    same<typeof session, User | null | undefined>(true);
  });
  typed.all((_error, sessions) => void sessions?.[0]?.user.id);
  // @ts-expect-error a session without a user
  new DynamoDBSessionStore<string>();
}

// Counts

const stats: SessionStoreStats = store.stats();
same<
  keyof typeof stats,
  | 'keyCache'
  | 'sessions'
  | 'leases'
  | 'refreshes'
  | 'requests'
  | 'batchReads'
  | 'errors'
  | 'operations'
  | 'callsInFlight'
  | 'tasksInFlight'
>(true);
same<typeof stats.errors.ERR_CONFIG, number | undefined>(true);
const counted: number =
  stats.refreshes.unsaved +
  stats.leases.lost +
  stats.sessions.conflicts +
  stats.keyCache.entries +
  stats.keyCache.hits +
  stats.keyCache.checksRevoked;
const perOperation: Record<string, OperationStats> = stats.operations;
same<typeof LATENCY_BUCKETS, readonly number[]>(true);
void [perOperation.get?.outcomes.found, perOperation.get?.milliseconds.buckets[LATENCY_BUCKETS.length]];
// @ts-expect-error a count that there is not
stats.keyCache.size;
// @ts-expect-error no promise
store.stats().then();
void [counted, stats.requests.kms.retries + stats.requests.dynamodb.sent + stats.callsInFlight + stats.tasksInFlight];

// Messages of the diagnostics channels

export function seen(call: CallMessage, request: RequestMessage, conflict: ConflictMessage, lease: LeaseMessage): string[] {
  same<typeof call.component, 'session-store' | 'sealed-store' | 'envelope'>(true);
  same<typeof call.requests, { dynamodb: number; kms: number }>(true);
  same<typeof call.error, unknown>(true);
  same<typeof request.call, CallMessage | undefined>(true);
  same<RevocationMessage['outcome'], 'usable' | 'revoked' | 'unknown'>(true);
  same<typeof conflict.resolution, 'overwritten' | 'refused' | 'dropped' | 'retried'>(true);
  const code: SessionStoreErrorCode | undefined = call.code ?? lease.code;
  if (call.outcome === 'found' && call.keyCacheHit === false) return [call.operation, call.session ?? '', call.tableName ?? ''];
  // @ts-expect-error no outcome
  if (call.outcome === 'fond') return [];
  // @ts-expect-error it would be the session
  void call.result;
  return [code ?? lease.event, request.service, request.operation, String(request.status), conflict.session];
}

// The rest

export async function envelope(): Promise<string> {
  const sealed = await encryptSessionData('text');
  same<typeof sealed, EncryptionResult>(true);
  const { encryptedData, encryptedKey, iv, authTag } = sealed;
  const opened = await decryptSessionData(encryptedData, encryptedKey, iv, authTag);
  same<typeof opened, string>(true);
  // @ts-expect-error bytes
  await encryptSessionData(new Uint8Array(1));
  // @ts-expect-error an IV of one's own
  await encryptSessionData('text', iv);
  // @ts-expect-error too few parts
  await decryptSessionData(encryptedData, encryptedKey, iv);
  return opened;
}
same<EncryptionResult, { encryptedData: string; encryptedKey: string; iv: string; authTag: string }>(true);
same<
  EncryptedSessionRecord,
  {
    sessionId: string;
    encryptedData: string;
    encryptedKey: string;
    iv: string;
    authTag: string;
    ttl: number;
    version: number;
    notAfter?: number;
    salt?: string;
    commit?: string;
    user?: string;
    userEntry?: number;
  }
>(true);
same<typeof KMS_KEY_ARN | typeof SESSIONS_TABLE | typeof AWS_REGION, string>(true);
same<typeof kmsClient | typeof docClient, AwsClientHandle>(true);
const logger: SessionStoreLogger = console;
void logger;

// Loggers of libraries are taken as they are, and one that is written by hand has its arguments typed.
new DynamoDBSessionStore({ logger: pino() });
new DynamoDBSessionStore({ logger: winston.createLogger(), logFields: 'last' });
declare const bunyan: Bunyan;
new DynamoDBSessionStore({ logger: bunyan, logFields: 'first' });
new DynamoDBSessionStore({
  logger: {
    warn(message, fields) {
      same<typeof message, string>(true);
      const { code, session }: SessionStoreLogFields = fields;
      void [code, session];
    },
    debug: (_message: string, _fields?: SessionStoreLogFields) => {},
  },
  logFields: 'last',
});
same<SessionStoreLogFields['event'], SessionStoreLogEvent | undefined>(true);
same<SessionStoreLogFields['code'], SessionStoreErrorCode | undefined>(true);
same<SessionStoreLogFields['resolution'], 'overwritten' | 'refused' | 'dropped' | undefined>(true);
// @ts-expect-error a place that there is not
new DynamoDBSessionStore({ logFields: 'middle' });
// @ts-expect-error it is no switch
new DynamoDBSessionStore({ logFields: true });

// An envelope gives back what it was given.
export async function boundEnvelope(): Promise<void> {
  const envelope: Envelope = createEnvelope({
    kmsKeyArn: ['arn:aws:kms:eu-west-1:111122223333:alias/x'],
    region: 'eu-west-1',
    roleArn: 'arn:aws:iam::232282424912:role/store',
    profile: undefined,
    kmsEndpoint: 'http://127.0.0.1:8001',
    encryptionContext: { app: 'gateway' },
    keyCache: 'strict',
    timeouts: { callMillis: 1000 },
    maxCallsInFlight: 10,
    logger: console,
    logFields: false,
    local: { path: './sessions' },
  } satisfies EnvelopeConfig);
  const sealedText: SealedEnvelope<'text'> = await envelope.encrypt('text', { context: { user: 'ada' } });
  const sealedBytes: SealedEnvelope<'bytes'> = await envelope.encrypt(Buffer.from('bytes'));
  const sealedAny: SealedEnvelope = sealedText;
  const openedText: string = await envelope.decrypt(sealedText, { context: undefined });
  const openedBytes: Uint8Array = await envelope.decrypt(sealedBytes);
  const openedAny: string | Uint8Array = await envelope.decrypt(sealedAny);
  const envelopeStats: EnvelopeStats = envelope.stats();
  same<Promise<void>, ReturnType<typeof envelope.close>>(true);
  console.log(openedText, openedBytes, openedAny, envelopeStats.requests.kms.sent);
  // @ts-expect-error the type is not known
  sealedText.iv = await envelope.decrypt(sealedAny);
  // @ts-expect-error numbers in a context
  envelope.encrypt('text', { context: { user: 7 } });
  // @ts-expect-error another kind of data
  envelope.encrypt(7);
  // @ts-expect-error an option of the store
  createEnvelope({ tableName: 'sessions' });
}
