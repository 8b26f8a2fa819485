'use strict';

const { throwIfAborted } = require('./abortable.js');
const { failure } = require('./errors.js');
const { Freshness } = require('./freshness.js');
const { bringUpToDate, endOf, refuseFrozen, refuseUnsaved, requestOf } = require('./held-session.js');
const { LEASE_OPTIONS } = require('./locks.js');
const { callOptions, seconds } = require('./options.js');
const { Flight } = require('./refresh-flight.js');
const { monotonic } = require('./real-time.js');
const { cookieExpires, parse, serialize } = require('./session-json.js');
const { UnsavedRefreshes, keyOf } = require('./unsaved-refreshes.js');

const NOT_SAVED = 'the session given to refresh was never saved; save it first, with save() or at the end of its first request';

const STALE =
  'the new token is not fresh, or due for renewal already: a wrong isFresh or expiresAt (epoch milliseconds), a clock that is wrong, ' +
  'or a token that lives no longer than earlySeconds; each call renews it again';

const aFunction = { rule: 'a function', holds: (/** @type {unknown} */ value) => typeof value === 'function' };

const OPTIONS = {
  isFresh: aFunction,
  expiresAt: aFunction,
  earlySeconds: { ...seconds(0, 0), default: undefined },
  refresh: aFunction,
  name: { rule: 'a string', holds: (/** @type {unknown} */ value) => typeof value === 'string', default: '' },
  ...LEASE_OPTIONS,
};

/**
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {import('./refresh-flight.js').Outcome} Outcome
 * @typedef {import('./refresh-flight.js').State} State
 * @typedef {import('./session-state.js').SessionState} SessionState
 */

/**
 * @typedef {object} Options
 * @property {(session: any) => unknown} [isFresh]
 * @property {(session: any) => unknown} [expiresAt]
 * @property {number} [earlySeconds]
 * @property {(session: any, signal: AbortSignal) => unknown} refresh
 * @property {string} name
 * @property {number} leaseSeconds
 * @property {number} waitSeconds
 * @property {AbortSignal} [signal]
 */

/**
 * The session object of a caller, as it was when it called.
 * @typedef {object} Held
 * @property {SessionData} session
 * @property {string} text its JSON.
 * @property {import('./held-session.js').Request} request
 * @property {SessionState} knowledge
 */

/**
 * @param {unknown} given
 * @returns {Options}
 */
function readOptions(given) {
  /** @type {any} */
  const options = callOptions('refresh', given, OPTIONS);
  const { isFresh, expiresAt, earlySeconds, refresh } = options;
  if (!refresh) throw failure('ERR_CONFIG', 'the option refresh of refresh is missing: the function that renews the token');
  if (!isFresh === !expiresAt) throw failure('ERR_CONFIG', 'refresh takes exactly one of the options isFresh and expiresAt');
  if (isFresh && earlySeconds !== undefined)
    throw failure('ERR_CONFIG', 'the option earlySeconds of refresh needs expiresAt in the place of isFresh');
  return options;
}

/** Renews tokens in sessions, each once across all processes on the table. */
class Refreshes {
  #flightParts;
  #known;
  #holds;
  #report;
  /**
   * By session and name of the token.
   * @type {Map<string, Flight>}
   */
  #flights = new Map();
  #unsaved = new UnsavedRefreshes();
  #moments = 0;
  #counts = { run: 0, joined: 0, adopted: 0, early: 0, failed: 0 };
  #countTask;

