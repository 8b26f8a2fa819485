'use strict';

const { carriedBy, giveWith, isFastifySession, isReplacement, wasLoaded } = require('./fastify-session.js');
const { cookieExpires } = require('./session-json.js');

/** The property by which a session tells its record through frameworks that copy it; never in its JSON. */
const REVISION = 'sessionRevision';

/** How many revisions of one session are told apart by the end of their cookie: as many requests of one browser run at a time, and more. */
const REVISIONS = 8;

/** How many failed saves of one session object are remembered, the latest ones: more than anybody repeats. */
const ATTEMPTS = 8;

/**
 * What is known of a session's record.
 * @typedef {object} Known
 * @property {string | null} mark the native side's mark of a revision; `null` if the session is gone.
 * @property {number} [ends] when it was to end, in epoch milliseconds; left out if `mark` may be of a later revision than the caller's.
 * @property {string[]} [attempts] the marks of revisions that failed saves may have written in its place.
 * @property {boolean} [untouched] whether the content is what was read, where only the framework can tell.
 */

/** Survives the copy of a session's properties, and is nothing in its JSON. */
class Revision {
  #known;

  constructor(known) {
    this.#known = known;
  }

  get known() {
    return this.#known;
  }

  toJSON() {
    return undefined;
  }
}

const GONE = Object.freeze({ mark: null });

/** When a record ends that says `ttl` (epoch seconds) and has a cookie in it that ends at `expires`: that is finer if `ttl` rounds it up. */
function endOf(expires, ttl) {
  return expires !== undefined && Math.ceil(expires / 1000) === ttl ? expires : ttl * 1000;
}

/**
 * What @fastify/session's own session says of itself: whether its content is what was loaded, and how its cookie ended then. `undefined` for other
 * objects, and for those that fail when they are asked.
 */
function askFastify(sid, session) {
  try {
    if (!isFastifySession(session) || session.sessionId !== sid) return undefined;
    return {
      loaded: wasLoaded(session),
      replaces: isReplacement(session),
      loadedEnd: session.cookie?.originalExpires?.getTime(),
      carried: session[REVISION] instanceof Revision ? session[REVISION].known : carriedBy(session),
      isModified: session.isModified,
    };
  } catch {
    return undefined;
  }
}

/** A session that cannot be compared counts as changed; whoever saves it will say why it cannot. */
function isUntouched(session, isModified) {
  try {
    return !isModified.call(session);
  } catch {
    return false;
  }
}

/**
 * What this process knows of the records of sessions: by the object that holds the session, and by the id for frameworks that copy it.
 */
class KnownSessions {
  /** Session object to the id, what was read or written, in which life of the id, and by whom that is known. */
  #objects = new WeakMap();
  /**
   * Session id to its latest record, those of late by the end of their cookie, the number of its life, and whether the id had a session before that is gone; the
   * least recently used first.
   */
  #recent = new Map();
  /** How many lives of ids were counted: an id that comes again lives anew. */
  #lives = 0;
  /** The id whose destroy is being answered. */
  #destroyed;
  #limit;
  #exact;

  /**
   * @param {number} limit how many ids are remembered.
   * @param {boolean} exact whether sessions carry their revision through copies.
   */
  constructor(limit, exact) {
    this.#limit = limit;
    this.#exact = exact;
  }

  /** `session` is what was read from, or is what was written as, the record of `mark` that ends with `ttl`; its cookie ended at `expires` then. */
  keep(sid, session, mark, ttl, expires = cookieExpires(session)) {
    const known = { mark, ends: endOf(expires, ttl) };
    this.#objects.set(session, { sid, known, life: this.#remember(sid, known, expires), by: this });
  }

  /** The record that `session` is of, as `known` says, has another end now. */
  moved(sid, session, { attempts }, mark, ttl) {
    this.#objects.set(session, { sid, known: { mark, attempts, ends: ttl * 1000 } });
  }

  /** A save of `session` failed, and may have written the revision of the mark `attempt` in place of what is `known`: this object's own, not a conflict. */
  attempted(sid, session, { mark, attempts = [], ends }, attempt) {
    this.#objects.set(session, { sid, known: { mark, attempts: [...attempts, attempt].slice(-ATTEMPTS), ends } });
  }

