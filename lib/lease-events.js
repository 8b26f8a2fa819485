'use strict';

/** @type {Record<'lost' | 'notRenewed' | 'notReleased', (code?: string) => string>} */
const TEXTS = {
  lost: () => 'the lease ended before its task did; the signal of the task is aborted',
  notRenewed: (code) => `the lease could not be renewed (${code}); it is retried until the lease ends`,
  notReleased: (code) => `the lease could not be released (${code}); it ends by itself`,
};

/** @typedef {import('../index.js').SessionStoreLogFields} Fields */

/** @type {Record<'lost' | 'notRenewed' | 'notReleased', Fields['event']>} */
const NAMES = { lost: 'leaseLost', notRenewed: 'leaseNotRenewed', notReleased: 'leaseNotReleased' };

/** Publishes what becomes of leases; counts and logs what went wrong without failing a call. */
class LeaseEvents {
  #failures;
  #names;
  #channels;
  #counts = { lost: 0, notRenewed: 0, notReleased: 0 };

  /**
   * @param {import('./failures.js').Failures} failures
   * @param {import('./session-ids.js').Names} names for the log.
   * @param {import('./channels.js').Channels} channels
   */
  constructor(failures, names, channels) {
    this.#failures = failures;
    this.#names = names;
    this.#channels = channels;
  }

  get counts() {
    return { ...this.#counts };
  }

  /**
   * @param {string} operation whose lease it is.
   * @param {string} sid
   * @param {import('../index.js').LeaseMessage['event']} event
   * @param {string} [code] of the failure.
   */
  tell(operation, sid, event, code) {
    this.#channels.lease(operation, sid, event, code);
    if (event === 'acquired' || event === 'released') return;
    this.#counts[event]++;
    this.#failures.log(`lease ${event} ${code}`, () => {
      const fields = { event: NAMES[event], operation, ...this.#names.fieldOf(sid), ...(code !== undefined && { code }) };
      return { text: `${operation}${this.#names.of(sid)}: ${TEXTS[event](code)}`, fields: /** @type {Fields} */ (fields) };
    });
  }
}

exports.LeaseEvents = LeaseEvents;
