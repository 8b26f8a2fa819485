'use strict';

// The session object of a request that a call brings up to date with what is stored.

const { failure } = require('./errors.js');
const { parse } = require('./session-json.js');

/**
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {import('../index.js').SessionCookie} SessionCookie
 * @typedef {import('./session-state.js').Known} Known
 */

/**
 * The session object of a request, while calls that bring it up to date run.
 * @typedef {object} Request
 * @property {SessionData} held
 * @property {Map<string, string>} before the JSON of what it held, by name, without changes of the request itself.
 * @property {number} running how many such calls run.
 */

/**
 * The objects that `all` gave: their `id` is not a part of what is stored.
 * @type {WeakSet<object>}
 */
const listed = new WeakSet();

/** @type {WeakMap<object, Request>} */
const requests = new WeakMap();

/**
 * @param {SessionData} object
 * @returns {Map<string, string>}
 */
function textsOf(object) {
  return new Map(Object.entries(object).map(([name, value]) => [name, JSON.stringify(value)]));
}

/**
 * Concurrent calls with one object must not take each other's changes for changes of the request.
 * @param {SessionData} held
 * @param {string} text its JSON.
 */
function requestOf(held, text) {
  const request = requests.get(held) ?? { held, before: textsOf(parse(text)), running: 0 };
  request.running++;
  requests.set(held, request);
  return request;
}

/** @param {Request} request */
function endOf(request) {
  request.running--;
  if (request.running === 0) requests.delete(request.held);
}

/**
 * What is stored could not be put into it, and a save of it would write what it holds.
 * @param {object} held
 * @param {string} operation
 */
function refuseFrozen(held, operation) {
  if (Object.isFrozen(held)) throw failure('ERR_CONFIG', `the session given to ${operation} is frozen; give its id`);
}

/**
 * What the request holds and has not saved would be lost.
 * @param {Known} known what is known of the session that it holds.
 * @param {string} text
 * @param {(mark: string, json: string) => Promise<boolean>} holds whether the record of a mark has that content.
 * @param {string} operation
 */
async function refuseUnsaved({ mark, untouched }, text, holds, operation) {
  const saved = untouched ?? (await holds(mark, text));
  if (!saved) {
    throw failure(
      'ERR_CONFLICT',
      `the session has changes that are not saved; save it first, or make them in the function given to ${operation}`,
    );
  }
}

/**
 * Copies what is stored into the request's session, so that the save at the end of the request
 * has nothing to write. Properties that the request itself has changed meanwhile stay, for that
 * save.
 * @param {Request} request
 * @param {SessionData} session
 * @param {SessionCookie | null} cookieBefore
 */
function bringUpToDate({ held, before }, session, cookieBefore) {
  /** @param {string} name */
  const isOurs = (name) => name !== 'cookie' && JSON.stringify(held[name]) === before.get(name);
  for (const name of Object.keys(held)) {
    if (Object.hasOwn(session, name) || !isOurs(name)) continue;
    before.delete(name);
    // It stays for the caller, but no save may write it.
    if (name === 'id' && listed.has(held)) Object.defineProperty(held, name, { enumerable: false });
    else Reflect.deleteProperty(held, name);
  }
  for (const [name, value] of Object.entries(session)) {
    if (!isOurs(name)) continue;
    // Some properties of the frameworks' sessions cannot be set.
    Reflect.set(held, name, value);
    before.set(name, JSON.stringify(value));
  }
  // The cookie is an object of the framework: set only the changed properties, and `expires` first,
  // because its setter computes the lifetime.
  const { cookie } = session;
  if (typeof held.cookie !== 'object' || held.cookie === null || typeof cookie !== 'object' || cookie === null) return;
  const names = Object.keys(cookie).sort((a, b) => Number(b === 'expires') - Number(a === 'expires'));
  for (const name of names) {
    if (JSON.stringify(cookie[name]) === JSON.stringify(cookieBefore?.[name])) continue;
    held.cookie[name] = name === 'expires' && typeof cookie[name] === 'string' ? new Date(cookie[name]) : cookie[name];
  }
}

module.exports = { bringUpToDate, endOf, listed, refuseFrozen, refuseUnsaved, requestOf };
