'use strict';

const { failure } = require('./errors.js');
const { callOptions } = require('./options.js');
const { wrap, unwrapValue } = require('./sealed-json.js');
const { OPTIONS, attempt, untilWritten } = require('./until-written.js');

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
 * @param {(json: string, found: FoundItem) => Promise<{ outcome: import('./call.js').Outcome }>} parts.write fails with
 *   ERR_CONFLICT if somebody has written the item since it was read.
 * @param {() => void} parts.conflict is told each time that somebody has.
 * @param {{ written: number }} parts.counts
 * @param {(value: any) => unknown} change
 * @param {{ call: import('./call.js').Call, options?: object }} of
 * @returns {Promise<any>} the value as it was written; `null` if there is no item.
 */
async function updateItem({ read, write, conflict, counts }, change, { call, options }) {
  if (typeof change !== 'function') throw failure('ERR_CONFIG', 'update takes a function that changes the value');
  const { deadlineSeconds } = callOptions('update', options, OPTIONS);
  return untilWritten('item', deadlineSeconds, async () => {
    const found = await read();
    if (found === null) {
      call.outcome = 'missing';
      return { result: null };
    }
    const json = await changed(found, change);
    const reply = await attempt(() => write(json, found));
    if (!reply) {
      conflict();
      return undefined;
    }
    call.outcome = reply.outcome;
    if (reply.outcome === 'gone') return { result: null };
    if (reply.outcome === 'written') counts.written++;
    return { result: unwrapValue(json) };
  });
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
