'use strict';

const { EventEmitter } = require('node:events');
const { holdsContent } = require('../binding.js');
const { IS_CLOSED } = require('./closed.js');
const { readConfig } = require('./config.js');
const { unwrap } = require('./errors.js');
const { ExpressSessions } = require('./express-session.js');
const { wantGuards } = require('./fastify-app.js');
const { Foundation } = require('./foundation.js');
const { GetCalls } = require('./get-calls.js');
const { KnownSessions } = require('./known-sessions.js');
const { callOptions, splitOptions } = require('./options.js');
const { Reads } = require('./reads.js');
const { warnOfRecordVersion } = require('./process-warnings.js');
const { nextTick } = require('./real-time.js');
const { Refreshes } = require('./refresh.js');
const { SaveCalls } = require('./save-calls.js');
const { Saves } = require('./saves.js');
const { checkSid } = require('./session-ids.js');
const { needUsers } = require('./users.js');

/**
 * @typedef {import('./call.js').Call} Call
 * @typedef {import('../index.js').SessionData} SessionData
 * @typedef {import('../index.js').SessionStoreConfig} SessionStoreConfig
 * @typedef {import('../index.js').DynamoDBSessionStore} PublicStore
 * @typedef {new () => EventEmitter & { createSession(request: any, loaded: any): any }} BaseClass
 * where it is an EventEmitter, it lacks the method
 */

/**
 * express-session's Store, where that package is found, so that a store is an instance of it. The
 * store needs nothing of it: it may not be the application's copy.
 */
function baseClass() {
  try {
    return require('express-session').Store;
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return EventEmitter;
    throw error;
  }
}
const Base = /** @type {BaseClass} */ (/** @type {unknown} */ (baseClass()));

/**
 * Whether the record of a mark has that content.
 * @param {string} mark
 * @param {string} json
 */
async function holds(mark, json) {
  return unwrap(await holdsContent(mark, json));
}

/**
 * Those that callers take out of the store and call on their own, or through a proxy or an object
 * that inherits from the store. Both have none of its private members.
 * @type {(keyof DynamoDBSessionStore & string)[]}
 */
const METHODS = [
  'get',
  'set',
  'touch',
  'take',
  'destroy',
  'all',
  'sessions',
  'ids',
  'length',
  'clear',
  'sessionsOf',
  'destroyAllOf',
  'ping',
  'record',
  'update',
  'refresh',
  'withLock',
  'stats',
  'close',
  'createSession',
];

/** @type {{ except: import('./options.js').CallOption<string | undefined> }} */
const DESTROY_OPTIONS = {
  except: {
    rule: 'the id of the session that stays',
    holds: (sid) => typeof sid === 'string' && sid !== '' && sid.isWellFormed(),
  },
};

/**
 * The public methods; index.d.ts documents them. Every call runs through `Calls`.
 * @implements {PublicStore}
 */
class DynamoDBSessionStore extends Base {
  #foundation;
  #native;
  #log;
  #known;
  #calls;
  #reads;
  #gets;
  #saves;
  #saveCalls;
  #locks;
  #refreshes;
  #users;
  #lookAtApplication;
  #expressSessions = new ExpressSessions(super.createSession);

