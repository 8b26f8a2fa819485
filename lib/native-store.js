'use strict';

const { isNativeError } = require('node:util').types;
const { openStore } = require('../binding.js');
const { environment } = require('./environment.js');
const { failure, unwrap } = require('./errors.js');
const { setImmediate } = require('./real-time.js');

/** The calls whose reply comes later. */
const CALLS = [
  ...['get', 'set', 'touch', 'destroy', 'all', 'ids', 'length', 'clear', 'ping', 'record'],
  'destroyUnreadable',
  ...['takeLease', 'renewLease', 'releaseLease', 'close'],
];

/** An error of napi, which no caller can have caused. */
function defect(cause) {
  return failure(
    'ERR_INTERNAL',
    'a defect of connect-dynamodb-kms: a reply could not be passed from Rust to JavaScript; see cause',
    cause,
  );
}

/** A call that is answered at once. Anything that napi throws is a defect. */
function crossing(call) {
  try {
    return call();
  } catch (error) {
    throw defect(error);
  }
}

/**
 * The native side's store, with promises. The native side numbers its calls and delivers replies in
 * batches.
 */
class NativeStore {
  #store;
  #waiting;
  #calls = 0;

  /** @param {string} options JSON */
  constructor(options) {
    // The function that the native side keeps must not reference this object, or neither would ever
    // be garbage-collected.
    const waiting = new Map();
    this.#waiting = waiting;
    const deliver = (replies) => {
      for (let i = 0; i < replies.length; i += 2) {
        const { resolve, reject } = waiting.get(replies[i]);
        waiting.delete(replies[i]);
        const reply = replies[i + 1];
        if (isNativeError(reply)) reject(defect(reply));
        else resolve(reply);
      }
    };
    this.#store = unwrap(crossing(() => openStore(options, environment(), deliver)));
  }

  keyCacheStats() {
    return this.#store.keyCacheStats();
  }

  requestStats() {
    return this.#store.requestStats();
  }

  /** Returns at once, unlike the calls below; see `Saves.outlook`. */
  outlookOfSave(...args) {
    return crossing(() => this.#store.outlookOfSave(...args));
  }

  outlookOfTouch(...args) {
    return crossing(() => this.#store.outlookOfTouch(...args));
  }

  beginClose() {
    this.#store.beginClose();
  }

  /**
   * Resolves when the replies of all ended calls have been handled. The reply of `close` can
   * overtake them.
   */
  async answered() {
    do await new Promise(setImmediate);
    while (this.#waiting.size > 0);
  }

  static {
    for (const name of CALLS) {
      NativeStore.prototype[name] = function (...args) {
        const call = ++this.#calls;
        return new Promise((resolve, reject) => {
          crossing(() => this.#store[name](call, ...args)); // an exception rejects the promise
          this.#waiting.set(call, { resolve, reject });
        });
      };
    }
  }
}

module.exports = { NativeStore };
