'use strict';

const { monotonic } = require('./real-time.js');

/**
 * What `then` gives once `earlier` has resolved; it gets the milliseconds that this took.
 * @template T
 * @param {Promise<void>} earlier
 * @param {(waited: number) => T | Promise<T>} then
 * @returns {Promise<T>}
 */
function after(earlier, then) {
  const asked = monotonic();
  return earlier.then(() => then(monotonic() - asked));
}

/**
 * Runs the calls of one session in the order in which they were made, so that callers need not
 * await `set` before `destroy`.
 */
class InOrder {
  /**
   * From a session id to a promise that resolves when the last of its calls has ended.
   * @type {Map<string, Promise<void>>}
   */
  #last = new Map();

  /**
   * @template T
   * @param {string} sid
   * @param {(waited?: number) => Promise<T>} work starts at once if no call of this session is
   *   under way. Otherwise it gets the number of milliseconds that it has waited, which count
   *   towards its deadline.
   * @returns {Promise<T>}
   */
  run(sid, work) {
    const before = this.#last.get(sid);
    const result = before ? after(before, work) : work();
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
   * Resolves when the calls of this session up to now have ended, with the milliseconds that this
   * took; `undefined` if there are none.
   * @param {string} sid
   * @returns {Promise<number> | undefined}
   */
  before(sid) {
    const last = this.#last.get(sid);
    return last && after(last, (waited) => waited);
  }

  /** Resolves when all calls up to now have ended. */
  async ended() {
    await Promise.all(this.#last.values());
  }
}

exports.InOrder = InOrder;
