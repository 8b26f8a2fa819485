'use strict';

/** For how many sessions a result is kept that could not be stored. */
const LIMIT = 1000;

/** How many characters all of them may have together. */
const SIZE_LIMIT = 8 * 1024 * 1024;

/** @typedef {import('./json-changes.js').Changes} Changes */

/**
 * Errors of writes that would fail the next time as well.
 * @type {ReadonlySet<unknown>}
 */
const HOPELESS = new Set(['ERR_SESSION_TOO_LARGE', 'ERR_SERIALIZATION']);

/**
 * @param {Changes} changes
 * @returns {number} characters.
 */
function sizeOf(changes) {
  let size = 0;
  for (const [name, change] of changes)
    size += name.length + (change instanceof Map ? sizeOf(change) : JSON.stringify([change.before, change.after]).length);
  return size;
}

/**
 * The key of a session's token.
 * @param {string} sid
 * @param {string} name of the token.
 */
function keyOf(sid, name) {
  return `${startOf(sid)}${JSON.stringify(name)}]`;
}

/**
 * How the keys of all tokens of a session start.
 * @param {string} sid
 */
function startOf(sid) {
  return `[${JSON.stringify(sid)},`;
}

/**
 * What refreshes brought that could not be stored: the refresh token before is used up, and this is
 * the only copy of the one that follows.
 */
class UnsavedRefreshes {
  /**
   * The oldest first.
   * @type {Map<string, { changes: Changes, size: number }>}
   */
  #kept = new Map();
  #size = 0;
  #isClosed = false;

  get size() {
    return this.#kept.size;
  }

  /**
   * @param {string} key of a session's token.
   * @param {Changes} changes
   * @param {unknown} code of the error that kept them from being stored.
   */
  keep(key, changes, code) {
    this.forget(key);
    if (this.#isClosed || HOPELESS.has(code)) return;
    const size = sizeOf(changes);
    this.#kept.set(key, { changes, size });
    this.#size += size;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= LIMIT && this.#size <= SIZE_LIMIT) return;
      this.forget(oldest);
    }
  }

  /** @param {string} key */
  of(key) {
    return this.#kept.get(key)?.changes;
  }

  /** @param {string} key */
  forget(key) {
    this.#size -= this.#kept.get(key)?.size ?? 0;
    this.#kept.delete(key);
  }

  /** @param {string} sid */
  forgetSession(sid) {
    const start = startOf(sid);
    for (const key of this.#kept.keys()) if (key.startsWith(start)) this.forget(key);
  }

  forgetAll() {
    this.#kept.clear();
    this.#size = 0;
  }

  /** Functions may still run; what they bring is not kept any more. */
  close() {
    this.#isClosed = true;
    this.forgetAll();
  }
}

exports.UnsavedRefreshes = UnsavedRefreshes;
exports.keyOf = keyOf;
