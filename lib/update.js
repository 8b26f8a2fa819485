'use strict';

const { Backoff, sleep } = require('./backoff.js');
const { failure, SessionStoreError } = require('./errors.js');
const { callOptions, seconds } = require('./options.js');
const { cookieExpires, parse, serialize } = require('./session.js');

/** The bounds of the first and of any wait between two attempts, in milliseconds: about one request's time, and half a second. */
const FIRST_WAIT = 10;
const LONGEST_WAIT = 500;

const OPTIONS = { deadlineSeconds: seconds(5, 0) };

/**
 * Reads a session, lets `mutate` change it, and writes it on condition that nobody else has; again, if somebody has.
 * @param {{ known: object, read: () => Promise<object | null>, write: Function, holds: (mark: string, json: string) => boolean }} store
 * @param {{ sid: string, held?: object, mutate: Function, options?: object }} call `held` is the session object of the current request.
 * @returns {Promise<object | null>} the session as it was written.
 */
async function updateSession({ known, read, write, holds }, { sid, held, mutate, options }) {
  if (typeof mutate !== 'function') throw failure('ERR_CONFIG', 'update takes a function that changes the session');
  const { deadlineSeconds } = callOptions('update', options, OPTIONS);
  if (held) refuseUnsaved(known.of(sid, held), held, holds);
  const waits = new Backoff(FIRST_WAIT, LONGEST_WAIT);
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
  }, deadlineSeconds * 1000);
  try {
    for (;;) {
      const session = await read();
      if (session === null) return null;
      const { mark } = known.of(sid, session);
      const before = structuredClone(session.cookie);
      const expires = cookieExpires(session);
      const changed = (await mutate(session)) ?? session;
      const json = serialize(changed);
      const reply = await attempt(() => write(changed, json, mark, cookieExpires(changed) === expires), late);
      if (reply?.outcome === 'gone') {
        known.gone(sid, held);
        return null;
      }
      if (reply) return finish(known, sid, held, before, json, reply.mark);
      await sleep(waits.next());
    }
  } finally {
    clearTimeout(deadline);
  }
}

/** `undefined` if somebody else was faster and there is time for another attempt. */
async function attempt(write, late) {
  try {
    return await write();
  } catch (error) {
    if (error.code !== 'ERR_CONFLICT') throw error;
    if (!late) return undefined;
    const message =
      'the session was changed by others again and again until the deadline; try again, or take a lease with withLock()';
    throw new SessionStoreError({ code: 'ERR_CONFLICT', message, retryable: true });
  }
}

/** What the request holds and has not saved would be lost. */
function refuseUnsaved(record, held, holds) {
  if (!record?.mark) return;
  const saved = record.untouched ?? holds(record.mark, serialize(held));
  if (!saved) {
    throw failure(
      'ERR_CONFLICT',
      'the session has changes that are not saved; save it first, or make them in the function given to update',
    );
  }
}

function finish(known, sid, held, cookieBefore, json, mark) {
  const session = parse(json);
  known.keep(sid, session, mark);
  if (held) {
    refresh(held, parse(json), cookieBefore);
    known.keep(sid, held, mark);
  }
  return session;
}

/** Makes the request's session hold what was written, so that the save at the end of the request has nothing to write. */
function refresh(held, session, cookieBefore) {
  for (const name of Object.keys(held)) {
    if (name !== 'cookie' && !Object.hasOwn(session, name)) delete held[name];
  }
  for (const [name, value] of Object.entries(session)) {
    if (name !== 'cookie') held[name] = value;
  }
  // The framework's cookie is an object of its own making: only what was changed is set, and expires before the lifetime that its setter computes.
  const { cookie } = session;
  if (typeof held.cookie !== 'object' || held.cookie === null || typeof cookie !== 'object' || cookie === null) return;
  const names = Object.keys(cookie).sort((a, b) => Number(b === 'expires') - Number(a === 'expires'));
  for (const name of names) {
    if (JSON.stringify(cookie[name]) === JSON.stringify(cookieBefore?.[name])) continue;
    held.cookie[name] = name === 'expires' && typeof cookie[name] === 'string' ? new Date(cookie[name]) : cookie[name];
  }
}

module.exports = { updateSession };
