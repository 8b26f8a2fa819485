'use strict';

const { unwrap } = require('./errors.js');

/** @typedef {import('../binding.js').Session} Session */

/** Decides what reading a record that fails its integrity check results in. */
class Integrity {
  #native;
  #calls;
  #onFailure;
  #keeps;

  /**
   * @param {import('./native-store.js').Native} native
   * @param {import('./calls.js').Calls} calls
   * @param {import('./config.js').IntegrityFailure} onFailure
   * @param {'session' | 'item'} keeps what the store keeps, for the log.
   */
  constructor(native, calls, onFailure, keeps) {
    this.#native = native;
    this.#calls = calls;
    this.#onFailure = onFailure;
    this.#keeps = keeps;
  }

  /**
   * What the native side read; a record that fails its integrity check may count as none.
   * @param {'get' | 'take' | 'update'} operation
   * @param {string} sid
   * @param {Session | import('../binding.js').Failure | null} reply
   * @returns {Promise<Session | null>}
   */
  async check(operation, sid, reply) {
    try {
      return unwrap(reply);
    } catch (error) {
      if (error.code !== 'ERR_INTEGRITY' || this.#onFailure === 'error') throw error;
      this.#calls.report(operation, sid, error, `${operation}, answered as of no ${this.#keeps},`);
      if (this.#onFailure === 'destroy') unwrap(await this.#native.destroyUnreadable(sid));
      return null;
    }
  }
}

exports.Integrity = Integrity;
