'use strict';

const { IS_CLOSED } = require('./closed.js');
const { readItemConfig } = require('./config.js');
const { unwrap } = require('./errors.js');
const { Foundation } = require('./foundation.js');
const { callOptions } = require('./options.js');
const { wrap, unwrapValue } = require('./sealed-json.js');
const { checkSid } = require('./session-ids.js');

/**
 * @typedef {import('../index.js').SealedStore} PublicStore
 * @typedef {import('../index.js').SealedStoreConfig} SealedStoreConfig
 */

/**
 * Those that callers take out of the store and call on their own.
 * @type {(keyof SealedStore & string)[]}
 */
const METHODS = ['put', 'get', 'take', 'delete', 'update', 'withLock', 'ids', 'length', 'clear', 'ping', 'stats', 'close'];

/** @type {{ ttlSeconds: import('./options.js').CallOption<number | undefined> }} */
const PUT_OPTIONS = { ttlSeconds: { rule: 'a number of seconds', holds: (value) => typeof value === 'number' } };

/**
 * The public methods; index.d.ts documents them. Every call runs through `Calls`.
 * @implements {PublicStore}
 */
class SealedStore {
  #foundation;
  #counts = { written: 0, taken: 0, conflicts: 0 };

  /** @param {SealedStoreConfig} config */
  constructor(config = {}) {
    const foundation = new Foundation(readItemConfig(config), 'item');
    this.#foundation = foundation;
    Object.defineProperty(this, IS_CLOSED, { get: () => foundation.calls.isClosed });
    for (const name of METHODS) {
      Object.defineProperty(this, name, {
        value: /** @type {Function} */ (this[name]).bind(this),
        writable: true,
        configurable: true,
      });
    }
  }

  /**
   * @param {string} id
   * @param {unknown} value
   * @param {object} [options]
   */
  put(id, value, options) {
    return this.#run('put', id, async (call) => {
      const { ttlSeconds } = callOptions('put', options, PUT_OPTIONS);
      const json = wrap(value);
      const { native } = this.#foundation;
      const now = Date.now();
      await this.#inOrder(id, async (waited) =>
        unwrap(await native.set(id, json, now, ttlSeconds, undefined, undefined, waited)),
      );
      call.outcome = 'written';
      this.#counts.written++;
    });
  }

  /** @param {string} id */
  get(id) {
    return this.#run('get', id, async (call) => {
      const found = await this.#find('get', id);
      call.outcome = found ? 'found' : 'missing';
      return found ? unwrapValue(found.json) : null;
    });
  }

  /** @param {string} id */
  take(id) {
    return this.#run('take', id, async (call) => {
      const { native, integrity } = this.#foundation;
      const now = Date.now();
      return this.#inOrder(id, async (waited) => {
        const taken = await integrity.check('take', id, await native.take(id, now, waited));
        call.outcome = taken?.json === undefined ? 'missing' : 'taken';
        if (taken?.json === undefined) return null;
        const value = unwrapValue(taken.json);
        this.#counts.taken++;
        return value;
      });
    });
  }

  /** @param {string} id */
  delete(id) {
    const { native } = this.#foundation;
    return this.#run('delete', id, (call) =>
      this.#inOrder(id, async (waited) => {
        unwrap(await native.destroy(id, Date.now(), waited));
        call.outcome = 'deleted';
      }),
    );
  }

  /**
   * @param {string} id
   * @param {(value: any) => any} change
   * @param {object} [options]
   */
  update(id, change, options) {
    return this.#run('update', id, async (call) => {
      const { updateItem } = require('./update-item.js');
      const read = () => this.#find('update', id);
      /**
       * @param {string} json
       * @param {import('./update-item.js').FoundItem} found
       */
      const write = async (json, { mark, ttl }) => {
        const { native } = this.#foundation;
        const known = { mark, ends: ttl * 1000, keepEnd: true, strict: true };
        const now = Date.now();
        // A write would be of use to nobody: the item keeps its end.
        if (now >= known.ends) return { outcome: /** @type {const} */ ('gone') };
        return this.#inOrder(id, async (waited) => unwrap(await native.set(id, json, now, undefined, undefined, known, waited)));
      };
      const conflict = () => {
        this.#counts.conflicts++;
        this.#foundation.channels.conflict('update', id, 'retried');
      };
      return updateItem({ read, write, conflict, counts: this.#counts }, change, { call, options });
    });
  }

  /**
   * @param {string} id
   * @param {(signal: AbortSignal) => any} task
   * @param {object} [options]
   */
  withLock(id, task, options) {
    return this.#run('withLock', id, () => this.#foundation.locks.run(id, task, options), 'task');
  }

  ids() {
    return this.#runOnAll('ids', async () => unwrap(await this.#foundation.native.ids(Date.now())));
  }

  length() {
    return this.#runOnAll('length', async () => unwrap(await this.#foundation.native.length(Date.now())));
  }

  clear() {
    return this.#runOnAll('clear', async (call) => {
      unwrap(await this.#foundation.native.clear());
      call.outcome = 'deleted';
    });
  }

  /** @param {object} [options] */
  ping(options) {
    return this.#runOnAll('ping', () => this.#foundation.ping(options));
  }

  stats() {
    const { native } = this.#foundation;
    return { keyCache: native.keyCacheStats(), items: { ...this.#counts }, ...this.#foundation.stats() };
  }

  close() {
    return this.#answer(this.#foundation.calls.make('close', () => this.#foundation.close(), []));
  }

  /**
   * @template T
   * @param {string} operation
   * @param {string} id
   * @param {(call: import('./call.js').Call) => Promise<T>} work
   * @param {import('./calls.js').Kind} [kind]
   * @returns {Promise<T>}
   */
  #run(operation, id, work, kind) {
    /** @param {import('./call.js').Call} call */
    const checked = async (call) => {
      checkSid(id);
      return work(call);
    };
    return this.#answer(this.#foundation.calls.run(operation, checked, [], id, kind));
  }

  /**
   * @template T
   * @param {string} operation
   * @param {(call: import('./call.js').Call) => Promise<T>} work
   */
  #runOnAll(operation, work) {
    return this.#answer(this.#foundation.calls.run(operation, work, []));
  }

  /**
   * @template T
   * @param {Promise<T> | undefined} promise which there is without a callback.
   * @returns {Promise<T>}
   */
  #answer(promise) {
    return /** @type {Promise<T>} */ (promise);
  }

  /**
   * @template T
   * @param {string} id
   * @param {(waited?: number) => Promise<T>} work
   */
  #inOrder(id, work) {
    return this.#foundation.inOrder.run(id, work);
  }

  /**
   * The live item, once this process's earlier writes of it have ended.
   * @param {'get' | 'update'} operation
   * @param {string} id
   */
  async #find(operation, id) {
    const { native, inOrder, integrity } = this.#foundation;
    const now = Date.now();
    const waited = await inOrder.before(id);
    const found = await integrity.check(operation, id, await native.get(id, now, waited));
    return found?.json === undefined ? null : /** @type {import('./update-item.js').FoundItem} */ (found);
  }
}

exports.SealedStore = SealedStore;
