'use strict';

/**
 * What `promise` gives, for a caller who may give up: rejects with the signal's reason as soon as
 * it aborts. What was begun goes on and ends by itself.
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
