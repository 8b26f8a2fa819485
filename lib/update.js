'use strict';

const { failure } = require('./errors.js');
const { bringUpToDate, endOf, refuseFrozen, refuseUnsaved, requestOf } = require('./held-session.js');
const { chosen, isPromise } = require('./mutation.js');
const { callOptions } = require('./options.js');
const { cookieExpires, parse, serialize } = require('./session-json.js');
const { OPTIONS, attempt, untilWritten } = require('./until-written.js');

const NOT_SAVED = 'the session given to update was never saved; save it first, with save() or at the end of its first request';

/**
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {import('../index.js').SessionCookie} SessionCookie
 * @typedef {import('./known-sessions.js').KnownSessions} KnownSessions
 * @typedef {import('./native-store.js').Saved} Saved
 * @typedef {import('./reads.js').Found} Found
 * @typedef {Extract<Saved, { mark: string }>} Stored
 * @typedef {import('./session-state.js').Known} Known
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
 * @param {object} given
 * @param {import('./call.js').Call} given.call
 * @param {string} given.sid
 * @param {SessionData} [given.held] the session object of the current request.
 * @param {(session: SessionData) => unknown} given.mutate
 * @param {object} [given.options]
 * @returns {Promise<SessionData | null>} the session as it was written.
 */
async function updateSession({ known, find, write, holds }, { call, sid, held, mutate, options }) {
  if (typeof mutate !== 'function') throw failure('ERR_CONFIG', 'update takes a function that changes the session');
  const { deadlineSeconds } = callOptions('update', options, OPTIONS);
  if (held) refuseFrozen(held, 'update');
  const text = held && serialize(held);
  const request = held && text !== undefined ? requestOf(held, text) : undefined;
  try {
    const knowledge = held ? known.lookUp(sid, held) : undefined;
    if (text !== undefined && knowledge?.state === 'known') await refuseUnsaved(knowledge, text, holds, 'update');
    return await untilWritten('session', deadlineSeconds, async () => {
      const found = await find();
      if (found === null && knowledge?.state === 'new') throw failure('ERR_NOT_SAVED', NOT_SAVED);
      if (found === null) {
        call.outcome = 'missing';
        return { result: null };
      }
      const { session } = found;
      const read = /** @type {Known} */ (known.lookUp(sid, session)); // it was just read
      const before = JSON.parse(JSON.stringify(session.cookie ?? null)); // it came out of JSON
      const expires = cookieExpires(session);
      const given = mutate(session);
      const changed = chosen('update', isPromise('update', given) ? await given : given, found);
      const json = serialize(changed);
      const reply = await attempt(() => write(changed, json, read, cookieExpires(changed) === expires));
      if (!reply) return undefined;
      call.outcome = reply.outcome;
      if (reply.outcome === 'gone') {
        known.markGone(sid, held);
        return { result: null };
      }
      return { result: finish(known, sid, request, before, json, /** @type {Stored} */ (reply)) };
    });
  } finally {
    if (request) endOf(request);
  }
}

/**
 * @param {KnownSessions} known
 * @param {string} sid
 * @param {import('./held-session.js').Request | undefined} request
 * @param {SessionCookie | null} cookieBefore
 * @param {string} json what was written.
 * @param {Stored} saved
 */
function finish(known, sid, request, cookieBefore, json, { mark, ttl }) {
  const session = parse(json);
  known.recordWrite(sid, session, mark, ttl, cookieExpires(session));
  if (request) {
    bringUpToDate(request, parse(json), cookieBefore);
    known.recordWrite(sid, request.held, mark, ttl, cookieExpires(request.held));
  }
  return session;
}

module.exports = { updateSession };
