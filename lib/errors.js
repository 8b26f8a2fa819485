'use strict';

/** @typedef {import('../index.js').SessionStoreErrorCode} Code */

/**
 * The `message` of each code. Frameworks send it to the browser, so it says only what kind of
 * failure it is. It names no table, key, account, region, path or option; `detail` does.
 * @type {Record<Code, string>}
 */
const MESSAGES = {
  ERR_CONFIG: 'the session store is misconfigured, or was given an argument that it cannot use; see detail',
  ERR_KMS_UNAVAILABLE: "the session store's key service is not available; try again later",
  ERR_KMS_THROTTLED: "the session store's key service is busy; try again later",
  ERR_KMS_KEY_UNUSABLE: "the session store's encryption key cannot be used; see detail",
  ERR_DYNAMODB_UNAVAILABLE: "the session store's database is not available; try again later",
  ERR_DYNAMODB_THROTTLED: "the session store's database is busy; try again later",
  ERR_TABLE_NOT_FOUND: "the session store's table does not exist; see detail",
  ERR_TABLE_SCHEMA: "the session store's table cannot hold sessions; see detail",
  ERR_ACCESS_DENIED: 'the session store lacks a permission; see detail',
  ERR_CREDENTIALS: 'the session store has no usable credentials; see detail',
  ERR_INTEGRITY: 'the stored session failed its integrity check; see detail',
  ERR_VERSION: 'the stored session has a version that is not accepted; see detail',
  ERR_SESSION_TOO_LARGE: 'the session is too large to be stored; see detail',
  ERR_SERIALIZATION: 'the session cannot be written as JSON, or read from it; see detail',
  ERR_CONFLICT: 'the session was changed in two places at the same time; see detail',
  ERR_NOT_SAVED: 'the session has not been saved yet; see detail',
  ERR_LOCK_TIMEOUT: 'the lock of the session could not be taken or kept; try again later',
  ERR_OVERLOADED: 'the session store has too many calls to answer; try again later',
  ERR_INTERNAL: 'the session store failed because of a defect; see detail',
  ERR_CLOSED: 'the session store is closed; see detail',
};

/**
 * The codes whose errors are retryable by default.
 * @type {Set<Code>}
 */
const RETRYABLE = new Set([
  'ERR_KMS_UNAVAILABLE',
  'ERR_KMS_THROTTLED',
  'ERR_DYNAMODB_UNAVAILABLE',
  'ERR_DYNAMODB_THROTTLED',
  'ERR_LOCK_TIMEOUT',
  'ERR_OVERLOADED',
]);

class SessionStoreError extends Error {
  /**
   * @param {import('../index.js').SessionStoreFailure} failure
   */
  constructor({ code, detail = '', retryable = RETRYABLE.has(code), retryAfterMillis, cause }) {
    if (!Object.hasOwn(MESSAGES, code)) throw new TypeError(`SessionStoreError: no code of this package: ${code}`);
    super(MESSAGES[code], cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
    this.statusCode = retryable ? 503 : 500;
    if (retryAfterMillis !== undefined) this.retryAfterMillis = retryAfterMillis;
    // Enumerable, for `inspect` and for loggers such as pino, which copy an error's enumerable
    // properties.
    this.detail = detail;
  }

  /**
   * What `response.json(error)` sends: everything except `detail` and `cause`. Fastify's
   * serializers for response schemas call it on an object that inherits from this one and has the
   * status text as `error`.
   */
  toJSON() {
    const { statusCode, error, code, message, retryable, retryAfterMillis } = /** @type {this & { error?: string }} */ (this);
    return { statusCode, error, code, message, retryable, retryAfterMillis };
  }
}
Object.defineProperty(SessionStoreError.prototype, 'name', { value: 'SessionStoreError' });

/**
 * A failure that the facade found, and that the same call would meet again.
 * @param {Code} code
 * @param {string} detail
 * @param {unknown} [cause]
 */
function failure(code, detail, cause) {
  return new SessionStoreError({ code, detail, cause });
}

/**
 * Returns the native side's value, or throws an error from the data that it returned instead.
 * @template T
 * @param {T} reply
 * @returns {Exclude<T, import('../binding.js').Failure>}
 */
function unwrap(reply) {
  if (!isFailure(reply)) return /** @type {any} */ (reply);
  const { cause, ...rest } = reply;
  if (cause === undefined) throw new SessionStoreError(rest);
  const { name, message, requestId } = cause;
  const error = Object.assign(new Error(message), requestId === undefined ? {} : { requestId });
  Object.defineProperty(error, 'name', { value: name, configurable: true });
  error.stack = `${name}: ${message}`; // AWS's error has no stack in this program
  const thrown = new SessionStoreError({ ...rest, cause: error });
  refusals.set(thrown, { name, requestId });
  throw thrown;
}

/**
 * What AWS says of the requests that it refused: its name for the failure, and the id of the request.
 * A cause is the caller's own in other errors, and so is what its properties hold.
 * @type {WeakMap<object, { name: string, requestId: string | undefined }>}
 */
const refusals = new WeakMap();

/** @param {object} error */
function refusalOf(error) {
  return refusals.get(error);
}

/**
 * @param {unknown} reply
 * @returns {reply is import('../binding.js').Failure & { code: Code }}
 */
function isFailure(reply) {
  return reply !== null && typeof reply === 'object' && 'retryable' in reply;
}

exports.CODES = /** @type {Code[]} */ (Object.keys(MESSAGES));
exports.SessionStoreError = SessionStoreError;
exports.failure = failure;
exports.refusalOf = refusalOf;
exports.unwrap = unwrap;
