'use strict';

const { fingerprint } = require('./session-ids.js');

/** @type {Record<'lost' | 'notRenewed' | 'notReleased', (code?: string) => string>} */
const TEXTS = {
  lost: () => 'the lease ended before its task did; the signal of the task is aborted',
  notRenewed: (code) => `the lease could not be renewed (${code}); it is retried until the lease ends`,
  notReleased: (code) => `the lease could not be released (${code}); it ends by itself`,
};

/** Counts and logs the outcomes of leases that no call fails with. */
class LeaseEvents {
  #failures;
  #keeps;
  #counts = { lost: 0, notRenewed: 0, notReleased: 0 };

  /**
   * @param {import('./failures.js').Failures} failures
   * @param {'session' | 'item'} keeps what the store keeps, for the log.
   */
  constructor(failures, keeps) {
    this.#failures = failures;
    this.#keeps = keeps;
  }

  get counts() {
    return { ...this.#counts };
  }

  /**
   * @param {string} operation whose lease it is.
   * @param {string} sid
   * @param {'lost' | 'notRenewed' | 'notReleased'} event
   * @param {string} [code] of the failure.
   */
  tell(operation, sid, event, code) {
    this.#counts[event]++;
    this.#failures.log(`lease ${event} ${code}`, () => `${operation}${fingerprint(sid, this.#keeps)}: ${TEXTS[event](code)}`);
  }
}

exports.LeaseEvents = LeaseEvents;
