'use strict';

/** The least time between two log lines of one cause, in milliseconds. */
const QUIET = 60_000;

/**
 * A line of the log, and what it says for loggers that take fields.
 * @typedef {{ text: string, fields: import('../index.js').SessionStoreLogFields }} Line
 */

/**
 * Counts failures by code, and logs one line a minute for each cause. In an outage every request
 * fails, and the later lines would say nothing new.
 */
class Failures {
  #log;
  /** @type {Partial<Record<import('../index.js').SessionStoreErrorCode, number>>} */
  #counts = {};
  /**
   * From a cause to the time of its last line, and the number of failures without a line since.
   * There are as many causes as pairs of operation and code.
   * @type {Map<string, { logged: number, left: number }>}
   */
  #causes = new Map();

  /** @param {import('./log.js').Log} log */
  constructor(log) {
    this.#log = log;
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
   * @param {() => Line} line
   */
  log(cause, line) {
    const now = Date.now();
    const last = this.#causes.get(cause);
    // A clock that was set back must not silence the log.
    if (last && now >= last.logged && now - last.logged < QUIET) {
      last.left++;
      return;
    }
    this.#causes.set(cause, { logged: now, left: 0 });
    const { text, fields } = line();
    if (last?.left) this.#log.warn(`${text} (and ${last.left} more since the last such line)`, { ...fields, omitted: last.left });
    else this.#log.warn(text, fields);
  }
}

exports.Failures = Failures;
