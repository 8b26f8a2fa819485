'use strict';

const { EventEmitter } = require('node:events');
const { firstWithoutRecordVersion, holdsContent } = require('../binding.js');
const { readConfig } = require('./config.js');
const { SessionStoreError, failure, unwrap } = require('./errors.js');
const { ExpressSessions } = require('./express-session.js');
const { Failures } = require('./failures.js');
const { wantGuards } = require('./fastify-app.js');
const { InOrder } = require('./in-order.js');
const { KnownSessions } = require('./known-sessions.js');
const { LeaseEvents } = require('./lease-events.js');
const { Locks } = require('./locks.js');
const { NativeStore } = require('./native-store.js');
const { abortSignal, callOptions } = require('./options.js');
const { nextTick } = require('./real-time.js');
const { RevocationChecks } = require('./revocation-checks.js');
const { Saves } = require('./saves.js');
const { checkSid, hashOf, fingerprint } = require('./session-ids.js');
const { revive } = require('./session-json.js');

/** express-session's Store, where that package is found, so that a store is an instance of it. The store needs nothing of it: it may not be the application's copy. */
function baseClass() {
  try {
    return require('express-session').Store;
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return EventEmitter;
    throw error;
  }
}
const Base = baseClass();

/** Those that callers take out of the store and call on their own. */
const METHODS = [
  ...['get', 'set', 'touch', 'destroy', 'all', 'ids', 'length', 'clear', 'ping', 'record'],
  ...['update', 'withLock', 'stats', 'close'],
];

/** The log's line for ERR_HTTP_HEADERS_SENT out of a callback. */
const LATE_RESPONSE =
  'a request was answered twice (ERR_HTTP_HEADERS_SENT): an async handler or hook answered without returning the reply, while its session was being saved; ' +
  'see docs/migrating.md of connect-dynamodb-kms';

/** The log's line for a store that was made without recordVersion. */
const RECORD_VERSION =
  'recordVersion is not given, so records have version 1, the interchange format with plain implementations; set recordVersion to 2 for a table of this ' +
  'package alone, where it also withstands those who may write the table, or to 1 to keep version 1';

const GET_OPTIONS = { signal: abortSignal };

class DynamoDBSessionStore extends Base {
  #native;
  #logger;
  #known;
  #saves;
  #locks;
  #inOrder = new InOrder();
  #failures = new Failures((text) => this.#log('warn', text));
  #calls = { inFlight: 0 };
  /** Apart from other calls, or the tasks that wait for a lease would keep the one that has it from reading its session. */
  #tasks = { inFlight: 0 };
  #maxCallsInFlight;
  #onIntegrityFailure;
  #lookAtApplication;
  #closing = false;
  #leases = new LeaseEvents(this.#failures);
  #expressSessions = new ExpressSessions(super.createSession);
  #checks = new RevocationChecks(() => this.#native.keyCacheStats(), this.#failures);

