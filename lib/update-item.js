'use strict';

const { Backoff, sleep } = require('./backoff.js');
const { failure, SessionStoreError } = require('./errors.js');
const { callOptions, seconds } = require('./options.js');
const { clearTimeout, setTimeout } = require('./real-time.js');
const { wrap, unwrapValue } = require('./sealed-json.js');

/**
 * The upper limits of the first wait and of any wait between two attempts, in milliseconds, as of
 * an update of a session.
 */
const FIRST_WAIT = 10;
const LONGEST_WAIT = 500;

const OPTIONS = { deadlineSeconds: seconds(5, 0) };

const LATE = 'the item was changed by others again and again until the deadline; try again, or take a lease with withLock()';

const CHANGED_AND_RETURNED =
  'the function given to update changed the value and returned something else; change it and return nothing, or return ' +
  'the value to write: write the body of an arrow function in braces';

/**
 * @typedef {import('../binding.js').Session & { json: string, mark: string }} FoundItem
 */

/**
 * Reads an item, lets `change` change it, and writes it on condition that nobody else has; again,
 * if somebody has.
 * @param {object} parts
 * @param {() => Promise<FoundItem | null>} parts.read
 * @param {(json: string, found: FoundItem) => Promise<{ outcome: string }>} parts.write fails with
 *   ERR_CONFLICT if somebody has written the item since it was read.
 * @param {{ written: number, conflicts: number }} parts.counts
 * @param {(value: any) => unknown} change
 * @param {object} [options]
 * @returns {Promise<any>} the value as it was written; `null` if there is no item.
 */
async function updateItem({ read, write, counts }, change, options) {
  if (typeof change !== 'function') throw failure('ERR_CONFIG', 'update takes a function that changes the value');
  const { deadlineSeconds } = callOptions('update', options, OPTIONS);
  const waits = new Backoff(FIRST_WAIT, LONGEST_WAIT);
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
  }, deadlineSeconds * 1000);
  try {
    for (;;) {
      const found = await read();
      if (found === null) return null;
      const json = await changed(found, change);
      try {
        const { outcome } = await write(json, found);
        if (outcome === 'gone') return null;
        if (outcome === 'written') counts.written++;
        return unwrapValue(json);
      } catch (error) {
        if (error.code !== 'ERR_CONFLICT') throw error;
        counts.conflicts++;
      }
      if (!late) await sleep(waits.next());
      if (late) throw new SessionStoreError({ code: 'ERR_CONFLICT', detail: LATE, retryable: true });
    }
  } finally {
    clearTimeout(deadline);
  }
}

/**
 * The JSON to seal. A value that an arrow function without braces happens to return is refused, as
 * in an update of a session.
 * @param {FoundItem} found
 * @param {(value: any) => unknown} change
 */
async function changed({ json }, change) {
  const value = unwrapValue(json);
  const returned = await change(value);
  if (returned === undefined || returned === value) return wrap(value);
  if (wrap(value) !== wrap(unwrapValue(json))) throw failure('ERR_CONFIG', CHANGED_AND_RETURNED);
  return wrap(returned);
}

module.exports = { updateItem };
