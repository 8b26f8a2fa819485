'use strict';

const { Backoff, sleep } = require('./backoff.js');
const { changesBetween, applyChanges, areUntouched } = require('./json-changes.js');
const { FIRST_WAIT, LONGEST_WAIT, restOf } = require('./lease.js');
const { chosen, isPromise } = require('./mutation.js');
const { Patience } = require('./patience.js');
const { Waiters } = require('./refresh-waiters.js');
const { clearTimeout, monotonic, setImmediate, setTimeout } = require('./real-time.js');
const { cookieExpires, parse, revive, serialize } = require('./session-json.js');

/**
 * After how many looks at the session the lease is asked for again: its holder may have failed, and
 * given it back.
 */
const LOOKS = 4;

/** For how long the write of a result is tried again, in milliseconds. */
const WRITE_TIME = 30_000;

/**
 * The limits of the waits between two such attempts, in milliseconds. Each attempt has retries of
 * its own.
 */
const FIRST_WRITE_WAIT = 10;
const LONGEST_WRITE_WAIT = 1000;

/**
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {import('../index.js').SessionCookie} SessionCookie
 * @typedef {import('./freshness.js').Freshness} Freshness
 * @typedef {import('./json-changes.js').Changes} Changes
 * @typedef {import('./lease.js').Lease} Lease
 * @typedef {import('./native-store.js').Saved} Saved
 * @typedef {import('./reads.js').Found} Found
 * @typedef {import('./session-state.js').Known} Known
 */

/**
 * A session as it is stored.
 * @typedef {object} State
 * @property {() => SessionData} session makes it anew.
 * @property {string} mark
 * @property {number} ttl
 * @property {SessionCookie | null} cookieBefore its cookie, without what the function changed in it.
 */

/**
 * What comes of a flight.
 * @typedef {object} Outcome
 * @property {State | null} state
 * @property {number} asOf the moment of which it is, on the counter of `Parts.moment`.
 * @property {boolean} ran whether it is what the function ran for.
 */

/**
 * What flights need of the store.
 * @typedef {object} Parts
 * @property {import('./known-sessions.js').KnownSessions} known
 * @property {import('./locks.js').Locks} locks
 * @property {import('./unsaved-refreshes.js').UnsavedRefreshes} unsaved
 * @property {(sid: string) => Promise<Found | null>} find
 * @property {(sid: string, session: SessionData, json: string, read: Known, keepEnd: boolean) => Promise<Saved>} write
 * @property {() => number} moment counts on with every call.
 * @property {(event: 'run' | 'adopted' | 'early' | 'failed') => void} count
 * @property {(sid: string) => void} warnOfStale is told of tokens that are not fresh when they are new.
 */

/**
 * @typedef {object} Call
 * @property {string} sid
 * @property {string} key of the session's token.
 * @property {Freshness} freshness
 * @property {(session: any, signal: AbortSignal) => unknown} refresh
 * @property {number} leaseSeconds
 * @property {boolean} wasStale whether the caller had a session whose token was not fresh.
 */

/**
 * Whether nobody else has changed what the function changed. The cookie says nothing about the
 * login: every request may move its end.
 * @param {Changes} changes
 * @param {SessionData} session
 */
function isUntouched(changes, session) {
  return areUntouched(new Map([...changes].filter(([name]) => name !== 'cookie')), session);
}

/**
 * Whether a session that was read has ended since, as far as can be told without another read.
 * @param {Found} found
 */
function hasEnded({ again, ttl }) {
  return Math.min(cookieExpires(again()) ?? Number.POSITIVE_INFINITY, ttl * 1000) <= Date.now();
}

/**
 * One renewal of a session's token, which all callers of the process share. It takes the session's
 * lease and calls the function, unless it finds that somebody else has renewed the token.
 */
