'use strict';

// What the session objects of @fastify/session tell. They keep what the framework knows of them
// under symbols, which are found by their descriptions; a release that renames those tells less,
// and nothing wrong.

/**
 * Class of session objects to its symbols by their description.
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
 * Whether it is such an object; throws for objects that cannot be asked.
 * @param {any} session
 * @returns {boolean}
 */
function isFastifySession(session) {
  return typeof session?.isModified === 'function' && typeof session.sessionId === 'string';
}

/**
 * Whether the session was made of one that the store gave, or of one that was so made (`regenerate`
 * hands the cookie's options on). Stored cookies have an end that is a string or `null`; the
 * options of an application have a Date or none. Until 11.1.1, a session keeps the application's
 * options, which tell nothing of a stored cookie but that it had another end.
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
 * Whether its request still has another session, as while `regenerate` saves the new one. What a
 * request has, or has ended, is what it has loaded.
 * @param {any} session
 * @returns {boolean}
 */
function isReplacement(session) {
  const current = inner(session, 'request')?.session;
  return typeof current === 'object' && current !== null && current !== session;
}

/**
 * The id of the session that this one may be put in the place of, and whether it has been: until
 * 11.1.1, `regenerate` saves the new session while the request still has the old one, gives the
 * request the new one when that is stored, and leaves the old one where it is.
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
 * Under this key the options of a session's cookie carry the record that the session was read from.
 */
const RECORD = Symbol('record');

/**
 * Gives a session that was read to the framework, so that the copy it makes meanwhile can tell its
 * record: from 11.1.2 on, the framework keeps what the cookie's `toJSON` gives as the options of
 * the new cookie. The method changes no JSON, and is there only until the framework returns.
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
 * What `giveWith` let the session carry, by whichever store.
 * @param {any} session
 */
function carriedBy(session) {
  return inner(session, 'cookieOpts')?.[RECORD];
}

/**
 * The application that the session's request came to; `undefined` for other sessions.
 * @param {any} session
 */
function applicationOf(session) {
  return isFastifySession(session) ? inner(session, 'request')?.server : undefined;
}

module.exports = { applicationOf, carriedBy, giveWith, isFastifySession, isReplacement, replacedBy, wasLoaded };
