'use strict';

/** Runs what concerns one session in the order in which it was asked for, so that nobody need await `set` before `destroy`. */
class InOrder {
  /** Session id to a promise that resolves when the last of its calls has ended. */
  #last = new Map();

  /**
   * @template T
   * @param {string} sid
   * @param {() => Promise<T>} work starts at once if nothing of this session is under way.
   * @returns {Promise<T>}
   */
  run(sid, work) {
    const before = this.#last.get(sid);
    const result = before ? before.then(work) : work();
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

  /** Resolves when everything that was asked for until now has ended. */
  async ended() {
    await Promise.all(this.#last.values());
  }
}

module.exports = { InOrder };
