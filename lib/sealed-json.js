'use strict';

const { failure } = require('./errors.js');

/**
 * The JSON that is sealed for a value: an array of it. A session is an object, so that neither can
 * be taken for the other.
 * @param {unknown} value
 * @returns {string}
 */
function wrap(value) {
  let json;
  try {
    json = JSON.stringify(value);
  } catch {
    // The error of JSON.stringify names the value's properties, that of a toJSON may say anything.
    throw failure('ERR_SERIALIZATION', 'the item cannot be written as JSON: it has a cycle, a BigInt, or a toJSON that fails');
  }
  if (json === undefined)
    throw failure('ERR_SERIALIZATION', 'an item must be a JSON value; undefined, a function or a symbol is none');
  return `[${json}]`;
}

/**
 * The value in what was sealed.
 * @param {string} json
 * @returns {any}
 */
function unwrapValue(json) {
  let sealed;
  try {
    sealed = JSON.parse(json);
  } catch {
    // The parser's own error quotes what it read.
  }
  if (!Array.isArray(sealed) || sealed.length !== 1)
    throw failure('ERR_SERIALIZATION', 'what was sealed is no item; another program wrote it');
  return sealed[0];
}

module.exports = { wrap, unwrapValue };
