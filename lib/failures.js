'use strict';

/** How long one line stands for all failures of its cause, in milliseconds. */
const QUIET = 60_000;

/**
 * Counts failures by their code, and logs one line a minute for each cause: in an outage every
 * request fails, and none has more to say than the first.
 */
class Failures {
  #warn;
  /** @type {Partial<Record<import('../index.js').SessionStoreErrorCode, number>>} */
  #counts = {};
  /**
   * Cause to when its last line was logged, and how many failures have passed without one since.
   * There are as many causes as codes and operations.
   * @type {Map<string, { logged: number, left: number }>}
   */
  #causes = new Map();

  /** @param {(text: string) => void} warn */
  constructor(warn) {
    this.#warn = warn;
  }

  /** The counts by code. */
  get counts() {
    return { ...this.#counts };
  }

  /** @param {import('../index.js').SessionStoreErrorCode} code */
  count(code) {
    this.#counts[code] = (this.#counts[code] ?? 0) + 1;
  }

  /**
   * @param {string} cause what the failures have in common.
   * @param {() => string} line the text of the log.
   */
  log(cause, line) {
    const now = Date.now();
    const last = this.#causes.get(cause);
    // A clock that was set back must not keep the log quiet.
    if (last && now >= last.logged && now - last.logged < QUIET) {
      last.left++;
      return;
    }
    this.#causes.set(cause, { logged: now, left: 0 });
    this.#warn(last?.left ? `${line()} (and ${last.left} more of the kind before)` : line());
  }
}

exports.Failures = Failures;
