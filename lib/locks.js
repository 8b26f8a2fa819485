'use strict';

const { failure } = require('./errors.js');
const { Lease } = require('./lease.js');
const { abortSignal, callOptions, seconds } = require('./options.js');
const { Patience } = require('./patience.js');

/** The options of a call that waits for a lease. */
const OPTIONS = {
  leaseSeconds: seconds(10, 1),
  waitSeconds: seconds(10, 0),
  signal: abortSignal,
};

/** @typedef {import('./native-store.js').Native} Native */
/** @typedef {import('./lease.js').Observer} Observer */

/** Tasks that run under a session's lease, one at a time across all processes on the table. */
class Locks {
  #native;
  #observer;
  /**
   * From a session id to a promise that resolves when this process's last task for that session no
   * longer needs the lease.
   * @type {Map<string, Promise<void>>}
   */
  #turns = new Map();

  /**
   * `observer` is told what no caller learns.
   * @param {Native} native
   * @param {Observer} observer
   */
  constructor(native, observer) {
    this.#native = native;
    this.#observer = observer;
  }

  /**
   * Runs `task` under the lease of a session, and returns its result.
   * @template T
   * @param {string} sid
   * @param {(signal: AbortSignal) => T | PromiseLike<T>} task
   * @param {object} [options]
   * @returns {Promise<T>}
   */
  async run(sid, task, options) {
    if (typeof task !== 'function') throw failure('ERR_CONFIG', 'withLock takes a function to run under the lease');
    const { leaseSeconds, waitSeconds, signal } = callOptions('withLock', options, OPTIONS);
    const patience = new Patience(waitSeconds, signal);
    try {
      // Tasks queue within this process, so that only one of them asks the table.
      const done = await this.turn(sid, patience);
      try {
        const lease = this.lease('withLock', sid, leaseSeconds * 1000, signal);
        await lease.take(patience);
        patience.end();
        return await lease.during(task);
      } finally {
        done();
      }
    } finally {
      patience.end();
    }
  }

  /**
   * A lease of the session, not taken yet. Only the caller whose turn it is may take it.
   * @param {string} operation whose it is, for the log.
   * @param {string} sid
   * @param {number} length in milliseconds.
   * @param {AbortSignal | undefined} signal
   */
  lease(operation, sid, length, signal) {
    return new Lease(this.#native, this.#observer, { operation, sid, length, signal });
  }

  /**
   * Whether somebody in this process has the session's lease, or waits for it.
   * @param {string} sid
   */
  isBusy(sid) {
    return this.#turns.has(sid);
  }

  /**
   * Waits until no other task of this process needs the session's lease.
   * @param {string} sid
   * @param {Patience} patience
   * @returns {Promise<() => void>} ends the turn.
   */
  async turn(sid, patience) {
    const before = this.#turns.get(sid) ?? Promise.resolve();
    /** @type {() => void} */
    let done = () => {};
    /** @type {Promise<void>} */
    const mine = new Promise((resolve) => {
      done = resolve;
    });
    const all = before.then(() => mine);
    this.#turns.set(sid, all);
    all.then(() => {
      if (this.#turns.get(sid) === all) this.#turns.delete(sid);
    });
    try {
      await patience.wait(before);
    } catch (error) {
      done();
      throw error;
    }
    return done;
  }
}

exports.Locks = Locks;
exports.LEASE_OPTIONS = OPTIONS;