class Flight {
  waiters = new Waiters(() => this.#hasGoodToken());
  /** Resolves with the outcome. */
  outcome;
  /**
   * Resolves with a session whose token is still good, while the flight renews it early.
   * @type {Promise<Outcome>}
   */
  valid;
  /**
   * A session whose token was still good when the flight began.
   * @type {Outcome | undefined}
   */
  fallback;
  #parts;
  #call;
  #patience = new Patience(undefined, this.waiters.signal);
  /** @type {(outcome: Outcome) => void} */
  #settle = () => {};
  /** @type {(reason: unknown) => void} */
  #fail = () => {};
  /** @type {(outcome: Outcome) => void} */
  #giveValid = () => {};
  /** @type {Promise<Outcome> | undefined} */
  #afterwards;
  #isOver = false;

  /**
   * @param {Parts} parts
   * @param {Call} call
   */
  constructor(parts, call) {
    this.#parts = parts;
    this.#call = call;
    /** @type {Promise<Outcome>} */
    this.outcome = new Promise((resolve, reject) => {
      this.#settle = (outcome) => {
        this.#isOver = true;
        resolve(outcome);
      };
      this.#fail = (reason) => {
        this.#isOver = true;
        reject(reason);
      };
    });
    this.outcome.catch(() => {}); // everybody may have left
    this.valid = new Promise((resolve) => {
      this.#giveValid = resolve;
    });
  }

  /** Resolves when the lease is given back, which may be after the outcome. */
  async run() {
    try {
      await this.#fly();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#patience.end();
      this.waiters.end();
    }
  }

  /**
   * The outcome for a caller of that moment: what had been written by then, by that caller or by
   * others, must be in it.
   * @param {number} moment
   * @param {Outcome} outcome
   * @returns {Promise<Outcome>}
   */
  async since(moment, outcome) {
    if (outcome.asOf > moment) return outcome;
    if (!this.#isOver) return this.#outcomeOf(await this.#look());
    // One read for all who joined too late.
    this.#afterwards ??= this.#look().then((seen) => this.#outcomeOf(seen));
    return this.#afterwards;
  }

  async #fly() {
    const { freshness, sid, wasStale } = this.#call;
    const seen = await this.#look();
    if (this.#isSettledBy(seen, wasStale)) return;
    const early = seen.found !== null && freshness.of(seen.found.session) === 'early';
    if (early) this.fallback = this.#outcomeOf(seen);
    const busy = this.#parts.locks.isBusy(sid);
    if (early && busy) return this.#settleWith(seen);
    if (busy) this.waiters.enter('idle');
    const done = await this.#parts.locks.turn(sid, this.#patience);
    try {
      await this.#lead(seen);
    } finally {
      done();
    }
  }

  /**
   * Takes the lease and renews the token, or waits until somebody else has.
   * @param {Look} first
   */
  async #lead(first) {
    const { freshness } = this.#call;
    const waits = new Backoff(FIRST_WAIT, LONGEST_WAIT);
    let seen = first;
    let lease = this.#newLease();
    for (;;) {
      this.waiters.signal.throwIfAborted();
      this.waiters.enter('asking');
      const until = await lease.ask(this.#patience);
      if (until === undefined) {
        const held = lease;
        const work = held.during((signal) => this.#renewOrFail(held, signal));
        if (await this.#untilAbandoned(held, work)) return;
        lease = this.#newLease();
        continue;
      }
      if (seen.found && freshness.of(seen.found.session) === 'early') return this.#settleWith(seen);
      for (let looks = 0; looks < LOOKS && (looks === 0 || Date.now() < until); looks++) {
        this.waiters.enter('idle');
        await this.#patience.sleep(restOf(until, waits.next()));
        this.waiters.enter('asking');
        seen = await this.#look();
        if (this.#isSettledBy(seen)) return;
      }
    }
  }

  /**
   * The result of `work`; `true` as well when nobody waits for it, and the lease has been given up.
   * A function that hangs must not keep others from renewing the token.
   * @param {Lease} lease
   * @param {Promise<boolean>} work
   */
  async #untilAbandoned(lease, work) {
    const { signal } = this.waiters;
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    /** @type {Promise<void>} */
    const abandoned = new Promise((resolve) => {
      const leave = () => {
        timer = setTimeout(() => lease.stopRenewing(), this.#call.leaseSeconds * 1000);
        lease.lost.then(resolve);
      };
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    });
    try {
      return await Promise.race([work, abandoned.then(() => true)]);
    } finally {
      clearTimeout(timer);
      work.catch(() => {});
    }
  }

  /** Whether the token that the flight renews is still good. */
  #hasGoodToken() {
    try {
      const { state } = this.fallback ?? {};
      return !!state && this.#call.freshness.of(state.session()) !== 'stale';
    } catch {
      return false;
    }
  }

  #newLease() {
    const { sid, leaseSeconds } = this.#call;
    return this.#parts.locks.lease('refresh', sid, leaseSeconds * 1000, this.waiters.signal);
  }

  /**
   * Nobody waits until the lease is given back.
   * @param {Lease} lease
   * @param {AbortSignal} signal
   */
  async #renewOrFail(lease, signal) {
    try {
      return await this.#renew(lease, signal);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  /**
   * Renews the token under the lease.
   * @param {Lease} lease
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} `false` if the lease was lost before the function ran.
   */
  async #renew(lease, signal) {
    const { key, freshness, refresh } = this.#call;
    let seen = await this.#look();
    if (this.#isSettledBy(seen)) return true;
    const left = this.#parts.unsaved.of(key);
    if (left && seen.found) {
      this.waiters.enter('running');
      // Somebody may have logged in anew meanwhile; the earlier login must not replace that.
      if (isUntouched(left, seen.found.session)) await this.#write(seen, left);
      this.#parts.unsaved.forget(key);
      seen = await this.#look();
      if (this.#isSettledBy(seen)) return true;
    }
    const { found } = seen;
    if (!found) return true;
    const early = freshness.of(found.session) === 'early';
    if (early) {
      this.fallback = this.#outcomeOf(seen);
      this.#giveValid(this.fallback);
      await new Promise(setImmediate); // those whom that helps leave
    }
    this.waiters.signal.throwIfAborted();
    // From here on, the refresh token may be used up.
    if (!lease.isHeld) return false;
    this.waiters.enter('running');
    this.#parts.count('run');
    if (early) this.#parts.count('early');
    try {
      const given = refresh(found.session, signal);
      const changed = chosen('refresh', isPromise('refresh', given) ? await given : given, found);
      const changes = changesBetween(this.#copyOf(found), parse(serialize(changed)));
      this.#settle(await this.#store(seen, changes));
    } catch (error) {
      this.#parts.count('failed');
      throw error;
    }
    return true;
  }

  /**
   * Stores what the function changed.
   * @param {Look} seen
   * @param {Changes} changes
   * @returns {Promise<Outcome>}
   */
  async #store(seen, changes) {
    const { key, sid } = this.#call;
    try {
      const { state, asOf, isDropped } = await this.#write(seen, changes);
      this.#parts.unsaved.forget(key);
      if (state && !isDropped && !this.#isFresh(state.session())) this.#parts.warnOfStale(sid);
      return { state, asOf, ran: true };
    } catch (error) {
      this.#parts.unsaved.keep(key, changes, error.code);
      throw error;
    }
  }

  /**
   * Makes the changes in the stored session. The function that made them cannot run again, so they
   * are made in whatever others have written meanwhile.
   * @param {Look} read
   * @param {Changes} changes
   * @returns {Promise<{ state: State | null, asOf: number, isDropped?: boolean }>}
   */
  async #write(read, changes) {
    const deadline = monotonic() + WRITE_TIME;
    const waits = new Backoff(FIRST_WRITE_WAIT, LONGEST_WRITE_WAIT);
    /** @type {Look | undefined} */
    let seen = read;
    for (;;) {
      try {
        if (!seen) {
          seen = await this.#look();
          // Somebody has replaced or removed the token, by a new login or a logout. That stands.
          const { found, asOf } = seen;
          if (found && (this.#isFresh(found.session) || !isUntouched(changes, found.session)))
            return { state: this.#stateOf(found), asOf, isDropped: true };
        }
        // It may have ended while the function ran, unless others have moved its end.
        if (seen === read && seen.found && hasEnded(seen.found)) seen = await this.#look();
        if (!seen.found) return { state: null, asOf: seen.asOf };
        return await this.#writeOnce(seen.found, changes);
      } catch (error) {
        if ((error.code !== 'ERR_CONFLICT' && !error.retryable) || monotonic() > deadline) throw error;
        seen = undefined;
      }
      await sleep(waits.next());
    }
  }

  /**
   * @param {Found} found
   * @param {Changes} changes
   */
  async #writeOnce(found, changes) {
    const { sid } = this.#call;
    const { known, moment, write } = this.#parts;
    const session = this.#copyOf(found);
    const cookieBefore = JSON.parse(JSON.stringify(session.cookie ?? null));
    const expires = cookieExpires(session);
    applyChanges(changes, session);
    const json = serialize(session);
    const read = /** @type {Known} */ (known.lookUp(sid, found.session)); // it was just read
    const asOf = moment();
    const saved = await write(sid, session, json, read, cookieExpires(session) === expires);
    if (saved.outcome === 'gone') {
      known.markGone(sid);
      return { state: null, asOf };
    }
    const { mark, ttl } = /** @type {Extract<Saved, { mark: string }>} */ (saved);
    // Its end may have been moved since it was read.
    const state = { session: () => revive({ json, ttl }, 0) ?? parse(json), mark, ttl, cookieBefore };
    known.recordRead(sid, state.session(), mark, ttl);
    return { state, asOf };
  }

  /**
   * The session in the table.
   * @typedef {{ found: Found | null, asOf: number }} Look
   * @returns {Promise<Look>}
   */
  async #look() {
    const asOf = this.#parts.moment();
    return { found: await this.#parts.find(this.#call.sid), asOf };
  }

  /**
   * Ends the flight if the session is gone, or somebody has renewed its token.
   * @param {Look} seen
   * @param {boolean} [wasStale] whether the token had been seen to be stale.
   */
  #isSettledBy(seen, wasStale = true) {
    if (seen.found && this.#call.freshness.of(seen.found.session) !== 'fresh') return false;
    this.#parts.unsaved.forget(this.#call.key);
    if (seen.found && wasStale) this.#parts.count('adopted');
    this.#settleWith(seen);
    return true;
  }

  /** @param {Look} seen */
  #settleWith(seen) {
    this.#settle(this.#outcomeOf(seen));
  }

  /**
   * @param {Look} seen
   * @returns {Outcome}
   */
  #outcomeOf({ found, asOf }) {
    return { state: found && this.#stateOf(found), asOf, ran: false };
  }

  /**
   * @param {Found} found
   * @returns {State}
   */
  #stateOf(found) {
    const { mark, ttl } = found;
    const { cookie = null } = this.#copyOf(found);
    return { session: () => this.#copyOf(found), mark, ttl, cookieBefore: cookie };
  }

  /** @param {Found} found */
  #copyOf({ again }) {
    return /** @type {SessionData} */ (again()); // it was there when it was read
  }

  /**
   * Whether the token of a session is fresh, as far as the caller's function can tell.
   * @param {SessionData} session
   */
  #isFresh(session) {
    try {
      return this.#call.freshness.of(session) === 'fresh';
    } catch {
      return false; // the changes must be stored all the same
    }
  }
}

exports.Flight = Flight;