  constructor(config = {}) {
    super();
    const { options, logger, lifetime, recentSessions, callsInFlight, ...rest } = readConfig(config);
    const { versionGiven, exactRevisions, guardReplies, onIntegrityFailure } = rest;
    this.#native = new NativeStore(options);
    this.#logger = logger;
    if (!versionGiven && firstWithoutRecordVersion()) this.#log('warn', RECORD_VERSION);
    this.#known = new KnownSessions(recentSessions, exactRevisions);
    this.#saves = new Saves({
      native: this.#native,
      known: this.#known,
      inOrder: this.#inOrder,
      lifetime,
      conflict: (sid, resolution) => this.#conflict(sid, resolution),
    });
    this.#maxCallsInFlight = callsInFlight;
    this.#onIntegrityFailure = onIntegrityFailure;
    this.#lookAtApplication = guardReplies ? wantGuards((text) => this.#log('warn', text)) : () => {};
    this.#locks = new Locks(this.#native, {
      tell: (...event) => this.#leases.tell(...event),
      count: (request) => {
        this.#tasks.inFlight++;
        request.finally(() => this.#tasks.inFlight--);
      },
    });
    for (const name of METHODS) {
      Object.defineProperty(this, name, { value: this[name].bind(this), writable: true, configurable: true });
    }
    // express-session's middleware assigns it.
    Object.defineProperty(this, 'generate', {
      get: () => this.#expressSessions.generate,
      set: (generate) => {
        this.#expressSessions.generate = generate;
      },
      configurable: true,
    });
  }

  get(sid, ...rest) {
    const read = async () => {
      const session = await this.#read(checkSid(sid), Date.now());
      if (session) this.#known.equip(session);
      return session;
    };
    const [options] = rest;
    if (options === null || typeof options !== 'object') return this.#run('get', read, this.#copied(rest), sid);
    return this.#deliver('get', this.#getUnlessAborted(sid, read, options), this.#copied(rest.slice(1)));
  }

  /** A callback (in `callbacks`) of a framework that may copy the session that it is given. */
  #copied(callbacks) {
    const [callback] = callbacks;
    if (typeof callback !== 'function') return callbacks;
    return [(...given) => this.#known.answered(given[1], () => callback(...given))];
  }

  async #getUnlessAborted(sid, read, options) {
    let signal;
    const reading = this.#run(
      'get',
      () => {
        ({ signal } = callOptions('get', options, GET_OPTIONS));
        return signal?.aborted ? undefined : read();
      },
      [],
      sid,
    );
    if (!signal) return reading;
    if (signal.aborted) throw signal.reason;
    const { abortable } = require('./abortable.js');
    return abortable(signal, reading);
  }

  set(sid, session, ...callback) {
    this.#lookAtApplication(session);
    return this.#save('set', sid, session, callback);
  }

  touch(sid, session, ...callback) {
    return this.#save('touch', sid, session, callback);
  }

  destroy(sid, ...callbacks) {
    const [callback] = callbacks;
    const answer = (...given) => this.#known.destroyed(sid, () => callback(...given));
    const answers = typeof callback === 'function' ? [answer] : callbacks;
    return this.#run('destroy', async () => this.#saves.remove(checkSid(sid)), answers, sid);
  }

  all(...callback) {
    return this.#run(
      'all',
      async () => {
        const now = Date.now();
        const sessions = [];
        for (const found of unwrap(await this.#native.all(now))) {
          const session = revive(found, now);
          if (session) sessions.push(Object.assign(session, { id: found.id }));
        }
        return sessions;
      },
      callback,
    );
  }

  ids(...callback) {
    return this.#run('ids', async () => unwrap(await this.#native.ids(Date.now())), callback);
  }

  length(...callback) {
    return this.#run('length', async () => unwrap(await this.#native.length(Date.now())), callback);
  }

  clear(...callback) {
    return this.#run(
      'clear',
      async () => {
        unwrap(await this.#native.clear());
        this.#known.clear();
      },
      callback,
    );
  }

  update(target, mutate, ...rest) {
    const { updateSession } = require('./update.js');
    const [options, callback] = typeof rest[0] === 'function' ? [undefined, rest] : [rest[0], rest.slice(1)];
    const sid = this.#idOf(target);
    return this.#run(
      'update',
      async () =>
        updateSession(
          {
            known: this.#known,
            read: () => this.#find(sid, Date.now()),
            write: (session, json, known, keepEnd) => this.#saves.rewrite(sid, session, json, known, keepEnd),
            holds: async (mark, json) => unwrap(await holdsContent(mark, json)),
          },
          { sid: checkSid(sid), held: typeof target === 'string' ? undefined : target, mutate, options },
        ),
      callback,
      sid,
    );
  }

  withLock(target, task, ...rest) {
    const [options, callback] = typeof rest[0] === 'function' ? [undefined, rest] : [rest[0], rest.slice(1)];
    const sid = this.#idOf(target);
    return this.#run('withLock', async () => this.#locks.run(checkSid(sid), task, options), callback, sid, this.#tasks);
  }

  ping(...callback) {
    return this.#run('ping', async () => void unwrap(await this.#native.ping()), callback);
  }

  record(sid, ...callback) {
    const read = async () => {
      const waited = await this.#inOrder.before(checkSid(sid));
      return unwrap(await this.#native.record(sid, waited));
    };
    return this.#run('record', read, callback, sid);
  }

  stats() {
    return {
      keyCache: this.#native.keyCacheStats(),
      sessions: this.#saves.counts,
      leases: this.#leases.counts,
      requests: this.#native.requestStats(),
      errors: this.#failures.counts,
      callsInFlight: this.#calls.inFlight,
      tasksInFlight: this.#tasks.inFlight,
    };
  }

  close(...callback) {
    this.#closing = true;
    this.#native.beginClose();
    const close = async () => {
      await this.#inOrder.ended();
      unwrap(await this.#native.close());
      await this.#native.answered();
    };
    return this.#answer('close', close(), callback);
  }

  /** express-session asks for its session object here, with the very object that `get` gave. */
  createSession(request, loaded) {
    const session = this.#expressSessions.create(request, loaded);
    this.#known.link(loaded, session);
    return session;
  }

  /** As express-session's Store has them. */
  regenerate(request, callback) {
    this.destroy(request.sessionID, (error) => {
      this.generate(request);
      callback(error);
    });
  }

  load(sid, callback) {
    this.get(sid, (error, loaded) => {
      if (error) return callback(error);
      if (!loaded) return callback();
      callback(null, this.createSession({ sessionID: sid, sessionStore: this }, loaded));
    });
  }

  /** The id of a session that is given by its id or by an object; what cannot be asked has none. */
  #idOf(target) {
    if (typeof target === 'string') return target;
    try {
      return this.#known.idOf(target);
    } catch {
      return undefined;
    }
  }

  async #read(sid, now) {
    return (await this.#find(sid, now))?.session ?? null;
  }

  /**
   * The session as it lies in the table once this process's earlier writes of it have ended, known from now on; and what makes the same session anew. `null` if
   * there is none.
   */
  async #find(sid, now) {
    const earlier = this.#inOrder.before(sid);
    const waited = earlier && (await earlier);
    const found = await this.#intact(sid, await this.#native.get(sid, now, waited));
    const again = () => revive(found, now);
    const session = found?.json === undefined ? null : again();
    if (session) {
      this.#known.keep(sid, session, found.mark, found.ttl);
      return { session, again };
    }
    if (found) this.#log('debug', `get${fingerprint(sid)}: it has expired`);
    this.#known.missing(sid);
    return null;
  }

  /** What the native side read; a record that fails its integrity check may count as none. */
  async #intact(sid, reply) {
    try {
      return unwrap(reply);
    } catch (error) {
      if (error.code !== 'ERR_INTEGRITY' || this.#onIntegrityFailure === 'error') throw error;
      this.#report('get, answered as of no session,', sid, error);
      if (this.#onIntegrityFailure === 'destroy') unwrap(await this.#native.destroyUnreadable(sid));
      return null;
    }
  }

  /** Saves or touches a session. What need not wait is not waited for: frameworks and the guards behind them rest on answers at once. */
  #save(operation, sid, session, callbacks) {
    let save;
    try {
      save = this.#saves.prepare(operation, sid, session);
    } catch (error) {
      return this.#run(operation, () => Promise.reject(error), callbacks, sid);
    }
    const [callback] = callbacks;
    if (typeof callback === 'function' && !this.#closing) {
      const outlook = this.#saves.outlook(save);
      if (outlook !== 'write' && outlook !== 'shorten') {
        if (outlook === 'extend') this.#moveEnd(save);
        else this.#saves.count(outlook === 'gone' ? 'gone' : 'unchanged');
        this.#call(callback, null, undefined);
        return undefined;
      }
    }
    const replaced = typeof callback === 'function' && operation === 'set' ? this.#saves.replaced(save) : undefined;
    const answer = (error) => {
      callback(error, undefined);
      if (!error && replaced.isReplaced()) this.#endReplaced(replaced.sid);
    };
    return this.#run(operation, () => this.#saves.send(save), replaced ? [answer] : callbacks, sid);
  }

  /** Removes the session from before a login, when the framework has put another in its place. */
  #endReplaced(sid) {
    const removal = this.#counted(this.#calls, () => this.#saves.remove(sid));
    return removal.catch((error) => this.#report('destroy of a replaced session', sid, error));
  }

  /** Moves the end of a session whose caller was answered already; not while AWS does not keep up, since the next request moves it as well. */
  #moveEnd(save) {
    if (this.#calls.inFlight >= this.#maxCallsInFlight) return this.#saves.count('unchanged');
    const move = this.#counted(this.#calls, () => this.#saves.moveEnd(save));
    return move.catch((error) => this.#report('touch after an answer', save.sid, error));
  }

  #conflict(sid, resolution) {
    const session = hashOf(sid);
    this.#log('debug', `conflict in session ${session.slice(0, 8)}: ${resolution}`);
    nextTick(() => this.emit('conflict', { session, resolution }));
  }

  #log(level, text) {
    try {
      this.#logger[level](`connect-dynamodb-kms: ${text}`);
    } catch {
      // A logger that fails changes nothing of what the caller gets.
    }
  }

  #run(operation, work, callbacks, sid, kind = this.#calls) {
    const open = async () => {
      if (this.#closing) throw failure('ERR_CLOSED', 'the session store is closed; make a new one');
      if (kind.inFlight >= this.#maxCallsInFlight) throw this.#overloaded();
      return this.#counted(kind, work);
    };
    return this.#answer(operation, open(), callbacks, sid);
  }

  async #counted(kind, work) {
    kind.inFlight++;
    try {
      return await work();
    } finally {
      kind.inFlight--;
      this.#checks.look();
    }
  }

  #overloaded() {
    const detail =
      `${this.#maxCallsInFlight} calls are waiting for an answer, as many as maxCallsInFlight allows; try again later, ` +
      'and look for what keeps DynamoDB or KMS from answering';
    return new SessionStoreError({ code: 'ERR_OVERLOADED', detail });
  }

  #answer(operation, result, callbacks, sid) {
    const promise = result.catch((error) => {
      this.#report(operation, sid, error);
      throw error;
    });
    return this.#deliver(operation, promise, callbacks);
  }

  /** Counts and logs a failure. */
  #report(operation, sid, error) {
    const ours = error instanceof SessionStoreError;
    if (ours) this.#failures.count(error.code);
    this.#failures.log(`${operation} ${ours ? error.code : ''}`, () => {
      // Another error is the caller's own: what it says is not ours to tell.
      const what = ours ? `${error.code}: ${error.detail}` : 'the function that it was given failed, or the signal gave up';
      return `${operation}${fingerprint(sid)} failed: ${what}`;
    });
  }

  /** Answers a caller with a callback (in `callbacks`), which runs from a clean stack, or with a promise. */
  #deliver(operation, promise, callbacks) {
    const [callback] = callbacks;
    if (typeof callback === 'function') {
      promise.then(
        (value) => nextTick(() => this.#call(callback, null, value)),
        // What was thrown may be nothing at all; a callback must see that something was.
        (error) =>
          nextTick(() =>
            this.#call(callback, error ?? failure('ERR_CONFIG', `the function given to ${operation} threw ${error}`)),
          ),
      );
      return undefined;
    }
    // Some callers look at no promise, as express-session that calls destroy(sid, undefined): the log has the failure, the process goes on.
    promise.catch(() => {});
    return promise;
  }

  /**
   * Calls a callback. What it throws is its own, and never makes it run twice: it goes on to whoever is above. But the framework's error that the headers have
   * left says that a response was sent while the session was being saved, and is nobody's to catch: the process lives.
   */
  #call(callback, ...answer) {
    try {
      callback(...answer);
    } catch (error) {
      if (error?.code !== 'ERR_HTTP_HEADERS_SENT') throw error;
      this.#failures.log('late response', () => LATE_RESPONSE);
    }
  }
}

module.exports = { DynamoDBSessionStore };
