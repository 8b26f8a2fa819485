'use strict';

const { unwrap } = require('./errors.js');
const { listed } = require('./held-session.js');
const { revive } = require('./session-json.js');
const { take } = require('./turns.js');

/** @typedef {import('../binding.js').Session} Session */
/**
 * @typedef {Session & { json: string, mark: string }} LiveSession one that had not ended for the
 * native side
 */

/**
 * A session that was read.
 * @typedef {object} Found
 * @property {import('../index.js').SessionData} session
 * @property {() => import('../index.js').SessionData | null} again makes the same session anew.
 * @property {string} mark
 * @property {number} ttl
 */

/**
 * A listed session with its id.
 * @param {Session} found
 * @param {number} now
 */
function reviveListed(found, now) {
  const { id, json, ttl } = /** @type {Session & { id: string, json: string }} */ (found);
  const revived = revive({ json, ttl }, now);
  if (!revived) return null;
  const session = Object.assign(revived, { id });
  listed.add(session);
  return session;
}

/** Reads sessions, and records what was read. */
class Reads {
  #native;
  #known;
  #inOrder;
  #integrity;
  #log;
  #names;

  /**
   * @param {object} parts
   * @param {import('./native-store.js').Native} parts.native
   * @param {import('./known-sessions.js').KnownSessions} parts.known
   * @param {import('./in-order.js').InOrder} parts.inOrder
   * @param {import('./integrity.js').Integrity} parts.integrity
   * @param {import('./log.js').Log} parts.log
   * @param {import('./session-ids.js').Names} parts.names for the log.
   */
  constructor({ native, known, inOrder, integrity, log, names }) {
    this.#native = native;
    this.#known = known;
    this.#inOrder = inOrder;
    this.#integrity = integrity;
    this.#log = log;
    this.#names = names;
  }

  /**
   * The session as it lies in the table once this process's earlier writes of it have ended, known
   * from now on. `null` if there is none.
   * @param {string} sid
   * @returns {Promise<Found | null>}
   */
  async find(sid) {
    const now = Date.now();
    const earlier = this.#inOrder.before(sid);
    const waited = earlier && (await earlier);
    const found = await this.#integrity.check('get', sid, await this.#native.get(sid, now, waited));
    const live = found?.json === undefined ? undefined : /** @type {LiveSession} */ (found);
    const again = () => (live ? revive(live, now) : null);
    const session = again();
    if (live && session) {
      this.#known.recordRead(sid, session, live.mark, live.ttl);
      return { session, again, mark: live.mark, ttl: live.ttl };
    }
    if (found)
      this.#log.debug(`get${this.#names.of(sid)}: it has expired`, {
        event: 'expired',
        operation: 'get',
        ...this.#names.fieldOf(sid),
      });
    this.#known.recordMissing(sid);
    return null;
  }

  /**
   * The session, which is removed: of all callers, one gets it.
   * @param {string} sid
   * @returns {Promise<import('../index.js').SessionData | null>}
   */
  async take(sid) {
    const now = Date.now();
    return this.#inOrder.run(sid, async (waited) => {
      const taken = await this.#integrity.check('take', sid, await this.#native.take(sid, now, waited));
      const session = taken?.json === undefined ? null : revive(/** @type {LiveSession} */ (taken), now);
      if (taken?.json === undefined) this.#known.recordMissing(sid);
      else this.#known.markGone(sid);
      return session;
    });
  }

  /** Every live session of the store, with its id. */
  async all() {
    const now = Date.now();
    return this.#collect(unwrap(await this.#native.all(now)), now);
  }

  /**
   * The live sessions of a user, with their ids, the latest first. The list that the table has is
   * not sealed, so each session is asked whose it is.
   * @param {string} user
   * @param {import('./users.js').Users} users
   */
  async sessionsOf(user, users) {
    const now = Date.now();
    const listed = unwrap(await this.#native.sessionsOf(user, now));
    return this.#collect(listed, now, (session) => users.of(session) === user);
  }

  /**
   * Some of the live sessions with their ids, and where the next ones follow.
   * @param {string} [after]
   */
  async page(after) {
    const now = Date.now();
    const { sessions, next } = unwrap(await this.#native.page(now, after));
    const revived = [];
    for (const found of sessions) {
      await take(found.json?.length ?? 0);
      const session = reviveListed(found, now);
      if (session) revived.push(session);
    }
    return { sessions: revived, next };
  }

  /**
   * @param {import('../binding.js').ListedSessions} slices
   * @param {number} now
   * @param {(session: import('../index.js').SessionData) => boolean} [isWanted]
   */
  async #collect(slices, now, isWanted = () => true) {
    const sessions = [];
    for (let slice = slices.take(); slice.length > 0; slice = slices.take()) {
      for (const found of slice) {
        await take(found.json?.length ?? 0);
        const session = reviveListed(found, now);
        if (session && isWanted(session)) sessions.push(session);
      }
    }
    return sessions;
  }

  /**
   * The record of a session, once this process's earlier writes of it have ended.
   * @param {string} sid
   */
  async record(sid) {
    const waited = await this.#inOrder.before(sid);
    return unwrap(await this.#native.record(sid, waited));
  }
}

exports.Reads = Reads;
