'use strict';

/** @typedef {import('../index.js').SessionStoreLogFields} Fields */

/**
 * The application's log, where each line begins with this package's name. A logger that fails
 * changes nothing of what a caller gets.
 */
class Log {
  #write;

  /** @param {import('./logger.js').Write} write */
  constructor(write) {
    this.#write = write;
  }

  /**
   * @param {string} text
   * @param {Fields} fields what the line says, for loggers that take fields.
   * @param {() => void} [failed] is called if the logger fails, now or later.
   */
  warn(text, fields, failed) {
    this.#line('warn', text, fields, failed);
  }

  /**
   * @param {string} text
   * @param {Fields} fields
   */
  debug(text, fields) {
    this.#line('debug', text, fields);
  }

  /**
   * @param {'warn' | 'debug'} level
   * @param {string} text
   * @param {Fields} fields
   * @param {() => void} [failed]
   */
  #line(level, text, fields, failed = () => {}) {
    try {
      /** @type {any} */
      const written = this.#write(level, `connect-dynamodb-kms: ${text}`, fields);
      // The methods of a logger may be async.
      if (typeof written?.then === 'function') Promise.resolve(written).catch(failed);
    } catch {
      failed();
    }
  }
}

exports.Log = Log;
