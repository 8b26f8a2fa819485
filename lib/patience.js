'use strict';

const { onAbort, reasonOf } = require('./abortable.js');
const { SessionStoreError } = require('./errors.js');
const { clearTimeout, setTimeout } = require('./real-time.js');

/**
 * The error of a caller whose time for waiting has passed.
 * @param {number} waitSeconds
 */
function timeout(waitSeconds) {
  const detail = `the lease of the session was not to be had within ${waitSeconds} seconds; try again, or wait longer with waitSeconds`;
  return new SessionStoreError({ code: 'ERR_LOCK_TIMEOUT', detail });
}

/** How long a caller waits for a lease: until a deadline, or until its signal aborts. */
class Patience {
  #late = rejectable();
  #aborted = rejectable();
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #end;

  /**
   * @param {number | undefined} waitSeconds without it, there is no deadline.
   * @param {AbortSignal | undefined} signal
   */
  constructor(waitSeconds, signal) {
    if (waitSeconds !== undefined) this.#timer = setTimeout(() => this.#late.reject(timeout(waitSeconds)), waitSeconds * 1000);
    const abort = () => this.#aborted.reject(reasonOf(signal));
    if (signal?.aborted) abort();
    this.#end = onAbort(signal, abort);
  }

  /**
   * The result of `promise`. Rejects if the deadline passes or the signal aborts first.
   * @template T
   * @param {Promise<T>} promise
   */
  wait(promise) {
    return Promise.race([this.#aborted.promise, this.#late.promise, promise]);
  }

  /**
   * The table's answer, which is awaited even past the deadline. Rejects if the signal aborts
   * first.
   * @template T
   * @param {Promise<T>} promise
   */
  answer(promise) {
    return Promise.race([this.#aborted.promise, promise]);
  }

  /**
   * Waits that long, or until the deadline passes or the signal aborts.
   * @param {number} milliseconds
   */
  async sleep(milliseconds) {
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    try {
      await this.wait(
        new Promise((resolve) => {
          timer = setTimeout(resolve, milliseconds);
        }),
      );
    } finally {
      clearTimeout(timer);
    }
  }

  end() {
    clearTimeout(this.#timer);
    this.#end();
  }
}

/** A promise that need not be handled, and the function that rejects it. */
function rejectable() {
  /** @type {(reason: unknown) => void} */
  let reject = () => {};
  /** @type {Promise<never>} */
  const promise = new Promise((_, fail) => {
    reject = fail;
  });
  promise.catch(() => {});
  return { promise, reject };
}

exports.Patience = Patience;
exports.timeout = timeout;
