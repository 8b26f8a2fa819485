'use strict';

const { holdsContent } = require('../binding.js');
const { failure, unwrap } = require('./errors.js');
const { replacedBy } = require('./fastify-session.js');
const { isLate } = require('./late-saves.js');
const { isUnwantedPromise } = require('./mutation.js');
const { checkSid } = require('./session-ids.js');
const { serialize, cookieExpires } = require('./session-json.js');
const { forBinding, recordOf } = require('./session-state.js');

/**
 * How many characters of JSON are compared on JavaScript's thread, so that a caller need not wait:
 * stringifying and hashing them takes less than 0.1 ms (benchmarks/README.md, "What an answer at
 * once costs"). Longer ones are compared on the native side's threads.
 */
const COMPARED_AT_ONCE = 16_384;

/**
 * The JSON of a session's cookie; `undefined` if it has none.
 * @param {SessionData} session
 * @returns {string | undefined}
 */
function cookieOf(session) {
  return JSON.stringify(session.cookie);
}

/**
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {import('./native-store.js').Saved} Saved
 * @typedef {import('../binding.js').Failure} Failure
 * @typedef {import('./session-state.js').SessionState} SessionState
 * @typedef {'overwritten' | 'refused' | 'dropped'} Resolution
 * @typedef {'written' | 'extended' | 'unchanged' | 'gone' | 'taken'} Outcome
 */

/**
 * One call of `set` or `touch`, and what was known of its session then.
 * @typedef {object} Save
 * @property {'set' | 'touch'} operation
 * @property {string} sid
 * @property {SessionData} session
 * @property {number} now epoch milliseconds.
 * @property {number} [seconds] the session's lifetime; left out if the native side knows it.
 * @property {number} [expires] when its cookie ends, in epoch milliseconds.
 * @property {string | false} [user] the id of its user, `false` if it has none; left out if the store knows no users.
 * @property {SessionState} knowledge
 * @property {boolean} late whether it comes after the answer: it fails where somebody else has changed the session, whatever
 *   `onConflict` says, and never lets the session end earlier.
 * @property {string} [json] what `JSON.stringify` gave, once it was needed.
 */

/**
 * Saves and touches sessions: decides at once which of them must be written, and sends what must be
 * sent in the order in which it was asked for.
 */
class Saves {
  #native;
  #known;
  #inOrder;
  #lifetime;
  #users;
  #conflict;
  #channels;
  /**
   * Session objects to how many writes of theirs are under way: until those have ended, nobody
   * knows what the record holds.
   * @type {WeakMap<object, number>}
   */
  #writing = new WeakMap();
  #counts = { written: 0, extended: 0, unchanged: 0, gone: 0, taken: 0, conflicts: 0 };

  /**
   * @param {object} parts
   * @param {import('./native-store.js').Native} parts.native
   * @param {import('./known-sessions.js').KnownSessions} parts.known
   * @param {import('./in-order.js').InOrder} parts.inOrder
   * @param {import('./config.js').Lifetime | undefined} parts.lifetime the function `ttlSeconds`.
   * @param {import('./users.js').Users | undefined} parts.users the option.
   * @param {(operation: string, sid: string, resolution: Resolution) => void} parts.conflict is told of each conflict.
   * @param {import('./channels.js').Channels} parts.channels
   */
  constructor({ native, known, inOrder, lifetime, users, conflict, channels }) {
    this.#native = native;
    this.#known = known;
    this.#inOrder = inOrder;
    this.#lifetime = lifetime;
    this.#users = users;
    this.#conflict = conflict;
    this.#channels = channels;
  }

