'use strict';

const { createHash } = require('node:crypto');
const { EventEmitter } = require('node:events');
const native = require('./binding.js');

const { kmsKeyArn: KMS_KEY_ARN, sessionsTable: SESSIONS_TABLE, awsRegion: AWS_REGION } = native.defaults();

class SessionStoreError extends Error {
  /** @param {{ code: string, message: string, retryable: boolean, cause?: unknown }} failure */
  constructor({ code, message, retryable, cause }) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
  }
}
Object.defineProperty(SessionStoreError.prototype, 'name', { value: 'SessionStoreError', configurable: true });

/** A failure found on this side, which the same call will meet again. */
function failure(code, message, cause) {
  return new SessionStoreError({ code, message, retryable: false, cause });
}

/** The native side answers with a value, or with the data of an error. */
function unwrap(reply) {
  if (reply === null || typeof reply !== 'object' || !('retryable' in reply)) return reply;
  const { cause, ...rest } = reply;
  if (cause === undefined) throw new SessionStoreError(rest);
  const { name, message, requestId } = cause;
  const error = Object.assign(new Error(message), requestId === undefined ? {} : { requestId });
  Object.defineProperty(error, 'name', { value: name, configurable: true });
  error.stack = `${name}: ${message}`; // AWS's error has no place in this program
  throw new SessionStoreError({ ...rest, cause: error });
}

/** Opaque: the client behind it lives on the native side and is made on first use. */
class AwsClientHandle {
  /** @param {'kms' | 'dynamodb'} service */
  constructor(service) {
    this.service = service;
    Object.freeze(this);
  }
}
const kmsClient = new AwsClientHandle('kms');
const docClient = new AwsClientHandle('dynamodb');

/** express-session's Store has what its middleware calls beside get and set; without that package nobody asks for it. */
function baseClass() {
  try {
    return require('express-session').Store;
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return EventEmitter;
    throw error;
  }
}

/** Plain objects: no arrays, Maps, Dates or boxed strings, of whatever realm. */
function isPlainObject(value) {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** No option lies deeper; a cycle does. */
const DEEPEST_OPTION = 4;

/** An option as JSON can hold it. What JSON would drop, change or refuse stands there by name, for the native side to refuse. */
function describe(value, depth = 0) {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $not: String(value) };
  if (typeof value === 'string') return value.isWellFormed() ? value : { $not: 'a string with lone surrogates' };
  if (typeof value !== 'object') return { $not: `a ${typeof value}` };
  if (depth > DEEPEST_OPTION) return { $not: 'nested that deep' };
  if (Array.isArray(value)) return value.map((element) => describe(element, depth + 1));
  if (!isPlainObject(value)) return { $not: `a ${Object.prototype.toString.call(value).slice(8, -1)}` };
  const described = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(described.map(([name, inner]) => [name, describe(inner, depth + 1)]));
}

/** @returns {{ options: string, logger: object, lifetime: Function | undefined }} */
function readConfig(config) {
  if (!isPlainObject(config)) throw failure('ERR_CONFIG', 'the configuration must be an object with options');
  let copy;
  try {
    copy = { ...config };
  } catch (cause) {
    throw failure('ERR_CONFIG', 'an option of the configuration cannot be read; see cause', cause);
  }
  const { logger = console, ...options } = copy;
  if (logger === null || typeof logger !== 'object' || typeof logger.warn !== 'function' || typeof logger.debug !== 'function') {
    throw failure('ERR_CONFIG', 'logger must be an object with the methods warn and debug');
  }
  const lifetime = typeof options.ttlSeconds === 'function' ? options.ttlSeconds : undefined;
  if (lifetime) delete options.ttlSeconds;
  for (const [name, handle] of Object.entries({ kmsClient, docClient })) {
    if (options[name] !== undefined) options[name] = options[name] === handle || { $not: 'another value' };
  }
  return { options: JSON.stringify(describe(options)), logger, lifetime };
}

function checkSid(sid) {
  if (typeof sid !== 'string' || !sid.isWellFormed()) {
    throw failure('ERR_CONFIG', 'a session id must be a string without lone surrogates');
  }
  return sid;
}

function serialize(session) {
  if (session === null || typeof session !== 'object' || Array.isArray(session)) {
    throw failure('ERR_SERIALIZATION', 'a session must be an object');
  }
  let json;
  try {
    json = JSON.stringify(session);
  } catch {
    // The error of JSON.stringify names the session's properties, that of a toJSON may say anything.
    throw failure('ERR_SERIALIZATION', 'the session cannot be written as JSON: it has a cycle, a BigInt, or a toJSON that fails');
  }
  if (json?.[0] !== '{') throw failure('ERR_SERIALIZATION', "the session's toJSON must give an object");
  return json;
}

function parse(json) {
  let session;
  try {
    session = JSON.parse(json);
  } catch {
    // The parser's own error quotes what it read.
  }
  if (session === null || typeof session !== 'object' || Array.isArray(session)) {
    throw failure('ERR_SERIALIZATION', 'what was sealed is not a JSON object; another program wrote it');
  }
  return session;
}

/** When the cookie ends, in epoch milliseconds; `undefined` if it ends with the browser, or says nothing that `new Date()` reads. */
function cookieExpires(session) {
  try {
    const expires = session?.cookie?.expires;
    if (expires === undefined || expires === null || typeof expires === 'boolean') return undefined;
    const time = new Date(expires).getTime();
    return Number.isNaN(time) ? undefined : time;
  } catch {
    return undefined;
  }
}

/**
 * The session as the caller gets it, or `null` if it has ended. While `ttl` is still the cookie's end rounded up to a second, the cookie's
 * finer instant decides; once a touch has moved `ttl` past it, the cookie follows.
 */
