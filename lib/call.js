'use strict';

const { monotonic } = require('./real-time.js');

/** @typedef {import('../index.js').CallOutcome} Outcome */

/** One call of a store or an envelope, until its caller is answered. */
class Call {
  /** When it began, by the monotonic clock. */
  began = monotonic();
  /**
   * What came of it, unless it fails. The work sets it.
   * @type {Outcome}
   */
  outcome = 'done';
  /** Whether its failure is in the log already, or does not belong there. */
  isReported = false;
  operation;
  callback;
  message;

  /**
   * @param {string} operation the name of the method.
   * @param {unknown} callback the caller's, if it gave one.
   * @param {import('../index.js').CallMessage | undefined} message for those who trace calls.
   */
  constructor(operation, callback, message) {
    this.operation = operation;
    this.callback = typeof callback === 'function' ? callback : undefined;
    this.message = message;
  }
}

exports.Call = Call;
