'use strict';

const { failure, unwrap } = require('./errors.js');
const { replacedBy } = require('./fastify-session.js');
const { checkSid } = require('./session-ids.js');
const { serialize, cookieExpires } = require('./session-json.js');

/**
 * How many characters of JSON are compared on JavaScript's thread, so that a caller need not wait: stringifying and hashing them takes less than 0.1 ms
 * (benchmarks/README.md, "What an answer at once costs"). Longer ones are compared on the native side's threads.
 */
const COMPARED_AT_ONCE = 16_384;

/** What the native side compares a session with: `undefined` for a new one; the mark is `null` for one that is gone. */
function baseline(known) {
  if (!known) return undefined;
  const { mark, attempts, untouched, ends } = known;
  return { mark, attempts, untouched, ends };
}

/** The JSON of a session's cookie; `undefined` if it has none. */
function cookieOf(session) {
  return JSON.stringify(session.cookie);
}

/**
 * One call of `set` or `touch`, and what was known of its session then.
 * @typedef {object} Save
 * @property {'set' | 'touch'} operation
 * @property {string} sid
 * @property {object} session
 * @property {number} now epoch milliseconds.
 * @property {number} [seconds] the session's lifetime; left out if the native side knows it.
 * @property {number} [expires] when its cookie ends, in epoch milliseconds.
 * @property {import('./known-sessions.js').Known} [known]
 * @property {string} [json] what `JSON.stringify` gave, once it was needed.
 */

/** Saves and touches sessions: decides at once which of them must be written, and sends what must be sent in the order in which it was asked for. */
class Saves {
  #native;
  #known;
  #inOrder;
  #lifetime;
  #conflict;
  /** Session objects to how many writes of theirs are under way: until those have ended, nobody knows what the record holds. */
  #writing = new WeakMap();
  #counts = { written: 0, extended: 0, unchanged: 0, gone: 0, conflicts: 0 };

  /**
   * @param {object} parts
   * @param {(session: object) => number} [parts.lifetime] the function `ttlSeconds`.
   * @param {(sid: string, resolution: string) => void} parts.conflict is told of each conflict.
   */
  constructor({ native, known, inOrder, lifetime, conflict }) {
    this.#native = native;
    this.#known = known;
    this.#inOrder = inOrder;
    this.#lifetime = lifetime;
    this.#conflict = conflict;
  }

