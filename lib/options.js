'use strict';

const { failure } = require('./errors.js');

/**
 * The options of one call.
 * @param {string} call the name of the method.
 * @param {unknown} options what the caller gave.
 * @param {Record<string, { default: unknown, rule: string, holds: (value: any) => boolean }>} known
 */
function callOptions(call, options = {}, known) {
  if (options === null || typeof options !== 'object') throw failure('ERR_CONFIG', `the options of ${call} must be an object`);
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(known, name));
  if (unknown !== undefined) {
    throw failure('ERR_CONFIG', `${call} has no option ${JSON.stringify(unknown)}; it takes ${Object.keys(known).join(', ')}`);
  }
  const values = {};
  for (const [name, { default: standard, rule, holds }] of Object.entries(known)) {
    const value = options[name] ?? standard;
    if (value !== undefined && !holds(value)) throw failure('ERR_CONFIG', `the option ${name} of ${call} must be ${rule}`);
    values[name] = value;
  }
  return values;
}

/**
 * The options and the callback at the end of a call that takes both, either or none; `callback` is
 * an array that is empty without one.
 */
function splitOptions(rest) {
  const [options, ...callback] = rest;
  return typeof options === 'function' ? { options: undefined, callback: rest } : { options, callback };
}

/** A number of seconds, up to an hour. */
function seconds(standard, least) {
  return {
    default: standard,
    rule: `a number of seconds from ${least} to 3600`,
    holds: (value) => typeof value === 'number' && value >= least && value <= 3600,
  };
}

/** Something that ends the waiting of the caller. */
const abortSignal = {
  rule: 'an AbortSignal',
  // By what it can do: that of another realm, such as Jest's, is of another class.
  holds: (value) => typeof value?.aborted === 'boolean' && typeof value.addEventListener === 'function',
};

module.exports = { abortSignal, callOptions, seconds, splitOptions };
