'use strict';

/** How often the counters are looked at, in milliseconds: revocation checks come once a minute. */
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

  /** After a call: tells what has come since the last look, if that was some time ago. */
  look() {
    const now = Date.now();
    // A clock that was set back must not put the look off.
    if (Math.abs(now - this.#looked) < INTERVAL) return;
    this.#looked = now;
    const { checksRevoked, checksUnknown } = this.#read();
    if (checksRevoked > this.#seen.checksRevoked)
      this.#failures.log('check refused', () => 'KMS refuses to unwrap a cached data key: all cached ones were wiped');
    if (checksUnknown > this.#seen.checksUnknown)
      this.#failures.log(
        'check unanswered',
        () => 'KMS does not answer the revocation check: sessions with cached data keys go on, others fail',
      );
    this.#seen = { checksRevoked, checksUnknown };
  }
}

exports.RevocationChecks = RevocationChecks;
