'use strict';

/**
 * The application's log, where each line begins with this package's name. A logger that fails
 * changes nothing of what a caller gets.
 */
class Log {
  #logger;

  /** @param {import('../index.js').SessionStoreLogger} logger */
  constructor(logger) {
    this.#logger = logger;
  }

  /**
   * @param {string} text
   * @param {() => void} [failed] is called if the logger fails, now or later.
   */
  warn(text, failed) {
    this.#write('warn', text, failed);
  }

  /** @param {string} text */
  debug(text) {
    this.#write('debug', text);
  }

  /**
   * @param {'warn' | 'debug'} level
   * @param {string} text
   * @param {() => void} [failed]
   */
  #write(level, text, failed = () => {}) {
    try {
      /** @type {any} */
      const written = this.#logger[level](`connect-dynamodb-kms: ${text}`);
      // The methods of a logger may be async.
      if (typeof written?.then === 'function') Promise.resolve(written).catch(failed);
    } catch {
      failed();
    }
  }
}

exports.Log = Log;