  /** @param {SessionStoreConfig} config */
  constructor(config = {}) {
    super();
    const { lifetime, users, recentSessions, versionGiven, exactRevisions, guardReplies, ...rest } = readConfig(config);
    const foundation = new Foundation(rest, 'session');
    const { native, log, calls, inOrder, integrity, names, channels } = foundation;
    if (!versionGiven) warnOfRecordVersion(log);
    const known = new KnownSessions(recentSessions, exactRevisions);
    this.#foundation = foundation;
    this.#native = native;
    this.#log = log;
    this.#known = known;
    this.#users = users;
    this.#calls = calls;
    this.#reads = new Reads({ native, known, inOrder, integrity, log, names });
    this.#gets = new GetCalls(calls, this.#reads, known);
    /** @param {[operation: string, sid: string, resolution: import('./saves.js').Resolution]} event */
    const conflict = (...event) => this.#conflict(...event);
    this.#saves = new Saves({ native, known, inOrder, lifetime, users, conflict, channels });
    this.#saveCalls = new SaveCalls(calls, this.#saves);
    this.#locks = foundation.locks;
    const { failures } = foundation;
    const saves = this.#saves;
    const parts = { known, locks: this.#locks, reads: this.#reads, saves, calls, failures, names, holds };
    this.#refreshes = new Refreshes(parts);
    this.#lookAtApplication = guardReplies ? wantGuards((text) => log.warn(text, { event: 'notGuarded' })) : () => {};
    for (const name of METHODS) {
      Object.defineProperty(this, name, {
        value: /** @type {Function} */ (this[name]).bind(this),
        writable: true,
        configurable: true,
      });
    }
    Object.defineProperty(this, IS_CLOSED, { get: () => calls.isClosed });
    // express-session's middleware assigns it.
    Object.defineProperty(this, 'generate', {
      get: () => this.#expressSessions.generate,
      /** @param {Function} generate */
      set: (generate) => {
        this.#expressSessions.generate = generate;
      },
      configurable: true,
    });
  }

  /**
   * @param {string} sid
   * @param {any[]} rest
   * @returns {any}
   */
  get(sid, ...rest) {
    return this.#gets.run(sid, rest);
  }

  /**
   * @param {string} sid
   * @param {SessionData} session
   * @param {any[]} callback
   * @returns {any}
   */
  set(sid, session, ...callback) {
    this.#lookAtApplication(session);
    return this.#saveCalls.run('set', sid, session, callback);
  }

  /**
   * @param {string} sid
   * @param {SessionData} session
   * @param {any[]} callback
   * @returns {any}
   */
  touch(sid, session, ...callback) {
    return this.#saveCalls.run('touch', sid, session, callback);
  }

  /**
   * @param {string} sid
   * @param {any[]} callback
   * @returns {any}
   */
  take(sid, ...callback) {
    /** @param {Call} call */
    const take = async (call) => {
      const session = await this.#reads.take(checkSid(sid));
      call.outcome = session ? 'taken' : 'missing';
      if (session) this.#saves.count('taken');
      return session;
    };
    return this.#calls.run('take', take, callback, sid);
  }

  /**
   * @param {string} sid
   * @param {any[]} callbacks
   * @returns {any}
   */
  destroy(sid, ...callbacks) {
    const [callback] = callbacks;
    /** @param {unknown[]} given */
    const answer = (...given) => this.#known.answerDestroy(sid, () => callback(...given));
    const answers = typeof callback === 'function' ? [answer] : callbacks;
    /** @param {Call} call */
    const destroy = async (call) => {
      const removed = await this.#saves.remove(checkSid(sid));
      call.outcome = 'deleted';
      this.#refreshes.forget(sid);
      return removed;
    };
    return this.#calls.run('destroy', destroy, answers, sid);
  }

  /**
   * @param {any[]} callback
   * @returns {any}
   */
  all(...callback) {
    return this.#calls.run('all', () => this.#reads.all(), callback);
  }

  /** @returns {any} */
  async *sessions() {
    /** @type {string | undefined} */
    let after;
    do {
      const position = after;
      const page = await /** @type {Promise<any>} */ (this.#calls.run('sessions', () => this.#reads.page(position), []));
      yield* page.sessions;
      after = page.next;
    } while (after !== undefined);
  }

  /**
   * @param {any[]} callback
   * @returns {any}
   */
  ids(...callback) {
    return this.#calls.run('ids', async () => unwrap(await this.#native.ids(Date.now())), callback);
  }

  /**
   * @param {any[]} callback
   * @returns {any}
   */
  length(...callback) {
    return this.#calls.run('length', async () => unwrap(await this.#native.length(Date.now())), callback);
  }

  /**
   * @param {any[]} callback
   * @returns {any}
   */
  clear(...callback) {
    /** @param {Call} call */
    const clear = async (call) => {
      unwrap(await this.#native.clear());
      call.outcome = 'deleted';
      this.#known.markAllGone();
      this.#refreshes.forget();
    };
    return this.#calls.run('clear', clear, callback);
  }

  /**
   * @param {string | number | bigint} userId
   * @param {any[]} callback
   * @returns {any}
   */
  sessionsOf(userId, ...callback) {
    const sessionsOf = async () => {
      const users = needUsers(this.#users);
      return this.#reads.sessionsOf(users.check(userId, this.#log), users);
    };
    return this.#calls.run('sessionsOf', sessionsOf, callback);
  }

  /**
   * @param {string | number | bigint} userId
   * @param {any[]} rest
   * @returns {any}
   */
  destroyAllOf(userId, ...rest) {
    const { options, callback } = splitOptions(rest);
    /** @param {Call} call */
    const destroyAllOf = async (call) => {
      const user = needUsers(this.#users).check(userId, this.#log);
      const { except } = callOptions('destroyAllOf', options, DESTROY_OPTIONS);
      const ended = unwrap(await this.#native.destroyAllOf(user, except, Date.now()));
      call.outcome = 'deleted';
      return ended;
    };
    return this.#calls.run('destroyAllOf', destroyAllOf, callback);
  }

  /**
   * @param {string | object} target
   * @param {(session: any) => any} mutate
   * @param {any[]} rest
   * @returns {any}
   */
  update(target, mutate, ...rest) {
    const { updateSession } = require('./update.js');
    const { options, callback } = splitOptions(rest);
    const sid = this.#idOf(target);
    /** @type {import('./update.js').Parts} */
    const parts = {
      known: this.#known,
      find: () => this.#reads.find(sid),
      write: (session, json, read, keepEnd) => this.#saves.rewrite('update', sid, session, json, read, keepEnd),
      holds,
    };
    const held = typeof target === 'string' ? undefined : target;
    /** @param {Call} call */
    const update = async (call) => updateSession(parts, { call, sid: checkSid(sid), held, mutate, options });
    return this.#calls.run('update', update, callback, sid);
  }

  /**
   * @param {string | object} target
   * @param {any[]} rest
   * @returns {any}
   */
  refresh(target, ...rest) {
    const { options, callback } = splitOptions(rest);
    const sid = this.#idOf(target);
    const held = typeof target === 'string' ? undefined : target;
    /** @param {Call} call */
    const refresh = async (call) => this.#refreshes.run(checkSid(sid), held, options, call);
    return this.#calls.run('refresh', refresh, callback, sid, 'task');
  }

  /**
   * @param {string | object} target
   * @param {(signal: AbortSignal) => any} task
   * @param {any[]} rest
   * @returns {any}
   */
  withLock(target, task, ...rest) {
    const { options, callback } = splitOptions(rest);
    const sid = this.#idOf(target);
    return this.#calls.run('withLock', async () => this.#locks.run(checkSid(sid), task, options), callback, sid, 'task');
  }

  /**
   * @param {any[]} rest
   * @returns {any}
   */
  ping(...rest) {
    const { options, callback } = splitOptions(rest);
    return this.#calls.run('ping', () => this.#foundation.ping(options), callback);
  }

  /**
   * @param {string} sid
   * @param {any[]} callback
   * @returns {any}
   */
  record(sid, ...callback) {
    /** @param {Call} call */
    const read = async (call) => {
      const record = await this.#reads.record(checkSid(sid));
      call.outcome = record ? 'found' : 'missing';
      return record;
    };
    return this.#calls.run('record', read, callback, sid);
  }

  stats() {
    return {
      keyCache: this.#native.keyCacheStats(),
      sessions: this.#saves.counts,
      refreshes: this.#refreshes.counts,
      ...this.#foundation.stats(),
    };
  }

  /**
   * @param {any[]} callback
   * @returns {any}
   */
  close(...callback) {
    const close = async () => {
      await this.#foundation.close();
      this.#refreshes.close();
    };
    return this.#calls.make('close', close, callback);
  }

  /**
   * express-session asks for its session object here, with the very object that `get` gave.
   * @param {any} request
   * @param {any} loaded
   */
  createSession(request, loaded) {
    const session = this.#expressSessions.create(request, loaded);
    this.#known.link(loaded, session);
    return session;
  }

  /**
   * As express-session's Store has it.
   * @param {any} request
   * @param {(error?: any) => any} callback
   */
  regenerate(request, callback) {
    this.destroy(request.sessionID, (/** @type {unknown} */ error) => {
      /** @type {any} */ (this).generate(request);
      callback(error);
    });
  }

  /**
   * As express-session's Store has it.
   * @param {string} sid
   * @param {(error?: any, session?: any) => any} callback
   */
  load(sid, callback) {
    this.get(sid, (/** @type {unknown} */ error, /** @type {any} */ loaded) => {
      if (error) return callback(error);
      if (!loaded) return callback();
      let session;
      try {
        session = this.createSession({ sessionID: sid, sessionStore: this }, loaded);
      } catch (error) {
        return callback(error);
      }
      callback(null, session);
    });
  }

  /**
   * The id of a session that is given by its id or by an object; what cannot be asked has none.
   * @param {any} target
   */
  #idOf(target) {
    if (typeof target === 'string') return target;
    try {
      return this.#known.idOf(target);
    } catch {
      return undefined;
    }
  }

  /**
   * @param {string} operation
   * @param {string} sid
   * @param {import('./saves.js').Resolution} resolution
   */
  #conflict(operation, sid, resolution) {
    this.#foundation.channels.conflict(operation, sid, resolution);
    const session = this.#foundation.names.hash(sid);
    const short = session.slice(0, 8);
    const fields = { event: /** @type {const} */ ('conflict'), operation, session: short, resolution };
    this.#log.debug(`conflict in session ${short}: ${resolution}`, fields);
    nextTick(() => this.emit('conflict', { session, resolution }));
  }
}

exports.DynamoDBSessionStore = DynamoDBSessionStore;
