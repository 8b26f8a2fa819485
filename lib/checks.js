'use strict';

/** How often the counters are looked at, in milliseconds: revocation checks come once a minute. */
const INTERVAL = 60_000;

/** Tells of revocation checks that went wrong. They run beside the calls, so that no call fails with what they find. */
class Checks {
  #read;
  #warn;
  #looked = Date.now();
  #seen = { checksRevoked: 0, checksUnknown: 0 };

  /**
   * @param {() => { checksRevoked: number, checksUnknown: number }} read gives the counters.
   * @param {(cause: string, text: string) => void} warn
   */
  constructor(read, warn) {
    this.#read = read;
    this.#warn = warn;
  }

  /** After a call: tells what has come since the last look, if that was some time ago. */
  look() {
    const now = Date.now();
    // A clock that was set back must not put the look off.
    if (Math.abs(now - this.#looked) < INTERVAL) return;
    this.#looked = now;
    const { checksRevoked, checksUnknown } = this.#read();
    if (checksRevoked > this.#seen.checksRevoked)
      this.#warn('check revoked', 'KMS refuses to unwrap a cached data key: all cached ones were wiped');
    if (checksUnknown > this.#seen.checksUnknown)
      this.#warn('check unknown', 'KMS does not answer the revocation check: sessions with cached data keys go on, others fail');
    this.#seen = { checksRevoked, checksUnknown };
  }
}

module.exports = { Checks };