  /** What became of sessions, for `stats()`. */
  get counts() {
    return { ...this.#counts };
  }

  /**
   * @param {'set' | 'touch'} operation
   * @param {string} sid
   * @param {SessionData} session
   * @returns {Save}
   * @throws what is wrong with the arguments.
   */
  prepare(operation, sid, session) {
    checkSid(sid);
    const [now, seconds, expires] = [Date.now(), this.#ttlSeconds(session), cookieExpires(session)];
    const user = this.#userOf(session);
    const knowledge = this.#known.lookUp(sid, session);
    return { operation, sid, session, now, seconds, expires, user, knowledge, late: isLate(session) };
  }

  /**
   * The outlook: what a save will have to do, decided before anything is sent. The caller waits for
   * `write`, and for the earlier end of `shorten`. `extend` may be answered before the session's
   * end is moved. `settled` and `gone` send nothing.
   * @param {Save} save
   * @returns {'write' | 'extend' | 'shorten' | 'settled' | 'gone'}
   */
  outlook(save) {
    const outlook = this.#outlook(save);
    return save.late && outlook === 'shorten' ? 'settled' : outlook;
  }

  /** @param {Save} save */
  #outlook(save) {
    const { operation, session, knowledge, now, seconds, expires, user } = save;
    if (knowledge.state === 'new' || this.#writing.has(session)) return 'write';
    if (knowledge.state === 'gone') return 'gone';
    const { mark, attempts, untouched, ends } = knowledge;
    try {
      if (operation === 'touch')
        return unwrap(this.#native.outlookOfTouch(mark, cookieOf(session), now, seconds, expires, ends, user));
      if (attempts || untouched === false) return 'write';
      if (untouched) return unwrap(this.#native.outlookOfSave(mark, cookieOf(session), true, now, seconds, expires, ends, user));
      save.json = serialize(session);
      if (save.json.length > COMPARED_AT_ONCE) return 'write';
      return unwrap(this.#native.outlookOfSave(mark, save.json, false, now, seconds, expires, ends, user));
    } catch {
      return 'write'; // which meets the same failure, and tells it
    }
  }

  /**
   * The caller was answered, and nothing is sent.
   * @param {Outcome} outcome
   */
  count(outcome) {
    this.#counts[outcome]++;
  }

  /**
   * Writes the session, or moves its end, as is needed.
   * @param {Save} save
   * @param {import('./call.js').Call} call
   */
  async send(save, call) {
    const isNew = save.knowledge.state === 'new';
    if (save.operation === 'touch' && (isNew || this.outlook(save) !== 'write')) return this.moveEnd(save, call);
    const { sid, session, now, seconds, expires, user, late } = save;
    const json = save.json ?? serialize(session);
    return this.#hold(session, () =>
      this.#inOrder.run(sid, async (waited) => {
        const knowledge = this.#known.lookUp(sid, session, save.knowledge);
        /** @param {import('../binding.js').KnownSession | undefined} record */
        const write = (record) => {
          const known = record && late ? { ...record, strict: true, keepEnd: true } : record;
          return this.#native.set(sid, json, now, seconds, expires, known, waited, user);
        };
        let reply = await write(forBinding(knowledge));
        if (late && knowledge.state === 'known' && 'code' in reply && reply.code === 'ERR_CONFLICT') {
          const mark = await this.#sealedAgain(sid, knowledge.mark, waited);
          if (mark !== undefined) reply = await write({ mark });
        }
        this.#learn(save, knowledge, reply, call);
        if (late) await this.#extendLate(save, waited);
      }),
    );
  }

  /**
   * The mark of the record, if requests that changed nothing have moved its end so far that it was
   * sealed again.
   * @param {string} sid
   * @param {string} mark of what was read.
   * @param {number} [waited]
   */
  async #sealedAgain(sid, mark, waited) {
    const found = unwrap(await this.#native.get(sid, Date.now(), waited));
    if (found?.json === undefined || found.mark === undefined) return undefined;
    return unwrap(await holdsContent(mark, found.json)) ? found.mark : undefined;
  }

  /**
   * Moves the end of a session that was written with the end that it had, if it would end later. The
   * failure of that fails nothing: the next request moves it as well.
   * @param {Save} save
   * @param {number} [waited]
   */
  async #extendLate(save, waited) {
    const { sid, session, now, seconds, expires, user } = save;
    const written = this.#known.lookUp(sid, session, save.knowledge);
    if (written.state !== 'known') return;
    try {
      const { mark, ends } = written;
      const outlook = unwrap(this.#native.outlookOfTouch(mark, cookieOf(session), now, seconds, expires, ends, user));
      if (outlook === 'extend') await this.#touch(save, waited);
    } catch {
      // Its content is stored.
    }
  }

  /**
   * Removes a session, and remembers that it is gone.
   * @param {string} sid
   */
  async remove(sid) {
    const now = Date.now();
    await this.#inOrder.run(sid, async (waited) => {
      unwrap(await this.#native.destroy(sid, now, waited));
      this.#known.markGone(sid);
    });
  }

  /**
   * The session from before a login that the framework may be replacing with this new one, and
   * would leave where it is.
   * @param {Save} save
   */
  replaced({ session, knowledge }) {
    const replaced = knowledge.state === 'new' ? replacedBy(session) : undefined;
    return replaced && this.#known.isKnown(replaced.sid) ? replaced : undefined;
  }

  /**
   * Moves the session's end, if that is due.
   * @param {Save} save
   * @param {import('./call.js').Call} [call] whose caller waits for it.
   */
  async moveEnd(save, call) {
    await this.#inOrder.run(save.sid, (waited) => this.#touch(save, waited, call));
  }

  /**
   * @param {Save} save
   * @param {number} [waited]
   * @param {import('./call.js').Call} [call]
   */
  async #touch(save, waited, call) {
    const { sid, session, now, seconds, expires } = save;
    const knowledge = this.#known.lookUp(sid, session, save.knowledge);
    const reply = await this.#native.touch(sid, now, seconds, expires, forBinding(knowledge), waited);
    this.#learn(save, knowledge, reply, call);
  }

