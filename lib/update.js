'use strict';

const { Backoff, sleep } = require('./backoff.js');
const { failure, SessionStoreError } = require('./errors.js');
const { callOptions, seconds } = require('./options.js');
const { clearTimeout, setTimeout } = require('./real-time.js');
const { cookieExpires, parse, serialize } = require('./session-json.js');

/**
 * The upper limits of the first wait and of any wait between two attempts, in milliseconds: about
 * the time of one request, and half a second.
 */
const FIRST_WAIT = 10;
const LONGEST_WAIT = 500;

const LATE = 'the session was changed by others again and again until the deadline; try again, or take a lease with withLock()';

const NOT_SAVED = 'the session given to update was never saved; save it first, with save() or at the end of its first request';

const RETURNS =
  'change the session and return nothing, or return the whole session to write: write the body of an arrow function in braces';

const OPTIONS = { deadlineSeconds: seconds(5, 0) };

/**
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {import('../index.js').SessionCookie} SessionCookie
 * @typedef {import('./known-sessions.js').KnownSessions} KnownSessions
 * @typedef {import('./native-store.js').Saved} Saved
 * @typedef {import('./reads.js').Found} Found
 * @typedef {Extract<Saved, { mark: string }>} Stored
 * @typedef {import('./session-state.js').Known} Known
 * @typedef {import('./session-state.js').SessionState} SessionState
 */

/**
 * What an update needs of the store.
 * @typedef {object} Parts
 * @property {KnownSessions} known
 * @property {() => Promise<Found | null>} find reads the session.
 * @property {(session: SessionData, json: string, read: Known, keepEnd: boolean) => Promise<Saved>} write
 * @property {(mark: string, json: string) => Promise<boolean>} holds whether the record of a mark has that content.
 */

/**
 * Reads a session, lets `mutate` change it, and writes it on condition that nobody else has; again, if somebody has.
 * @param {Parts} parts
 * @param {object} call
 * @param {string} call.sid
 * @param {SessionData} [call.held] the session object of the current request.
 * @param {(session: SessionData) => unknown} call.mutate
 * @param {object} [call.options]
 * @returns {Promise<SessionData | null>} the session as it was written.
 */
async function updateSession({ known, find, write, holds }, { sid, held, mutate, options }) {
  if (typeof mutate !== 'function') throw failure('ERR_CONFIG', 'update takes a function that changes the session');
  const { deadlineSeconds } = callOptions('update', options, OPTIONS);
  const text = held && serialize(held);
  const request = held && text !== undefined ? requestOf(held, text) : undefined;
  const waits = new Backoff(FIRST_WAIT, LONGEST_WAIT);
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
  }, deadlineSeconds * 1000);
  try {
    const knowledge = held ? known.lookUp(sid, held) : undefined;
    if (text !== undefined && knowledge?.state === 'known') await refuseUnsaved(knowledge, text, holds);
    for (;;) {
      const found = await find();
      if (found === null && knowledge?.state === 'new') throw failure('ERR_NOT_SAVED', NOT_SAVED);
      if (found === null) return null;
      const { session } = found;
      const read = /** @type {Known} */ (known.lookUp(sid, session)); // it was just read
      const before = JSON.parse(JSON.stringify(session.cookie ?? null)); // it came out of JSON
      const expires = cookieExpires(session);
      const given = mutate(session);
      const changed = chosen(isPromise(given) ? await given : given, found);
      const json = serialize(changed);
      const reply = await attempt(() => write(changed, json, read, cookieExpires(changed) === expires));
      if (reply?.outcome === 'gone') {
        known.markGone(sid, held);
        return null;
      }
      if (reply) return finish(known, sid, request, before, json, /** @type {Stored} */ (reply));
      if (!late) await sleep(waits.next());
      if (late) throw new SessionStoreError({ code: 'ERR_CONFLICT', detail: LATE, retryable: true });
    }
  } finally {
    clearTimeout(deadline);
    if (request) endOf(request);
  }
}

/**
 * The session to write: the one that the function changed, or the one that it returned. A value
 * that an arrow function without braces happens to return is refused, because writing it would lose
 * the change (Immer does the same).
 * @param {any} returned
 * @param {Found} found
 * @returns {SessionData}
 */
function chosen(returned, { session, again }) {
  if (returned === undefined || returned === null || returned === session) return session;
  if (serialize(session) !== serialize(again()))
    throw failure('ERR_CONFIG', `the function given to update changed the session and returned something else; ${RETURNS}`);
  if (session.cookie !== undefined && parse(serialize(returned)).cookie === undefined)
    throw failure('ERR_CONFIG', `the function given to update returned an object without the session's cookie; ${RETURNS}`);
  return returned;
}

/**
 * The reply of `write`; `undefined` if somebody else wrote first.
 * @template T
 * @param {() => Promise<T>} write
 * @returns {Promise<T | undefined>}
 */
async function attempt(write) {
  try {
    return await write();
  } catch (error) {
    if (error.code !== 'ERR_CONFLICT') throw error;
    return undefined;
  }
}

/**
 * Objects whose getters throw are rejected.
 * @param {any} given
 */
function isPromise(given) {
  try {
    return typeof given?.then === 'function';
  } catch {
    throw failure('ERR_SERIALIZATION', 'what the function given to update returned cannot be read');
  }
}

/**
 * The session object of a request, while updates of it run.
 * @typedef {object} Request
 * @property {SessionData} held
 * @property {Map<string, string>} before the JSON of what it held, by name, without changes of the request itself.
 * @property {number} running how many updates of it run.
 */

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
 * Concurrent updates of one object must not take each other's changes for changes of the request.
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
 * What the request holds and has not saved would be lost.
 * @param {Known} known what is known of the session that it holds.
 * @param {string} text
 * @param {Parts['holds']} holds
 */
async function refuseUnsaved({ mark, untouched }, text, holds) {
  const saved = untouched ?? (await holds(mark, text));
  if (!saved) {
    throw failure(
      'ERR_CONFLICT',
      'the session has changes that are not saved; save it first, or make them in the function given to update',
    );
  }
}

/**
 * @param {KnownSessions} known
 * @param {string} sid
 * @param {Request | undefined} request
 * @param {SessionCookie | null} cookieBefore
 * @param {string} json what was written.
 * @param {Stored} saved
 */
function finish(known, sid, request, cookieBefore, json, { mark, ttl }) {
  const session = parse(json);
  known.recordWrite(sid, session, mark, ttl, cookieExpires(session));
  if (request) {
    refresh(request, parse(json), cookieBefore);
    known.recordWrite(sid, request.held, mark, ttl, cookieExpires(request.held));
  }
  return session;
}

/**
 * Copies what was written into the request's session, so that the save at the end of the request
 * has nothing to write. Properties that the request itself has changed meanwhile stay, for that
 * save.
 * @param {Request} request
 * @param {SessionData} session
 * @param {SessionCookie | null} cookieBefore
 */
function refresh({ held, before }, session, cookieBefore) {
  /** @param {string} name */
  const isOurs = (name) => name !== 'cookie' && JSON.stringify(held[name]) === before.get(name);
  for (const name of Object.keys(held)) {
    if (Object.hasOwn(session, name) || !isOurs(name)) continue;
    Reflect.deleteProperty(held, name);
    before.delete(name);
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

module.exports = { updateSession };
