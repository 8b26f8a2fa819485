'use strict';

const { carriedBy, giveWith, isFastifySession, isReplacement, wasLoaded } = require('./fastify-session.js');
const { cookieExpires } = require('./session-json.js');
const { GONE, NEW } = require('./session-state.js');

/** The property by which a session tells its record through frameworks that copy it; never in its JSON. */
const REVISION = 'sessionRevision';

/** How many revisions of one session are told apart by the end of their cookie: as many requests of one browser run at a time, and more. */
const REVISIONS = 8;

/** How many failed saves of one session object are remembered, the latest ones: more than anybody repeats. */
const ATTEMPTS = 8;

/**
 * @typedef {import('./session-state.js').SessionState} SessionState
 * @typedef {import('./session-state.js').Known} Known
 * @typedef {import('./session-state.js').Gone} Gone
 */

/**
 * What is known of the session that an object holds.
 * @typedef {object} ObjectEntry
 * @property {string} sid
 * @property {Known | Gone} knowledge
 * @property {number} [life] in which life of the id it was read or written.
 * @property {KnownSessions} [by] who read or wrote it.
 */

/**
 * What is known of the sessions of an id.
 * @typedef {object} IdEntry
 * @property {Known | Gone} latest
 * @property {Map<number | undefined, Known>} [byEnd] the latest revisions by the end of their cookie,
 * unless the session is gone.
 * @property {number} life the number of the id's life: an id that comes again lives anew.
 * @property {boolean} reused whether the id had a session before that is gone.
 */

/** Survives the copy of a session's properties, and is nothing in its JSON. */
class Revision {
  #entry;

  /** @param {ObjectEntry | undefined} entry */
  constructor(entry) {
    this.#entry = entry;
  }

  get entry() {
    return this.#entry;
  }

  toJSON() {
    return undefined;
  }
}

/**
 * When a record ends that says `ttl` (epoch seconds) and has a cookie in it that ends at `expires`: that is finer if `ttl` rounds it up.
 * @param {number | undefined} expires
 * @param {number} ttl
 */
function endOf(expires, ttl) {
  return expires !== undefined && Math.ceil(expires / 1000) === ttl ? expires : ttl * 1000;
}

/**
 * What @fastify/session's own session says of itself: whether its content is what was loaded, and how its cookie ended then. `undefined` for other
 * objects, and for those that fail when they are asked.
 * @param {string} sid
 * @param {any} session
 */
function askFastify(sid, session) {
  try {
    if (!isFastifySession(session) || session.sessionId !== sid) return undefined;
    return {
      loaded: wasLoaded(session),
      replaces: isReplacement(session),
      /** @type {number | undefined} */
      loadedEnd: session.cookie?.originalExpires?.getTime(),
      /** @type {ObjectEntry | undefined} */
      carried: session[REVISION] instanceof Revision ? session[REVISION].entry : carriedBy(session),
      isModified: session.isModified,
    };
  } catch {
    return undefined;
  }
}

/**
 * A session that cannot be compared counts as changed; whoever saves it will say why it cannot.
 * @param {object} session
 * @param {() => boolean} isModified
 */
function isUntouched(session, isModified) {
  try {
    return !isModified.call(session);
  } catch {
    return false;
  }
}

/**
 * What this process knows of sessions: by the object that holds the session, and by the id for frameworks that copy it. An object or id without an entry is
 * one of a new session.
 */
class KnownSessions {
  /** @type {WeakMap<object, ObjectEntry>} */
  #objects = new WeakMap();
  /**
   * By session id, the least recently used first.
   * @type {Map<string, IdEntry>}
   */
  #recent = new Map();
  /** How many lives of ids were counted. */
  #lives = 0;
  /**
   * The id whose destroy is being answered.
   * @type {string | undefined}
   */
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

  /**
   * `session` is what was read from the record of `mark` that ends with `ttl`.
   * @param {string} sid
   * @param {object} session
   * @param {string} mark
   * @param {number} ttl
   */
  recordRead(sid, session, mark, ttl) {
    this.#record(sid, session, mark, ttl, cookieExpires(session));
  }

  /**
   * `session` is what was written as the record of `mark` that ends with `ttl`.
   * @param {string} sid
   * @param {object} session
   * @param {string} mark
   * @param {number} ttl
   * @param {number} [expires] when its cookie ended then.
   */
  recordWrite(sid, session, mark, ttl, expires) {
    this.#record(sid, session, mark, ttl, expires);
  }

