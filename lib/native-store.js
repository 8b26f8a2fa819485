'use strict';

const { openStore } = require('../binding.js');
const { environment } = require('./environment.js');
const { unwrap } = require('./errors.js');
const { NativeCalls, crossing } = require('./native-calls.js');

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
 * @property {import('../binding.js').ListedSessions} all
 * @property {import('../binding.js').ListedSessions} sessionsOf
 * @property {import('../binding.js').SessionPage} page
 * @property {number} destroyAllOf
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

/** @type {(keyof Replies)[]} */
const LATER_CALLS = [
  'get',
  'set',
  'touch',
  'take',
  'destroy',
  'destroyUnreadable',
  'all',
  'page',
  'sessionsOf',
  'destroyAllOf',
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

/** Where a message says which options there are, behind whatever the caller gave. */
const REFERENCE = /; see SessionStoreConfig in (?=index\.d\.ts for [^;]*$)/;

/** The native side's store, with promises. */
class NativeStore {
  /** @type {Binding} */
  #store;
  #calls;

  /**
   * @param {string} options JSON
   * @param {boolean} items
   * @param {import('./channels.js').Channels} channels
   */
  constructor(options, items, channels) {
    const calls = new NativeCalls(channels);
    this.#calls = calls;
    try {
      this.#store = unwrap(crossing(() => openStore(options, environment(), calls.deliver, items)));
    } catch (error) {
      // The options are checked alike, and the message refers to those of a session store.
      if (items) error.detail = error.detail.replace(REFERENCE, '; see SealedStoreConfig in ');
      throw error;
    }
    calls.observe = (on) => this.#store.observe(on);
  }

  /**
   * Opens a store; does no I/O.
   * @param {string} options JSON
   * @param {boolean} items whether it is one of items that are no sessions.
   * @param {import('./channels.js').Channels} channels
   */
  static open(options, items, channels) {
    return /** @type {Native} */ (new NativeStore(options, items, channels));
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

  /** See `NativeCalls`. */
  answered() {
    return this.#calls.answered();
  }

  static {
    const calls = /** @type {Record<string, Function>} */ (/** @type {unknown} */ (NativeStore.prototype));
    for (const name of LATER_CALLS) {
      /**
       * @this {NativeStore}
       * @param {any[]} args
       */
      calls[name] = function (...args) {
        const store = /** @type {any} */ (this.#store);
        return this.#calls.start((call) => store[name](call, ...args));
      };
    }
  }
}

exports.NativeStore = NativeStore;
