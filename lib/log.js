'use strict';

/** The application's log, where each line begins with this package's name. A logger that fails changes nothing of what a caller gets. */
class Log {
  #logger;

  /** @param {import('../index.js').SessionStoreLogger} logger */
  constructor(logger) {
    this.#logger = logger;
  }

  /** @param {string} text */
  warn(text) {
    this.#write('warn', text);
  }

  /** @param {string} text */
  debug(text) {
    this.#write('debug', text);
  }

  /**
   * @param {'warn' | 'debug'} level
   * @param {string} text
   */
  #write(level, text) {
    try {
      this.#logger[level](`connect-dynamodb-kms: ${text}`);
    } catch {
      // See above.
    }
  }
}

exports.Log = Log;
