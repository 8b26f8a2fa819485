'use strict';

class SessionStoreError extends Error {
  /** @param {{ code: string, message: string, retryable: boolean, retryAfterMillis?: number, cause?: unknown }} failure */
  constructor({ code, message, retryable, retryAfterMillis, cause }) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
    this.statusCode = retryable ? 503 : 500;
    if (retryAfterMillis !== undefined) this.retryAfterMillis = retryAfterMillis;
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

module.exports = { SessionStoreError, failure, unwrap };
