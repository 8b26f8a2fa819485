'use strict';

const { monotonic } = require('./real-time.js');

/**
 * Runs what concerns one session in the order in which it was asked for, so that nobody need await
 * `set` before `destroy`.
 */
class InOrder {
  /**
   * Session id to a promise that resolves when the last of its calls has ended.
   * @type {Map<string, Promise<void>>}
   */
  #last = new Map();

  /**
   * @template T
   * @param {string} sid
   * @param {(waited?: number) => Promise<T>} work starts at once if nothing of this session is
   * under way; else it is told how many milliseconds it has waited, which are part of the time that
   * it has.
   * @returns {Promise<T>}
   */
  run(sid, work) {
    const before = this.#last.get(sid);
    const asked = monotonic();
    const result = before ? before.then(() => work(monotonic() - asked)) : work();
    const ended = result.then(
      () => {},
      () => {},
    );
    this.#last.set(sid, ended);
    ended.then(() => {
      if (this.#last.get(sid) === ended) this.#last.delete(sid);
    });
    return result;
  }

  /**
   * Resolves when what was asked for of this session until now has ended, with the milliseconds
   * that this took; `undefined` if there is nothing to wait for.
   * @param {string} sid
   * @returns {Promise<number> | undefined}
   */
  before(sid) {
    const asked = monotonic();
    return this.#last.get(sid)?.then(() => monotonic() - asked);
  }

  /** Resolves when everything that was asked for until now has ended. */
  async ended() {
    await Promise.all(this.#last.values());
  }
}

exports.InOrder = InOrder;