  /** What became of sessions, for `stats()`. */
  get counts() {
    return { ...this.#counts };
  }

  /**
   * @returns {Save}
   * @throws what is wrong with the arguments.
   */
  prepare(operation, sid, session) {
    checkSid(sid);
    const [now, seconds, expires] = [Date.now(), this.#ttlSeconds(session), cookieExpires(session)];
    return { operation, sid, session, now, seconds, expires, known: this.#known.of(sid, session) };
  }

  /**
   * What a save comes to, as far as that can be said at once: `write` must be sent and waited for, and so must the earlier end of `shorten`; `extend` may be
   * answered before the session's end is moved; for `settled` and `gone` there is nothing to send.
   * @param {Save} save
   * @returns {'write' | 'extend' | 'shorten' | 'settled' | 'gone'}
   */
  outlook(save) {
    const { operation, session, known, now, seconds, expires } = save;
    if (known === undefined || this.#writing.has(session)) return 'write';
    if (known.mark === null) return 'gone';
    try {
      const when = [now, seconds, expires, known.ends];
      if (operation === 'touch') return unwrap(this.#native.outlookOfTouch(known.mark, cookieOf(session), ...when));
      if (known.attempts || known.untouched === false) return 'write';
      if (known.untouched) return unwrap(this.#native.outlookOfSave(known.mark, cookieOf(session), true, ...when));
      save.json = serialize(session);
      if (save.json.length > COMPARED_AT_ONCE) return 'write';
      return unwrap(this.#native.outlookOfSave(known.mark, save.json, false, ...when));
    } catch {
      return 'write'; // which meets the same failure, and tells it
    }
  }

  /** The caller was answered, and nothing is sent. */
  count(outcome) {
    this.#counts[outcome]++;
  }

  /**
   * Writes the session, or moves its end, as is needed.
   * @param {Save} save
   */
  async send(save) {
    if (save.operation === 'touch' && (save.known === undefined || this.outlook(save) !== 'write')) return this.moveEnd(save);
    const { sid, session, now, seconds, expires } = save;
    const json = save.json ?? serialize(session);
    return this.#hold(session, () =>
      this.#inOrder.run(sid, async (waited) => {
        const known = this.#known.of(sid, session, save.known);
        const reply = await this.#native.set(sid, json, now, seconds, expires, baseline(known), waited);
        this.#settle(save, known, reply);
      }),
    );
  }

  /** Removes a session, and remembers that it is gone. */
  async remove(sid) {
    await this.#inOrder.run(sid, async (waited) => {
      unwrap(await this.#native.destroy(sid, waited));
      this.#known.gone(sid);
    });
  }

  /**
   * The session from before a login that the framework may be replacing with this new one, and would leave where it is.
   * @param {Save} save
   */
  replaced({ session, known }) {
    const replaced = known === undefined ? replacedBy(session) : undefined;
    return replaced && this.#known.hasSeen(replaced.sid) ? replaced : undefined;
  }

  /**
   * Moves the session's end, if that is due.
   * @param {Save} save
   */
  async moveEnd(save) {
    const { sid, session, now, seconds, expires } = save;
    await this.#inOrder.run(sid, async (waited) => {
      const known = this.#known.of(sid, session, save.known);
      const reply = await this.#native.touch(sid, now, seconds, expires, baseline(known), waited);
      this.#settle(save, known, reply);
    });
  }

  /** Writes what `update` made of a session, unless somebody else has written it since; gives what became of it. */
  async rewrite(sid, session, json, known, keepEnd) {
    const [now, seconds] = [Date.now(), keepEnd ? undefined : this.#ttlSeconds(session)];
    const strictly = { ...baseline(known), keepEnd, strict: true };
    return this.#inOrder.run(sid, async (waited) => {
      const reply = unwrap(await this.#native.set(sid, json, now, seconds, cookieExpires(session), strictly, waited));
      this.#counts[reply.outcome]++;
      return reply;
    });
  }

  async #hold(session, write) {
    const count = (change) => {
      const writes = (this.#writing.get(session) ?? 0) + change;
      if (writes === 0) this.#writing.delete(session);
      else this.#writing.set(session, writes);
    };
    count(1);
    try {
      await write();
    } finally {
      count(-1);
    }
  }

  /** Learns from what became of a session. */
  #settle({ sid, session, expires }, known, reply) {
    let saved;
    try {
      saved = unwrap(reply);
    } catch (error) {
      if (error.code === 'ERR_CONFLICT') this.#meet(sid, 'refused');
      if (known?.mark && reply.attempt !== undefined) this.#known.attempted(sid, session, known, reply.attempt);
      throw error;
    }
    const { outcome, mark, ttl, conflict } = saved;
    if (outcome === 'dropped') return this.#meet(sid, 'dropped');
    this.#counts[outcome]++;
    if (conflict) this.#meet(sid, 'overwritten');
    if (outcome === 'gone') return this.#known.gone(sid, session);
    if (outcome === 'written') return this.#known.keep(sid, session, mark, ttl, expires);
    // An object is linked to what it was read from, and not to a later revision.
    if (outcome === 'extended' && known?.ends !== undefined) return this.#known.moved(sid, session, known, mark, ttl);
    return undefined;
  }

  #meet(sid, resolution) {
    this.#counts.conflicts++;
    this.#conflict(sid, resolution);
  }

  /** What `ttlSeconds` gives for this session; `undefined` if the native side knows it. */
  #ttlSeconds(session) {
    if (!this.#lifetime) return undefined;
    let seconds;
    try {
      seconds = this.#lifetime(session);
    } catch (cause) {
      throw failure('ERR_CONFIG', 'the function ttlSeconds failed; see cause', cause);
    }
    if (typeof seconds !== 'number')
      throw failure('ERR_CONFIG', `ttlSeconds must give a number of seconds, not ${typeof seconds}`);
    return seconds;
  }
}

module.exports = { Saves };