  /**
   * @param {string} sid
   * @param {object} session
   * @param {string} mark
   * @param {number} ttl
   * @param {number} [expires]
   */
  #record(sid, session, mark, ttl, expires) {
    /** @type {Known} */
    const knowledge = { state: 'known', mark, ends: endOf(expires, ttl) };
    this.#objects.set(session, { sid, knowledge, life: this.#remember(sid, knowledge, expires), by: this });
  }

  /**
   * The record of `session` has another end now, and with it another mark.
   * @param {string} sid
   * @param {object} session
   * @param {Known} known what was known of it before.
   * @param {string} mark
   * @param {number} ttl
   */
  recordMove(sid, session, { attempts }, mark, ttl) {
    this.#objects.set(session, { sid, knowledge: { state: 'known', mark, attempts, ends: ttl * 1000 } });
  }

  /**
   * A save of `session` failed, and may have written the revision of the mark `attempt` in place of what is `known`: this object's own, not a conflict.
   * @param {string} sid
   * @param {object} session
   * @param {Known} known
   * @param {string} attempt
   */
  recordAttempt(sid, session, { mark, attempts = [], ends }, attempt) {
    const latest = [...attempts, attempt].slice(-ATTEMPTS);
    this.#objects.set(session, { sid, knowledge: { state: 'known', mark, attempts: latest, ends } });
  }

  /**
   * The session is gone; what still holds it, or comes with its id, must not bring it back.
   * @param {string} sid
   * @param {unknown} [session] an object that holds it.
   */
  markGone(sid, session) {
    if (typeof session === 'object' && session !== null) this.#objects.set(session, { sid, knowledge: GONE });
    this.#remember(sid, GONE);
  }

  /**
   * A read found no such session: it is gone, if there was one.
   * @param {string} sid
   */
  recordMissing(sid) {
    if (this.#recent.has(sid)) this.#remember(sid, GONE);
  }

  markAllGone() {
    for (const sid of [...this.#recent.keys()]) this.#remember(sid, GONE);
  }

  /**
   * Gives a session that was read what it needs on its way through frameworks that copy it.
   * @param {any} session
   */
  attachRevision(session) {
    if (this.#exact) session[REVISION] = new Revision(this.#objects.get(session));
  }

  /**
   * Answers a read. @fastify/session copies the session in that very moment.
   * @param {any} session
   * @param {() => void} answer
   */
  answerRead(session, answer) {
    giveWith(session, () => this.#objects.get(session), answer);
  }

  /**
   * Answers a destroy. @fastify/session's `regenerate` saves the new session in that very moment: it is new, whatever its id, although it has the old one's cookie.
   * @param {string} sid
   * @param {() => void} answer
   */
  answerDestroy(sid, answer) {
    this.#destroyed = sid;
    try {
      answer();
    } finally {
      this.#destroyed = undefined;
    }
  }

  /**
   * express-session made `session` from `loaded`, the very object that was read.
   * @param {any} loaded
   * @param {any} session
   */
  link(loaded, session) {
    for (const holder of [loaded, session]) if (holder[REVISION] instanceof Revision) delete holder[REVISION];
    const entry = this.#objects.get(loaded);
    if (entry) this.#objects.set(session, entry);
  }

  /**
   * Whether the session of this id is known, and not gone as far as this process knows.
   * @param {string} sid
   */
  isKnown(sid) {
    return this.#recent.get(sid)?.latest.state === 'known';
  }

  /**
   * The id of the session that an object holds.
   * @param {any} session
   * @returns {any} whatever the object says, if it is not known.
   */
  idOf(session) {
    if (session === null || typeof session !== 'object') return undefined;
    return this.#objects.get(session)?.sid ?? session.sessionId ?? session.id;
  }

  /**
   * What is known of the session.
   * @param {string} sid
   * @param {object} session
   * @param {SessionState} [earlier] what was known when the caller asked.
   * @returns {SessionState}
   */
  lookUp(sid, session, earlier) {
    const object = this.#objects.get(session);
    if (object?.sid === sid) return object.knowledge;
    const fastify = askFastify(sid, session);
    const loaded = fastify ? this.#loaded(sid, fastify) : NEW;
    if (!fastify || loaded.state === 'new') return NEW;
    const before = earlier === undefined || earlier.state === 'new' ? undefined : earlier.untouched;
    return { ...loaded, untouched: before ?? isUntouched(session, fastify.isModified) };
  }

  /**
   * What @fastify/session loaded its session from: its revision if that can be told, else the latest one.
   * @param {string} sid
   * @param {NonNullable<ReturnType<typeof askFastify>>} fastify
   * @returns {SessionState}
   */
  #loaded(sid, { loaded: wasLoaded, replaces, loadedEnd, carried }) {
    if (sid === this.#destroyed && replaces) return NEW;
    const recent = this.#recent.get(sid);
    if (carried?.by === this && carried.sid === sid) {
      const isGone = recent && (recent.latest.state === 'gone' || (recent.reused && recent.life !== carried.life));
      return isGone ? GONE : carried.knowledge;
    }
    if (recent === undefined) return NEW;
    // Ids may come again: a session that the framework has just made is new. One that it has loaded must not come back.
    if (recent.latest.state === 'gone') return wasLoaded ? GONE : NEW;
    const loaded = recent.byEnd?.get(loadedEnd);
    if (recent.reused && !loaded && wasLoaded) return GONE;
    // Cookies without an end do not tell revisions apart; the latest one then stands for all.
    return loadedEnd !== undefined && loaded ? loaded : { state: 'known', mark: (loaded ?? recent.latest).mark };
  }

  /**
   * @param {string} sid
   * @param {Known | Gone} knowledge
   * @param {number} [expires] when its cookie ends.
   * @returns {number} the number of the life that the id has.
   */
  #remember(sid, knowledge, expires) {
    const before = this.#recent.get(sid);
    const wasGone = before?.latest.state === 'gone';
    const byEnd = knowledge.state === 'gone' ? undefined : (before?.byEnd ?? new Map());
    if (byEnd && knowledge.state === 'known') {
      byEnd.delete(expires);
      byEnd.set(expires, knowledge);
      if (byEnd.size > REVISIONS) byEnd.delete(byEnd.keys().next().value);
    }
    const reused = wasGone || (before?.reused ?? false);
    const life = before && !wasGone ? before.life : ++this.#lives;
    this.#recent.delete(sid);
    this.#recent.set(sid, { latest: knowledge, byEnd, life, reused });
    if (this.#recent.size > this.#limit) this.#forgetOldest();
    return life;
  }

  #forgetOldest() {
    const [oldest] = this.#recent.keys();
    if (oldest !== undefined) this.#recent.delete(oldest);
  }
}

exports.KnownSessions = KnownSessions;