  /**
   * Writes what `update` made of a session, unless somebody else has written it since; gives what
   * became of it.
   * @param {'update' | 'refresh'} operation
   * @param {string} sid
   * @param {SessionData} session
   * @param {string} json
   * @param {import('./session-state.js').Known} read what was read before.
   * @param {boolean} keepEnd whether the session keeps its end.
   */
  async rewrite(operation, sid, session, json, read, keepEnd) {
    const [now, seconds] = [Date.now(), keepEnd ? undefined : this.#ttlSeconds(session)];
    const user = this.#userOf(session);
    const strictly = { ...recordOf(read), keepEnd, strict: true };
    return this.#inOrder.run(sid, async (waited) => {
      const given = await this.#native.set(sid, json, now, seconds, cookieExpires(session), strictly, waited, user);
      if ('code' in given && given.code === 'ERR_CONFLICT') this.#channels.conflict(operation, sid, 'retried');
      const reply = unwrap(given);
      this.#counts[/** @type {Outcome} */ (reply.outcome)]++; // a strict write is never dropped
      return reply;
    });
  }

  /**
   * @param {SessionData} session
   * @param {() => Promise<void>} write
   */
  async #hold(session, write) {
    /** @param {number} change */
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

  /**
   * Learns from what became of a session.
   * @param {Save} save
   * @param {SessionState} knowledge what the native side was told.
   * @param {Saved | Failure} reply
   * @param {import('./call.js').Call} [call] whose caller waits for it.
   */
  #learn({ operation, sid, session, expires }, knowledge, reply, call) {
    let saved;
    try {
      saved = unwrap(reply);
    } catch (error) {
      if (error.code === 'ERR_CONFLICT') this.#meet(operation, sid, 'refused');
      const { attempt } = /** @type {Failure} */ (reply);
      if (knowledge.state === 'known' && attempt !== undefined) this.#known.recordAttempt(sid, session, knowledge, attempt);
      throw error;
    }
    if (call) call.outcome = saved.outcome;
    if (saved.outcome === 'dropped') {
      this.#meet(operation, sid, 'dropped');
      return;
    }
    this.#counts[saved.outcome]++;
    if (saved.conflict) this.#meet(operation, sid, 'overwritten');
    if (saved.outcome === 'gone') this.#known.markGone(sid, session);
    else if (saved.outcome === 'written') this.#known.recordWrite(sid, session, saved.mark, saved.ttl, expires);
    // An object is linked to what it was read from, and not to a later revision.
    else if (saved.outcome === 'extended' && knowledge.state === 'known' && knowledge.ends !== undefined)
      this.#known.recordMove(sid, session, knowledge, saved.mark, saved.ttl);
  }

  /**
   * @param {'set' | 'touch'} operation
   * @param {string} sid
   * @param {Resolution} resolution
   */
  #meet(operation, sid, resolution) {
    this.#counts.conflicts++;
    this.#conflict(operation, sid, resolution);
  }

  /**
   * The id of the session's user; `undefined` if the store knows no users.
   * @param {SessionData} session
   */
  #userOf(session) {
    return this.#users?.of(session);
  }

  /**
   * What `ttlSeconds` gives for this session; `undefined` if the native side knows it.
   * @param {SessionData} session
   */
  #ttlSeconds(session) {
    if (!this.#lifetime) return undefined;
    let seconds;
    try {
      seconds = this.#lifetime(session);
    } catch (cause) {
      throw failure('ERR_CONFIG', 'the function ttlSeconds failed; see cause', cause);
    }
    if (typeof seconds !== 'number')
      throw failure(
        'ERR_CONFIG',
        `ttlSeconds must give a number of seconds, not ${isUnwantedPromise(seconds) ? 'a promise' : typeof seconds}`,
      );
    return seconds;
  }
}

exports.Saves = Saves;
