'use strict';

const { failure, SessionStoreError } = require('./errors.js');

/**
 * Objects that hold no more than their own properties, of whatever realm: no arrays, Maps, Dates or
 * boxed strings, and no instances of classes, whose properties may be their prototype's.
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isPlainObject(value) {
  if (Object.prototype.toString.call(value) !== '[object Object]') return false;
  const prototype = Object.getPrototypeOf(value);
  // The prototype of another realm's objects is known by what it alone has.
  return prototype === null || (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf'));
}

/**
 * What reading something of the caller's gives, which can run code of the caller.
 * @template T
 * @param {string} what
 * @param {() => T} read
 * @returns {T}
 */
function reading(what, read) {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof SessionStoreError) throw cause;
    throw failure('ERR_CONFIG', `${what} cannot be read; see cause`, cause);
  }
}

/**
 * @template Value
 * @typedef {object} CallOption
 * @property {Value} [default]
 * @property {string} rule what a value must be, for the message.
 * @property {(value: any) => boolean} holds whether a value is so.
 */

/**
 * The options of one call.
 * @template {object} Options
 * @param {string} call the name of the method.
 * @param {unknown} options what the caller gave.
 * @param {{ [Name in keyof Options]: CallOption<Options[Name]> }} known
 * @returns {Options}
 */
function callOptions(call, options = {}, known) {
  return reading(`an option of ${call}`, () => {
    if (!isPlainObject(options)) throw failure('ERR_CONFIG', `the options of ${call} must be a plain object`);
    const unknown = Object.keys(options).find((name) => !Object.hasOwn(known, name));
    if (unknown !== undefined) {
      throw failure('ERR_CONFIG', `${call} has no option ${JSON.stringify(unknown)}; it takes ${Object.keys(known).join(', ')}`);
    }
    /** @type {Record<string, unknown>} */
    const values = {};
    for (const [name, option] of Object.entries(known)) {
      const { default: standard, rule, holds } = /** @type {CallOption<unknown>} */ (option);
      const value = (Object.hasOwn(options, name) ? options[name] : undefined) ?? standard;
      if (value !== undefined && !holds(value)) throw failure('ERR_CONFIG', `the option ${name} of ${call} must be ${rule}`);
      values[name] = value;
    }
    return /** @type {Options} */ (values);
  });
}

/**
 * The options and the callback at the end of a call that takes both, either or none; `callback` is
 * an array that is empty without one.
 * @param {any[]} rest
 */
function splitOptions(rest) {
  const [options, ...callback] = rest;
  return typeof options === 'function' ? { options: undefined, callback: rest } : { options, callback };
}

/**
 * A number of seconds, up to an hour.
 * @param {number} standard
 * @param {number} least
 * @returns {CallOption<number>}
 */
function seconds(standard, least) {
  return {
    default: standard,
    rule: `a number of seconds from ${least} to 3600`,
    holds: (value) => typeof value === 'number' && value >= least && value <= 3600,
  };
}

/**
 * Something that ends the waiting of the caller.
 * @type {CallOption<AbortSignal | undefined>}
 */
const abortSignal = {
  rule: 'an AbortSignal',
  // By what it can do: that of another realm, such as Jest's, is of another class.
  holds: (value) =>
    typeof value?.aborted === 'boolean' &&
    typeof value.addEventListener === 'function' &&
    typeof value.removeEventListener === 'function',
};

module.exports = { abortSignal, callOptions, isPlainObject, reading, seconds, splitOptions };