function revive({ json, ttl }, now) {
  const session = parse(json);
  const expires = cookieExpires(session);
  if (expires === undefined) return session;
  const sealedEnd = Math.ceil(expires / 1000);
  if (ttl === sealedEnd && expires <= now) return null;
  if (ttl > sealedEnd) session.cookie.expires = new Date(ttl * 1000).toISOString();
  return session;
}

/** Names a session in logs without giving its id away. */
function fingerprint(sid) {
  return typeof sid === 'string' ? ` of session ${createHash('sha256').update(sid).digest('hex').slice(0, 8)}` : '';
}

class DynamoDBSessionStore extends baseClass() {
  #native;
  #logger;
  #lifetime;

  constructor(config = {}) {
    super();
    const { options, logger, lifetime } = readConfig(config);
    this.#native = unwrap(native.openStore(options));
    this.#logger = logger;
    this.#lifetime = lifetime;
  }

  get(sid, ...callback) {
    return this.#run(
      'get',
      async () => {
        const now = Date.now();
        const found = unwrap(await this.#native.get(checkSid(sid), now));
        const session = found?.json === undefined ? null : revive(found, now);
        if (found && !session) this.#log('debug', `get${fingerprint(sid)}: it has expired`);
        return session;
      },
      callback,
      sid,
    );
  }

  set(sid, session, ...callback) {
    return this.#run(
      'set',
      async () => {
        checkSid(sid);
        const json = serialize(session);
        const reply = this.#native.set(sid, json, Date.now(), this.#ttlSeconds(session), cookieExpires(session));
        unwrap(await reply);
      },
      callback,
      sid,
    );
  }

  touch(sid, session, ...callback) {
    return this.#run(
      'touch',
      async () => {
        checkSid(sid);
        unwrap(await this.#native.touch(sid, Date.now(), this.#ttlSeconds(session), cookieExpires(session)));
      },
      callback,
      sid,
    );
  }

  destroy(sid, ...callback) {
    return this.#run(
      'destroy',
      async () => {
        unwrap(await this.#native.destroy(checkSid(sid)));
      },
      callback,
      sid,
    );
  }

  all(...callback) {
    return this.#run(
      'all',
      async () => {
        const now = Date.now();
        const sessions = [];
        for (const found of unwrap(await this.#native.all(now))) {
          const session = revive(found, now);
          if (session) sessions.push(Object.assign(session, { id: found.id }));
        }
        return sessions;
      },
      callback,
    );
  }

  ids(...callback) {
    return this.#run('ids', async () => unwrap(await this.#native.ids(Date.now())), callback);
  }

  length(...callback) {
    return this.#run('length', async () => unwrap(await this.#native.length(Date.now())), callback);
  }

  clear(...callback) {
    return this.#run('clear', async () => void unwrap(await this.#native.clear()), callback);
  }

  ping(...callback) {
    return this.#run('ping', async () => void unwrap(await this.#native.ping()), callback);
  }

  record(sid, ...callback) {
    return this.#run('record', async () => unwrap(await this.#native.record(checkSid(sid))), callback, sid);
  }

  stats() {
    return { keyCache: this.#native.keyCacheStats() };
  }

  close(...callback) {
    return this.#run('close', async () => void unwrap(await this.#native.close()), callback);
  }

  /** What `ttlSeconds` gives for this session; `undefined` if the native side knows it. */
  #ttlSeconds(session) {
    if (!this.#lifetime) return undefined;
    let seconds;
    try {
      seconds = this.#lifetime(session);
    } catch (cause) {
      throw failure('ERR_CONFIG', 'the function ttlSeconds failed; see cause', cause);
    }
    if (typeof seconds !== 'number')
      throw failure('ERR_CONFIG', `ttlSeconds must give a number of seconds, not ${typeof seconds}`);
    return seconds;
  }

  #log(level, text) {
    try {
      this.#logger[level](`connect-dynamodb-kms: ${text}`);
    } catch {
      // A logger that fails changes nothing of what the caller gets.
    }
  }

  /**
   * Runs one operation for a caller with a callback (in `callbacks`) or with a promise. A callback runs from a clean stack: what it throws
   * is its own, an uncaughtException, and never makes it run twice.
   */
  #run(operation, work, callbacks, sid) {
    const [callback] = callbacks;
    const promise = work().catch((error) => {
      this.#log('warn', `${operation}${fingerprint(sid)} failed: ${error.code}: ${error.message}`);
      throw error;
    });
    if (typeof callback === 'function') {
      promise.then(
        (value) => process.nextTick(callback, null, value),
        (error) => process.nextTick(callback, error),
      );
      return undefined;
    }
    // express-session calls destroy(sid, undefined) and looks at no promise: the log has the failure, the process goes on.
    if (callbacks.length > 0) promise.catch(() => {});
    return promise;
  }
}

async function encryptSessionData(data) {
  if (typeof data !== 'string' || !data.isWellFormed()) {
    throw failure('ERR_SERIALIZATION', 'the data must be a string without lone surrogates');
  }
  return unwrap(await native.encrypt(data));
}

async function decryptSessionData(encryptedData, encryptedKey, iv, authTag) {
  const parts = [encryptedData, encryptedKey, iv, authTag];
  if (!parts.every((part) => typeof part === 'string')) {
    throw failure('ERR_INTEGRITY', 'encryptedData, encryptedKey, iv and authTag must be base64 strings');
  }
  return unwrap(await native.decrypt(...parts));
}

module.exports = {
  DynamoDBSessionStore,
  SessionStoreError,
  encryptSessionData,
  decryptSessionData,
  KMS_KEY_ARN,
  SESSIONS_TABLE,
  AWS_REGION,
  kmsClient,
  docClient,
};
