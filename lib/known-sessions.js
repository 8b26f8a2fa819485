'use strict';

/** The property by which a session tells its revision through frameworks that copy it; never in its JSON. */
const REVISION = 'sessionRevision';

/** Survives the copy of a session's properties, and is nothing in its JSON. */
class Revision {
  #record;

  /** @param {{ sid: string, mark: string | null }} record */
  constructor(record) {
    this.#record = record;
  }

  get record() {
    return this.#record;
  }

  toJSON() {
    return undefined;
  }
}

/** @fastify/session's own: it says whether its content is what was loaded, and which session it is. */
function isFastifySession(session) {
  return typeof session?.isModified === 'function' && typeof session.sessionId === 'string';
}

/** A session that cannot be compared counts as changed; whoever saves it will say why it cannot. */
function isUntouched(session) {
  try {
    return !session.isModified();
  } catch {
    return false;
  }
}

/**
 * What this process knows of the records of sessions: by the object that holds the session, and by the id for frameworks that copy it.
 * A mark is the native side's; `null` stands for a session that is gone.
 */
class KnownSessions {
  /** Session object to the record that it was read from or written as. */
  #records = new WeakMap();
  /** Session id to mark, the least recently used first. */
  #recent = new Map();
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

  /** `session` is what was read from, or is what was written as, the record that `mark` is of. */
  keep(sid, session, mark) {
    this.#records.set(session, { sid, mark });
    this.#remember(sid, mark);
  }

  /** The record of a session moved its end; nobody's object holds its content. */
  moved(sid, mark) {
    this.#remember(sid, mark);
  }

  /** Gives a session that was read what it needs on its way through frameworks that copy it. */
  equip(session) {
    if (this.#exact) session[REVISION] = new Revision(this.#records.get(session));
  }

  /** The session is gone; what still holds it, or comes with its id, must not bring it back. */
  gone(sid, session) {
    if (typeof session === 'object' && session !== null) this.#records.set(session, { sid, mark: null });
    this.#remember(sid, null);
  }

  /** There is no such session now: worth knowing if there was one. */
  missing(sid) {
    if (this.#recent.has(sid)) this.#remember(sid, null);
  }

  clear() {
    for (const sid of this.#recent.keys()) this.#recent.set(sid, null);
  }

  /** express-session made `session` from `loaded`, the very object that was read. */
  link(loaded, session) {
    delete loaded[REVISION];
    delete session[REVISION];
    const record = this.#records.get(loaded);
    if (record) this.#records.set(session, record);
  }

  /** The id of the session that an object holds. */
  idOf(session) {
    if (session === null || typeof session !== 'object') return undefined;
    return this.#records.get(session)?.sid ?? session.sessionId ?? session.id;
  }

  /**
   * What is known of the session's record, `undefined` if it is new. `untouched` is there where only the framework can tell.
   * @param {{ untouched?: boolean }} [earlier] what was known when the caller asked.
   * @returns {{ mark: string | null, untouched?: boolean } | undefined}
   */
  of(sid, session, earlier) {
    const record = this.#records.get(session);
    if (record?.sid === sid) return { mark: record.mark };
    if (!isFastifySession(session) || session.sessionId !== sid) return undefined;
    const carried = session[REVISION] instanceof Revision ? session[REVISION].record : undefined;
    const mark = carried?.sid === sid ? carried.mark : this.#recent.get(sid);
    return mark === undefined ? undefined : { mark, untouched: earlier?.untouched ?? isUntouched(session) };
  }

  #remember(sid, mark) {
    this.#recent.delete(sid);
    this.#recent.set(sid, mark);
    if (this.#recent.size > this.#limit) this.#recent.delete(this.#recent.keys().next().value);
  }
}

module.exports = { KnownSessions };
