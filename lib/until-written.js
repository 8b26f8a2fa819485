'use strict';

const { Backoff, sleep } = require('./backoff.js');
const { SessionStoreError } = require('./errors.js');
const { seconds } = require('./options.js');
const { clearTimeout, setTimeout } = require('./real-time.js');

/** The upper limits of the first wait and of any wait between two attempts, in milliseconds. */
const FIRST_WAIT = 10;
const LONGEST_WAIT = 500;

const OPTIONS = { deadlineSeconds: seconds(5, 0) };

/**
 * Reads, changes and writes again, until nobody else has written in between.
 * @template T
 * @param {'session' | 'item'} what for the error.
 * @param {number} deadlineSeconds when no further attempt is made.
 * @param {() => Promise<{ result: T } | undefined>} once one attempt; `undefined` if somebody else wrote first.
 * @returns {Promise<T>}
 */
async function untilWritten(what, deadlineSeconds, once) {
  const waits = new Backoff(FIRST_WAIT, LONGEST_WAIT);
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
  }, deadlineSeconds * 1000);
  try {
    for (;;) {
      const done = await once();
      if (done) return done.result;
      if (!late) await sleep(waits.next());
      if (!late) continue;
      const detail = `the ${what} was changed by others again and again until the deadline; try again, or take a lease with withLock()`;
      throw new SessionStoreError({ code: 'ERR_CONFLICT', detail, retryable: true });
    }
  } finally {
    clearTimeout(deadline);
  }
}

/**
 * The reply of `write`; `undefined` if somebody else wrote first.
 * @template T
 * @param {() => Promise<T>} write
 * @returns {Promise<T | undefined>}
 */
async function attempt(write) {
  try {
    return await write();
  } catch (error) {
    if (error.code !== 'ERR_CONFLICT') throw error;
    return undefined;
  }
}

module.exports = { OPTIONS, attempt, untilWritten };
