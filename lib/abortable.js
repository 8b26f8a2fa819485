'use strict';

/**
 * The result of `promise`, for a caller who can give up. Rejects with the signal's reason as soon
 * as it aborts. The work behind `promise` continues and ends by itself.
 * @template T
 * @param {AbortSignal} signal one that has not aborted yet.
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function abortable(signal, promise) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const ended = () => signal.removeEventListener('abort', abort);
    promise.then(resolve, reject).finally(ended);
  });
}

module.exports = { abortable };
