'use strict';

// What the functions that callers give may do.

const { failure } = require('./errors.js');
const { parse, serialize } = require('./session-json.js');

const RETURNS =
  'change the session and return nothing, or return the whole session to write: write the body of an arrow function in braces';

/**
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {import('./reads.js').Found} Found
 */

/**
 * The session to write: the one that the function changed, or the one that it returned. A value
 * that an arrow function without braces happens to return is refused, because writing it would lose
 * the change (Immer does the same).
 * @param {string} operation the call that was given the function.
 * @param {any} returned
 * @param {Found} found
 * @returns {SessionData}
 */
function chosen(operation, returned, { session, again }) {
  if (returned === undefined || returned === null || returned === session) return session;
  if (serialize(session) !== serialize(again()))
    throw failure('ERR_CONFIG', `the function given to ${operation} changed the session and returned something else; ${RETURNS}`);
  if (session.cookie !== undefined && parse(serialize(returned)).cookie === undefined)
    throw failure('ERR_CONFIG', `the function given to ${operation} returned an object without the session's cookie; ${RETURNS}`);
  return returned;
}

/**
 * Objects whose getters throw are rejected.
 * @param {string} operation
 * @param {any} given
 */
function isPromise(operation, given) {
  try {
    return typeof given?.then === 'function';
  } catch {
    throw failure('ERR_SERIALIZATION', `what the function given to ${operation} returned cannot be read`);
  }
}

/**
 * Whether a function that may not be async returned a promise, of any realm. Nobody else handles
 * it: without this, one that is rejected would end the process.
 * @param {any} returned
 */
function isUnwantedPromise(returned) {
  if (!require('node:util').types.isPromise(returned)) return false;
  returned.then(undefined, () => {});
  return true;
}

module.exports = { chosen, isPromise, isUnwantedPromise };
