'use strict';

/** For how many sessions a result is kept that could not be stored. */
const LIMIT = 1000;

/** @typedef {import('./json-changes.js').Changes} Changes */

/**
 * What refreshes brought that could not be stored: the refresh token before is used up, and this is
 * the only copy of the one that follows.
 */
class UnsavedRefreshes {
  /**
   * The oldest first.
   * @type {Map<string, Changes>}
   */
  #changes = new Map();

  get size() {
    return this.#changes.size;
  }

  /**
   * @param {string} key of a session's token.
   * @param {Changes} changes
   */
  keep(key, changes) {
    this.#changes.delete(key);
    this.#changes.set(key, changes);
    if (this.#changes.size <= LIMIT) return;
    const [oldest] = this.#changes.keys();
    if (oldest !== undefined) this.#changes.delete(oldest);
  }

  /** @param {string} key */
  of(key) {
    return this.#changes.get(key);
  }

  /** @param {string} key */
  forget(key) {
    this.#changes.delete(key);
  }

  clear() {
    this.#changes.clear();
  }
}

exports.UnsavedRefreshes = UnsavedRefreshes;
