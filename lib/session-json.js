'use strict';

const { failure } = require('./errors.js');

/**
 * @param {unknown} session
 * @returns {string}
 */
function serialize(session) {
  if (session === null || typeof session !== 'object') throw failure('ERR_SERIALIZATION', 'a session must be an object');
  let json;
  try {
    json = JSON.stringify(session);
  } catch {
    // The error of JSON.stringify names the session's properties, that of a toJSON may say
    // anything.
    throw failure('ERR_SERIALIZATION', 'the session cannot be written as JSON: it has a cycle, a BigInt, or a toJSON that fails');
  }
  if (json?.[0] !== '{') throw failure('ERR_SERIALIZATION', 'a session must be an object, or have a toJSON that gives one');
  return json;
}

/**
 * @param {string} json
 * @returns {import('../index.js').SessionData}
 */
function parse(json) {
  let session;
  try {
    session = JSON.parse(json);
  } catch {
    // The parser's own error quotes what it read.
  }
  if (session === null || typeof session !== 'object' || Array.isArray(session)) {
    throw failure('ERR_SERIALIZATION', 'what was sealed is not a JSON object; another program wrote it');
  }
  return session;
}

/**
 * When the cookie ends, in epoch milliseconds; `undefined` if it ends with the browser, or says
 * nothing that `new Date()` reads.
 * @param {any} session
 * @returns {number | undefined}
 */
function cookieExpires(session) {
  try {
    const expires = session?.cookie?.expires;
    if (expires === undefined || expires === null || typeof expires === 'boolean') return undefined;
    const time = new Date(expires).getTime();
    return Number.isNaN(time) ? undefined : time;
  } catch {
    return undefined;
  }
}

/**
 * The session as the caller gets it, or `null` if it has ended. While `ttl` is still the cookie's
 * end rounded up to a second, the cookie's finer instant decides; once a touch has moved `ttl` past
 * it, the cookie follows.
 * @param {{ json: string, ttl: number }} record
 * @param {number} now
 */
function revive({ json, ttl }, now) {
  const session = parse(json);
  const expires = cookieExpires(session);
  if (expires === undefined) return session;
  const sealedEnd = Math.ceil(expires / 1000);
  if (ttl === sealedEnd && expires <= now) return null;
  if (ttl > sealedEnd)
    /** @type {import('../index.js').SessionCookie} */ (session.cookie).expires = new Date(ttl * 1000).toISOString();
  return session;
}

module.exports = { serialize, parse, cookieExpires, revive };
