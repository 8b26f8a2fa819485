'use strict';

// Reads the session objects of @fastify/session. The framework keeps its state under symbols, which
// are found by their descriptions. If a release renames them, less is known, but nothing wrong is
// assumed.

/**
 * From a class of session objects to its symbols by description.
 * @type {WeakMap<Function, Map<string | undefined, symbol>>}
 */
const symbols = new WeakMap();

/**
 * @param {any} session
 * @param {string} description
 */
function inner(session, description) {
  const type = session.constructor;
  if (typeof type !== 'function') return undefined;
  if (!symbols.has(type)) {
    const keys = Object.getOwnPropertySymbols(session);
    symbols.set(type, new Map(keys.map((key) => [key.description, key])));
  }
  const key = symbols.get(type)?.get(description);
  return key && session[key];
}

/**
 * Whether it is such an object. Throws for objects whose getters throw.
 * @param {any} session
 * @returns {boolean}
 */
function isFastifySession(session) {
  return typeof session?.isModified === 'function' && typeof session.sessionId === 'string';
}

/**
 * Whether the session was made from one that the store returned, or from another such session
 * (`regenerate` passes the cookie's options on). A stored cookie's expiry is a string or `null`; in
 * an application's options it is a Date or missing. Up to 11.1.1, a session keeps the application's
 * options, which only show that a stored cookie had another expiry.
 * @param {any} session
 * @returns {boolean}
 */
function wasLoaded(session) {
  const options = inner(session, 'cookieOpts');
  const { originalExpires } = session.cookie ?? {};
  const isStored = options?.expires === null || typeof options?.expires === 'string';
  return isStored || (originalExpires !== undefined && originalExpires?.getTime() !== options?.expires?.getTime());
}

/**
 * Whether its request still has another session, as while `regenerate` saves the new one. A session
 * that a request has, or had when it ended, is the one that it loaded.
 * @param {any} session
 * @returns {boolean}
 */
function isReplacement(session) {
  const current = inner(session, 'request')?.session;
  return typeof current === 'object' && current !== null && current !== session;
}

/**
 * The id of the session that this one may replace, and whether it has replaced it. Up to 11.1.1,
 * `regenerate` saves the new session while the request still has the old one, gives the request the
 * new one once it is stored, and leaves the record of the old one in the table.
 * @param {any} session
 * @returns {{ sid: string, isReplaced: () => boolean } | undefined}
 */
function replacedBy(session) {
  try {
    const request = isFastifySession(session) ? inner(session, 'request') : undefined;
    const current = request?.session;
    if (!isFastifySession(current) || current.sessionId === session.sessionId) return undefined;
    return { sid: current.sessionId, isReplaced: () => request.session === session };
  } catch {
    return undefined;
  }
}

/**
 * The key under which the options of a session's cookie carry the record that the session was read
 * from.
 */
const RECORD = Symbol('record');

/**
 * Passes a session that was read to the framework, so that the copy that the framework makes is
 * linked to its record. From 11.1.2 on, the framework keeps the result of the cookie's `toJSON` as
 * the options of the new cookie. The method changes no JSON, and exists only until the framework
 * returns.
 * @param {any} session
 * @param {() => unknown} record
 * @param {() => void} give
 */
function giveWith(session, record, give) {
  const cookie = session?.cookie;
  if (typeof cookie !== 'object' || cookie === null || Array.isArray(cookie) || Object.hasOwn(cookie, 'toJSON')) return give();
  const carried = record();
  const toJSON = () => ({ ...cookie, [RECORD]: carried });
  Object.defineProperty(cookie, 'toJSON', { value: toJSON, configurable: true });
  try {
    return give();
  } finally {
    delete cookie.toJSON;
  }
}

/**
 * What `giveWith` made the session carry, in any store.
 * @param {any} session
 */
function carriedBy(session) {
  return inner(session, 'cookieOpts')?.[RECORD];
}

/**
 * The application that received the session's request; `undefined` for other sessions.
 * @param {any} session
 */
function applicationOf(session) {
  return isFastifySession(session) ? inner(session, 'request')?.server : undefined;
}

/**
 * The store that the application gave to @fastify/session.
 * @param {any} session
 */
function storeOf(session) {
  return inner(session, 'sessionStore');
}

module.exports = { applicationOf, carriedBy, giveWith, isFastifySession, isReplacement, replacedBy, storeOf, wasLoaded };