  /** Gives a session that was read what it needs on its way through frameworks that copy it. */
  equip(session) {
    if (this.#exact) session[REVISION] = new Revision(this.#objects.get(session));
  }

  /** Answers a read. @fastify/session copies the session in that very moment. */
  answered(session, answer) {
    giveWith(session, () => this.#objects.get(session), answer);
  }

  /** express-session made `session` from `loaded`, the very object that was read. */
  link(loaded, session) {
    for (const holder of [loaded, session]) if (holder[REVISION] instanceof Revision) delete holder[REVISION];
    const object = this.#objects.get(loaded);
    if (object) this.#objects.set(session, object);
  }

  /** The session is gone; what still holds it, or comes with its id, must not bring it back. */
  gone(sid, session) {
    if (typeof session === 'object' && session !== null) this.#objects.set(session, { sid, known: GONE });
    this.#remember(sid, GONE);
  }

  /**
   * Answers a destroy. @fastify/session's `regenerate` saves the new session in that very moment: it is new, whatever its id, although it has the old one's cookie.
   * @param {() => void} answer
   */
  destroyed(sid, answer) {
    this.#destroyed = sid;
    try {
      answer();
    } finally {
      this.#destroyed = undefined;
    }
  }

  /** Whether this process has seen a session of this id, and not yet that it is gone. */
  hasSeen(sid) {
    return this.#recent.has(sid) && this.#recent.get(sid).latest.mark !== null;
  }

  /** There is no such session now: worth knowing if there was one. */
  missing(sid) {
    if (this.#recent.has(sid)) this.#remember(sid, GONE);
  }

  clear() {
    for (const sid of [...this.#recent.keys()]) this.#remember(sid, GONE);
  }

  /** The id of the session that an object holds. */
  idOf(session) {
    if (session === null || typeof session !== 'object') return undefined;
    return this.#objects.get(session)?.sid ?? session.sessionId ?? session.id;
  }

  /**
   * What is known of the session's record, `undefined` if it is new.
   * @param {Known} [earlier] what was known when the caller asked.
   * @returns {Known | undefined}
   */
  of(sid, session, earlier) {
    const object = this.#objects.get(session);
    if (object?.sid === sid) return object.known;
    const fastify = askFastify(sid, session);
    const known = fastify && this.#loaded(sid, fastify);
    if (!known) return undefined;
    return { ...known, untouched: earlier?.untouched ?? isUntouched(session, fastify.isModified) };
  }

  /** What @fastify/session loaded its session from: its revision if that can be told, else the latest one. */
  #loaded(sid, { loaded: wasLoaded, replaces, loadedEnd, carried }) {
    if (sid === this.#destroyed && replaces) return undefined;
    const recent = this.#recent.get(sid);
    if (carried?.by === this && carried.sid === sid) {
      const isGone = recent && (recent.latest.mark === null || (recent.again && recent.life !== carried.life));
      return isGone ? GONE : carried.known;
    }
    if (recent === undefined) return undefined;
    // Ids may come again: a session that the framework has just made is new. One that it has loaded must not come back.
    if (recent.latest.mark === null) return wasLoaded ? GONE : undefined;
    const loaded = recent.byEnd.get(loadedEnd);
    if (recent.again && !loaded && wasLoaded) return GONE;
    // Cookies without an end do not tell revisions apart; the latest one then stands for all.
    return loadedEnd !== undefined && loaded ? loaded : { mark: (loaded ?? recent.latest).mark };
  }

  /** @returns {number} the number of the life that the id has. */
  #remember(sid, known, expires) {
    const before = this.#recent.get(sid);
    const byEnd = known === GONE ? undefined : (before?.byEnd ?? new Map());
    if (byEnd) {
      byEnd.delete(expires);
      byEnd.set(expires, known);
      if (byEnd.size > REVISIONS) byEnd.delete(byEnd.keys().next().value);
    }
    const again = before?.again || before?.latest === GONE;
    const life = before && before.latest !== GONE ? before.life : ++this.#lives;
    this.#recent.delete(sid);
    this.#recent.set(sid, { latest: known, byEnd, life, again });
    if (this.#recent.size > this.#limit) this.#recent.delete(this.#recent.keys().next().value);
    return life;
  }
}

module.exports = { KnownSessions };
