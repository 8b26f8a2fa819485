'use strict';

/**
 * The least time between two looks at the counters, in milliseconds. Revocation checks come once a
 * minute.
 */
const INTERVAL = 60_000;

/**
 * Tells of what the native side has met beside the calls, so that no call fails with it: revocation
 * checks that went wrong, and requests for several reads that were refused.
 */
class Observations {
  #read;
  #failures;
  #looked = Date.now();
  #seen = { checksRevoked: 0, checksUnknown: 0, batchesRefused: false };

  /**
   * @param {object} counters the native side.
   * @param {() => { checksRevoked: number, checksUnknown: number }} counters.keyCacheStats
   * @param {() => { batchesRefused?: boolean }} counters.requestStats
   * @param {import('./failures.js').Failures} failures
   */
  constructor(counters, failures) {
    this.#read = () => {
      const { checksRevoked, checksUnknown } = counters.keyCacheStats();
      return { checksRevoked, checksUnknown, batchesRefused: counters.requestStats().batchesRefused === true };
    };
    this.#failures = failures;
  }

  /** After a call: logs what has happened since the last look, if that is long enough ago. */
  look() {
    const now = Date.now();
    // A clock that was set back must not delay the next look.
    if (Math.abs(now - this.#looked) < INTERVAL) return;
    this.#looked = now;
    const { checksRevoked, checksUnknown, batchesRefused } = this.#read();
    if (checksRevoked > this.#seen.checksRevoked)
      this.#failures.log('check refused', () => ({
        text: 'KMS refused to unwrap a cached data key, so all cached data keys were wiped',
        fields: { event: 'keysRevoked' },
      }));
    if (checksUnknown > this.#seen.checksUnknown)
      this.#failures.log('check unanswered', () => ({
        text: 'KMS does not answer the revocation check: sessions with cached data keys continue, others fail',
        fields: { event: 'revocationCheckUnanswered' },
      }));
    if (batchesRefused && !this.#seen.batchesRefused)
      this.#failures.log('batch reads refused', () => ({
        text: 'DynamoDB refuses dynamodb:BatchGetItem, so sessions that are read at the same time are read one by one; allow it in the IAM policy, or set batchReads to false',
        fields: { event: 'batchReadsRefused' },
      }));
    this.#seen = { checksRevoked, checksUnknown, batchesRefused };
  }
}

exports.Observations = Observations;
