'use strict';

const { isNativeError } = require('node:util').types;
const { openStore } = require('../binding.js');
const { environment } = require('./environment.js');
const { failure, unwrap } = require('./errors.js');
const { setImmediate } = require('./real-time.js');

/**
 * @typedef {import('../binding.js').NativeStore} Binding
 * @typedef {import('../binding.js').Failure} Failure
 */

/**
 * What became of a session that was saved or touched: `SaveReply` of the binding, with what each
 * outcome has. The mark of `extended` is there for known sessions.
 * @typedef {{ outcome: 'written' | 'extended', mark: string, ttl: number, conflict: boolean }
 *   | { outcome: 'unchanged' | 'gone' | 'dropped', conflict: boolean }} Saved
 */

/**
 * What the calls whose reply comes later give, unless they fail.
 * @typedef {object} Replies
 * @property {import('../binding.js').Session | null} get
 * @property {Saved} set
 * @property {Saved} touch
 * @property {import('../binding.js').Session | null} take
 * @property {undefined} destroy
 * @property {undefined} destroyUnreadable
 * @property {(import('../binding.js').Session & { id: string, json: string })[]} all
 * @property {string[]} ids
 * @property {number} length
 * @property {undefined} clear
 * @property {undefined} ping
 * @property {import('../binding.js').StoredRecord | null} record
 * @property {import('../binding.js').LeaseReply} takeLease
 * @property {boolean} renewLease
 * @property {undefined} releaseLease
 * @property {undefined} close
 */

/**
 * Those calls: as in the binding, with a promise in place of the number.
 * @typedef {{ [Name in keyof Replies]:
 *   Binding[Name] extends (call: number, ...rest: infer Rest) => unknown
 *   ? (...rest: Rest) => Promise<Replies[Name] | Failure> : never }} LaterCalls
 */

/** @typedef {NativeStore & LaterCalls} Native */
/**
 * @typedef {{ resolve: (reply: any) => void, reject: (error: unknown) => void }} Waiting a promise
 */

/** @type {(keyof Replies)[]} */
const LATER_CALLS = [
  'get',
  'set',
  'touch',
  'take',
  'destroy',
  'destroyUnreadable',
  'all',
  'ids',
  'length',
  'clear',
  'ping',
  'record',
  'takeLease',
  'renewLease',
  'releaseLease',
  'close',
];

/**
 * An error of napi, which no caller can have caused.
 * @param {unknown} cause
 */
function defect(cause) {
  return failure(
    'ERR_INTERNAL',
    'a defect of connect-dynamodb-kms: a reply could not be passed from Rust to JavaScript; see cause',
    cause,
  );
}

/**
 * A call that is answered at once. Anything that napi throws is a defect.
 * @template T
 * @param {() => T} call
 */
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
  /** @type {Binding} */
  #store;
  #waiting;
  #calls = 0;

  /**
   * @param {string} options JSON
   * @param {boolean} items
   */
  constructor(options, items) {
    // The function that the native side keeps must not reference this object, or neither would ever
    // be garbage-collected.
    /** @type {Map<number, Waiting>} */
    const waiting = new Map();
    this.#waiting = waiting;
    /** @param {any[]} replies */
    const deliver = (replies) => {
      for (let i = 0; i < replies.length; i += 2) {
        const { resolve, reject } = /** @type {Waiting} */ (waiting.get(replies[i]));
        waiting.delete(replies[i]);
        const reply = replies[i + 1];
        if (isNativeError(reply)) reject(defect(reply));
        else resolve(reply);
      }
    };
    this.#store = unwrap(crossing(() => openStore(options, environment(), deliver, items)));
  }

  /**
   * Opens a store; does no I/O.
   * @param {string} options JSON
   * @param {boolean} items whether it is one of items that are no sessions.
   */
  static open(options, items) {
    return /** @type {Native} */ (new NativeStore(options, items));
  }

  keyCacheStats() {
    return this.#store.keyCacheStats();
  }

  requestStats() {
    return this.#store.requestStats();
  }

  /**
   * Returns at once, unlike the calls below; see `Saves.outlook`.
   * @param {Parameters<Binding['outlookOfSave']>} args
   */
  outlookOfSave(...args) {
    return crossing(() => this.#store.outlookOfSave(...args));
  }

  /** @param {Parameters<Binding['outlookOfTouch']>} args */
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
    const calls = /** @type {Record<string, Function>} */ (/** @type {unknown} */ (NativeStore.prototype));
    for (const name of LATER_CALLS) {
      /**
       * @this {NativeStore}
       * @param {any[]} args
       */
      calls[name] = function (...args) {
        const call = ++this.#calls;
        const store = /** @type {any} */ (this.#store);
        return new Promise((resolve, reject) => {
          crossing(() => store[name](call, ...args)); // what it throws rejects the promise
          this.#waiting.set(call, { resolve, reject });
        });
      };
    }
  }
}

exports.NativeStore = NativeStore;