  /**
   * @param {object} parts
   * @param {import('./known-sessions.js').KnownSessions} parts.known
   * @param {import('./locks.js').Locks} parts.locks
   * @param {import('./reads.js').Reads} parts.reads
   * @param {import('./saves.js').Saves} parts.saves
   * @param {import('./calls.js').Calls} parts.calls
   * @param {import('./failures.js').Failures} parts.failures
   * @param {import('./session-ids.js').Names} parts.names for the log.
   * @param {(mark: string, json: string) => Promise<boolean>} parts.holds whether the record of a mark has that content.
   */
  constructor({ known, locks, reads, saves, calls, failures, names, holds }) {
    this.#known = known;
    this.#holds = holds;
    this.#report = (/** @type {string} */ sid, /** @type {unknown} */ error) =>
      calls.report('refresh', sid, error, 'early refresh');
    this.#countTask = (/** @type {Promise<void>} */ flight) => calls.countTask(flight);
    /** @type {import('./refresh-flight.js').Parts} */
    this.#flightParts = {
      known,
      locks,
      unsaved: this.#unsaved,
      find: (sid) => reads.find(sid),
      write: (sid, session, json, read, keepEnd) => saves.rewrite('refresh', sid, session, json, read, keepEnd),
      moment: () => ++this.#moments,
      count: (event) => {
        this.#counts[event]++;
      },
      warnOfStale: (sid) =>
        failures.log('refresh stale', () => ({
          text: `refresh${names.of(sid)}: ${STALE}`,
          fields: { event: 'refreshedStale', operation: 'refresh', ...names.fieldOf(sid) },
        })),
    };
  }

  /** Forgets the tokens that it keeps, and keeps none from now on. */
  close() {
    this.#unsaved.close();
  }

  /**
   * Forgets the tokens that it keeps of a session that is gone; those of all sessions without an id.
   * @param {string} [sid]
   */
  forget(sid) {
    if (sid === undefined) this.#unsaved.forgetAll();
    else this.#unsaved.forgetSession(sid);
  }

  /** For `stats()`. */
  get counts() {
    return { ...this.#counts, unsaved: this.#unsaved.size };
  }

  /**
   * The session with a token that is good. Asks the object given first, then the table, and then
   * lets one caller renew the token.
   * @param {string} sid
   * @param {SessionData | undefined} session the session object of the current request.
   * @param {unknown} given the caller's options.
   * @param {import('./call.js').Call} call
   * @returns {Promise<SessionData | null>}
   */
  async run(sid, session, given, call) {
    call.outcome = 'fresh';
    const options = readOptions(given);
    const freshness = new Freshness(sid, options);
    const phase = session && freshness.of(session);
    if (session && phase === 'fresh') return session;
    throwIfAborted(options.signal);
    const key = keyOf(sid, options.name);
    // Somebody renews the token, and this one is good until then.
    if (session && phase === 'early' && this.#flights.has(key)) return session;
    if (session) refuseFrozen(session, 'refresh');
    const held = session && this.#heldOf(sid, session);
    try {
      return await this.#renewed(sid, key, held, freshness, options, call);
    } catch (error) {
      if (!session || phase !== 'early' || options.signal?.aborted || freshness.of(session) === 'stale') throw error;
      this.#report(sid, error);
      return session;
    } finally {
      if (held) endOf(held.request);
    }
  }

  /**
   * @param {string} sid
   * @param {SessionData} session
   * @returns {Held}
   */
  #heldOf(sid, session) {
    const text = serialize(session);
    return { session, text, knowledge: this.#known.lookUp(sid, session), request: requestOf(session, text) };
  }

  /**
   * @param {string} sid
   * @param {string} key
   * @param {Held | undefined} held
   * @param {Freshness} freshness
   * @param {Options} options
   * @param {import('./call.js').Call} call
   */
  async #renewed(sid, key, held, freshness, options, call) {
    const joined = ++this.#moments;
    if (held?.knowledge.state === 'known') await refuseUnsaved(held.knowledge, held.text, this.#holds, 'refresh');
    const wanted = { freshness, options, joined, wasStale: held !== undefined };
    const began = monotonic();
    for (let waited = 0; ; waited = (monotonic() - began) / 1000) {
      const leads = !this.#flights.has(key);
      const { state, ran } = await this.#fly(sid, key, wanted, waited);
      // Nobody has renewed the token that this caller found stale. One that is stale when it is new
      // is not renewed again for those who waited for it.
      if (!ran && state && freshness.of(state.session()) === 'stale') continue;
      if (!state) call.outcome = 'missing';
      else if (ran) call.outcome = leads ? 'renewed' : 'joined';
      return this.#give(sid, held, state);
    }
  }

  /**
   * Joins the flight of the session's token, or begins it.
   * @param {string} sid
   * @param {string} key
   * @param {{ freshness: Freshness, options: Options, joined: number, wasStale: boolean }} call
   * @param {number} waited how many seconds; 0 the first time, when a token that is good but renewed early will do.
   * @returns {Promise<Outcome>}
   */
  async #fly(sid, key, { freshness, options, joined, wasStale }, waited) {
    const under = this.#flights.get(key);
    const flight = under ?? this.#begin(sid, key, { freshness, wasStale, ...options });
    if (under) this.#counts.joined++;
    const end = this.#endOf(flight, sid, freshness);
    const first = under && waited === 0 ? Promise.race([end, flight.valid]) : end;
    const limits = { ...options, waitSeconds: Math.max(options.waitSeconds - waited, 0) };
    try {
      return await flight.waiters.wait(first, (outcome) => flight.since(joined, outcome), limits, under === undefined);
    } catch (error) {
      if (error?.code !== 'ERR_LOCK_TIMEOUT') throw error;
      return this.#instead(flight, sid, freshness, error);
    }
  }

  /**
   * The outcome of a flight; the session as it was if its early renewal fails while the token is
   * still good.
   * @param {Flight} flight
   * @param {string} sid
   * @param {Freshness} freshness
   */
  async #endOf(flight, sid, freshness) {
    try {
      return await flight.outcome;
    } catch (error) {
      return this.#instead(flight, sid, freshness, error);
    }
  }

  /**
   * The session as it was, in the place of the error, if its token is still good.
   * @param {Flight} flight
   * @param {string} sid
   * @param {Freshness} freshness
   * @param {unknown} error
   */
  #instead({ fallback }, sid, freshness, error) {
    if (!fallback?.state || freshness.of(fallback.state.session()) === 'stale') throw error;
    this.#report(sid, error);
    return fallback;
  }

  /**
   * @param {string} sid
   * @param {string} key
   * @param {{ freshness: Freshness, wasStale: boolean } & Options} call
   */
  #begin(sid, key, { freshness, wasStale, refresh, leaseSeconds }) {
    const flight = new Flight(this.#flightParts, { sid, key, freshness, refresh, leaseSeconds, wasStale });
    this.#flights.set(key, flight);
    const run = flight.run();
    const end = () => {
      if (this.#flights.get(key) !== flight) return;
      this.#flights.delete(key);
      this.#countTask(run); // whose callers have what they waited for
    };
    flight.waiters.signal.addEventListener('abort', end, { once: true });
    flight.outcome.then(end, end);
    return flight;
  }

  /**
   * Gives a caller the session as it is stored: in its own object, if it gave one.
   * @param {string} sid
   * @param {Held | undefined} held
   * @param {State | null} state
   */
  async #give(sid, held, state) {
    if (!state) {
      if (held?.knowledge.state === 'new') throw failure('ERR_NOT_SAVED', NOT_SAVED);
      return null;
    }
    const { mark, ttl, cookieBefore } = state;
    const session = state.session();
    if (!held) {
      this.#known.recordRead(sid, session, mark, ttl);
      return session;
    }
    const before = await this.#cookieOf(held, session, cookieBefore);
    bringUpToDate(held.request, session, before);
    this.#known.recordWrite(sid, held.session, mark, ttl, cookieExpires(held.session));
    return held.session;
  }

  /**
   * The cookie whose differences from the stored one the request's session takes over: those that
   * the function made, and those that others made since the request began.
   * @param {Held} held
   * @param {SessionData} stored
   * @param {State['cookieBefore']} cookieBefore
   */
  async #cookieOf({ session, text, knowledge }, stored, cookieBefore) {
    const { cookie: own } = parse(text);
    if (knowledge.state !== 'known' || !own || !cookieBefore) return cookieBefore;
    // Every request moves the end; the save at the end of this one must not move it back.
    const [end, storedEnd] = [cookieExpires(session), cookieExpires(stored)];
    const isLater = end !== undefined && storedEnd !== undefined && storedEnd > end;
    const { expires } = cookieBefore;
    let before = cookieBefore;
    if (JSON.stringify({ ...own, expires }) !== JSON.stringify({ ...cookieBefore, expires })) {
      // A cookie that the request itself has changed stays.
      if (await this.#holds(knowledge.mark, text)) before = { ...own, expires };
    }
    return isLater ? { ...before, expires: undefined, originalMaxAge: undefined } : before;
  }
}

exports.Refreshes = Refreshes;
