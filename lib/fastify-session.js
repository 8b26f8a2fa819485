'use strict';

// What the session objects of @fastify/session tell. They keep what the framework knows of them under symbols, which are found by their descriptions; a release
// that renames those tells less, and nothing wrong.

/** Class of session objects to its symbols by their description. */
const symbols = new WeakMap();

function inner(session, description) {
  const type = session.constructor;
  if (typeof type !== 'function') return undefined;
  if (!symbols.has(type)) {
    const keys = Object.getOwnPropertySymbols(session);
    symbols.set(type, new Map(keys.map((key) => [key.description, key])));
  }
  const key = symbols.get(type).get(description);
  return key && session[key];
}

/** Whether it is such an object; throws for objects that cannot be asked. */
function isFastifySession(session) {
  return typeof session?.isModified === 'function' && typeof session.sessionId === 'string';
}

/**
 * Whether the session was made of one that the store gave, or of one that was so made (`regenerate` hands the cookie's options on). Stored cookies have an end that
 * is a string or `null`; the options of an application have a Date or none.
 */
function wasLoaded(session) {
  const options = inner(session, 'cookieOpts');
  if (options === undefined) return session.cookie?.originalExpires !== undefined;
  return options.expires === null || typeof options.expires === 'string';
}

/**
 * The id of the session that this one is put in the place of: until 11.1.1, `regenerate` saves the new session while the request still has the old one, which it
 * leaves where it is.
 * @returns {string | undefined}
 */
function replacedId(session) {
  try {
    const current = isFastifySession(session) ? inner(session, 'request')?.session : undefined;
    if (current === session || !isFastifySession(current) || current.sessionId === session.sessionId) return undefined;
    return current.sessionId;
  } catch {
    return undefined;
  }
}

/** The application that the session's request came to; `undefined` for other sessions. */
function applicationOf(session) {
  return isFastifySession(session) ? inner(session, 'request')?.server : undefined;
}

module.exports = { applicationOf, isFastifySession, replacedId, wasLoaded };
