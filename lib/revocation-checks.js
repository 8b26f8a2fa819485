'use strict';

/**
 * The least time between two looks at the counters, in milliseconds. Revocation checks come once a
 * minute.
 */
const INTERVAL = 60_000;

/**
 * Tells of revocation checks that went wrong. They run beside the calls, so that no call fails with
 * what they find.
 */
class RevocationChecks {
  #read;
  #failures;
  #looked = Date.now();
  #seen = { checksRevoked: 0, checksUnknown: 0 };

  /**
   * @param {() => { checksRevoked: number, checksUnknown: number }} read gives the counters.
   * @param {import('./failures.js').Failures} failures
   */
  constructor(read, failures) {
    this.#read = read;
    this.#failures = failures;
  }

  /** After a call: logs what has happened since the last look, if that is long enough ago. */
  look() {
    const now = Date.now();
    // A clock that was set back must not delay the next look.
    if (Math.abs(now - this.#looked) < INTERVAL) return;
    this.#looked = now;
    const { checksRevoked, checksUnknown } = this.#read();
    if (checksRevoked > this.#seen.checksRevoked)
      this.#failures.log('check refused', () => 'KMS refused to unwrap a cached data key, so all cached data keys were wiped');
    if (checksUnknown > this.#seen.checksUnknown)
      this.#failures.log(
        'check unanswered',
        () => 'KMS does not answer the revocation check: sessions with cached data keys continue, others fail',
      );
    this.#seen = { checksRevoked, checksUnknown };
  }
}

exports.RevocationChecks = RevocationChecks;
