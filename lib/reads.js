'use strict';

const { unwrap } = require('./errors.js');
const { listed } = require('./held-session.js');
const { fingerprint } = require('./session-ids.js');
const { revive } = require('./session-json.js');

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

/** Reads sessions, and records what was read. */
class Reads {
  #native;
  #known;
  #inOrder;
  #calls;
  #log;
  #onIntegrityFailure;

  /**
   * @param {object} parts
   * @param {import('./native-store.js').Native} parts.native
   * @param {import('./known-sessions.js').KnownSessions} parts.known
   * @param {import('./in-order.js').InOrder} parts.inOrder
   * @param {import('./calls.js').Calls} parts.calls
   * @param {import('./log.js').Log} parts.log
   * @param {'error' | 'missing' | 'destroy'} parts.onIntegrityFailure
   */
  constructor({ native, known, inOrder, calls, log, onIntegrityFailure }) {
    this.#native = native;
    this.#known = known;
    this.#inOrder = inOrder;
    this.#calls = calls;
    this.#log = log;
    this.#onIntegrityFailure = onIntegrityFailure;
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
    const found = await this.#intact(sid, await this.#native.get(sid, now, waited));
    const live = found?.json === undefined ? undefined : /** @type {LiveSession} */ (found);
    const again = () => (live ? revive(live, now) : null);
    const session = again();
    if (live && session) {
      this.#known.recordRead(sid, session, live.mark, live.ttl);
      return { session, again, mark: live.mark, ttl: live.ttl };
    }
    if (found) this.#log.debug(`get${fingerprint(sid)}: it has expired`);
    this.#known.recordMissing(sid);
    return null;
  }

  /** Every live session of the store, with its id. */
  async all() {
    const now = Date.now();
    const sessions = [];
    for (const found of unwrap(await this.#native.all(now))) {
      const session = revive(found, now);
      if (!session) continue;
      sessions.push(Object.assign(session, { id: found.id }));
      listed.add(session);
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

  /**
   * What the native side read; a record that fails its integrity check may count as none.
   * @param {string} sid
   * @param {Session | import('../binding.js').Failure | null} reply
   * @returns {Promise<Session | null>}
   */
  async #intact(sid, reply) {
    try {
      return unwrap(reply);
    } catch (error) {
      if (error.code !== 'ERR_INTEGRITY' || this.#onIntegrityFailure === 'error') throw error;
      this.#calls.report('get, answered as of no session,', sid, error);
      if (this.#onIntegrityFailure === 'destroy') unwrap(await this.#native.destroyUnreadable(sid));
      return null;
    }
  }
}

exports.Reads = Reads;
