'use strict';

const { EventEmitter } = require('node:events');
const { holdsContent } = require('../binding.js');
const { Checks } = require('./checks.js');
const { readConfig } = require('./config.js');
const { SessionStoreError, failure, unwrap } = require('./errors.js');
const { Failures } = require('./failures.js');
const { wantGuards } = require('./fastify-app.js');
const { InOrder } = require('./in-order.js');
const { KnownSessions } = require('./known-sessions.js');
const { LeaseEvents } = require('./lease-events.js');
const { Locks } = require('./locks.js');
const { NativeStore } = require('./native-store.js');
const { abortSignal, callOptions } = require('./options.js');
const { checkSid, hashOf, fingerprint, serialize, cookieExpires, revive } = require('./session.js');

/** express-session's Store has what its middleware calls beside get and set; without that package nobody asks for it. */
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

const GET_OPTIONS = { signal: abortSignal };

/** What the native side compares a session with. */
function baseline(known) {
  return known && { mark: known.mark ?? undefined, attempts: known.attempts, untouched: known.untouched, ends: known.ends };
}

class DynamoDBSessionStore extends Base {
  #native;
  #logger;
  #lifetime;
  #known;
  #locks;
  #inOrder = new InOrder();
  #failures = new Failures((text) => this.#log('warn', text));
  #calls = { inFlight: 0 };
  /** Apart from other calls, or the tasks that wait for a lease would keep the one that has it from reading its session. */
  #tasks = { inFlight: 0 };
  #maxCallsInFlight;
  #lookAtApplication;
  #closing = false;
  #counts = { written: 0, extended: 0, unchanged: 0, gone: 0, conflicts: 0 };
  #leases = new LeaseEvents(this.#failures);
  #checks = new Checks(() => this.#native.keyCacheStats(), this.#failures);

  constructor(config = {}) {
    super();
    const { options, logger, lifetime, recentSessions, callsInFlight, exactRevisions, guardReplies } = readConfig(config);
    this.#native = new NativeStore(options);
    this.#logger = logger;
    this.#lifetime = lifetime;
    this.#known = new KnownSessions(recentSessions, exactRevisions);
    this.#maxCallsInFlight = callsInFlight;
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
  }

  get(sid, ...rest) {
    const read = async () => {
      const session = await this.#read(checkSid(sid), Date.now());
      if (session) this.#known.equip(session);
      return session;
    };
    const [options] = rest;
    if (options === null || typeof options !== 'object') return this.#run('get', read, rest, sid);
    return this.#deliver('get', this.#getUnlessAborted(sid, read, options), rest.slice(1));
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
    signal.throwIfAborted();
    const { abortable } = require('./abortable.js');
    return abortable(signal, reading);
  }

  set(sid, session, ...callback) {
    this.#lookAtApplication(session);
    return this.#run(
      'set',
      async () => {
        checkSid(sid);
        const json = serialize(session);
        const [now, seconds, expires] = [Date.now(), this.#ttlSeconds(session), cookieExpires(session)];
        const earlier = this.#known.of(sid, session);
        await this.#inOrder.run(sid, async (waited) => {
          const known = this.#known.of(sid, session, earlier);
          const reply = await this.#native.set(sid, json, now, seconds, expires, baseline(known), waited);
          this.#settle(sid, session, known, reply, expires);
        });
      },
      callback,
      sid,
    );
  }

  touch(sid, session, ...callback) {
    return this.#run(
      'touch',
      async () => {
        checkSid(sid);
        const [now, seconds, expires] = [Date.now(), this.#ttlSeconds(session), cookieExpires(session)];
        await this.#inOrder.run(sid, async (waited) => {
          const known = this.#known.of(sid, session);
          const reply = await this.#native.touch(sid, now, seconds, expires, baseline(known), waited);
          this.#settle(sid, session, known, reply, expires);
        });
      },
      callback,
      sid,
    );
  }

  destroy(sid, ...callback) {
    return this.#run(
      'destroy',
      async () => {
        checkSid(sid);
        await this.#inOrder.run(sid, async (waited) => {
          unwrap(await this.#native.destroy(sid, waited));
          this.#known.gone(sid);
        });
      },
      callback,
      sid,
    );
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
            read: () => this.#read(sid, Date.now()),
            write: (session, json, known, keepEnd) => this.#rewrite(sid, session, json, known, keepEnd),
            holds: holdsContent,
          },
          { sid: checkSid(sid), held: typeof target === 'string' ? undefined : target, mutate, options },
        ),
      callback,
      sid,
    );
  }

  withLock(sid, task, ...rest) {
    const [options, callback] = typeof rest[0] === 'function' ? [undefined, rest] : [rest[0], rest.slice(1)];
    return this.#run('withLock', async () => this.#locks.run(checkSid(sid), task, options), callback, sid, this.#tasks);
  }

  ping(...callback) {
    return this.#run('ping', async () => void unwrap(await this.#native.ping()), callback);
  }

  record(sid, ...callback) {
    return this.#run('record', async () => unwrap(await this.#native.record(checkSid(sid))), callback, sid);
  }

  stats() {
    return {
      keyCache: this.#native.keyCacheStats(),
      sessions: { ...this.#counts },
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
    const session = super.createSession(request, loaded);
    this.#known.link(loaded, session);
    return session;
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

  /** The session as it lies in the table, known from now on, or `null`. */
  async #read(sid, now) {
    const found = unwrap(await this.#native.get(sid, now));
    const session = found?.json === undefined ? null : revive(found, now);
    if (session) {
      this.#known.keep(sid, session, found.mark, found.ttl);
    } else {
      if (found) this.#log('debug', `get${fingerprint(sid)}: it has expired`);
      this.#known.missing(sid);
    }
    return session;
  }

  /** Writes what `update` made of a session, unless somebody else has written it since; gives what became of it. */
  async #rewrite(sid, session, json, known, keepEnd) {
    const [now, seconds] = [Date.now(), keepEnd ? undefined : this.#ttlSeconds(session)];
    const strictly = { ...baseline(known), keepEnd, strict: true };
    return this.#inOrder.run(sid, async (waited) => {
      const reply = unwrap(await this.#native.set(sid, json, now, seconds, cookieExpires(session), strictly, waited));
      this.#counts[reply.outcome]++;
      return reply;
    });
  }

  /** Learns from what became of a session that was saved or touched when its cookie ended at `expires`. */
  #settle(sid, session, known, reply, expires) {
    let saved;
    try {
      saved = unwrap(reply);
    } catch (error) {
      if (error.code === 'ERR_CONFLICT') this.#conflict(sid, 'refused');
      if (known?.mark && reply.attempt !== undefined) this.#known.attempted(sid, session, known, reply.attempt);
      throw error;
    }
    const { outcome, mark, ttl, conflict } = saved;
    if (outcome === 'dropped') return this.#conflict(sid, 'dropped');
    this.#counts[outcome]++;
    if (conflict) this.#conflict(sid, 'overwritten');
    if (outcome === 'gone') return this.#known.gone(sid, session);
    if (outcome === 'written' && mark !== undefined) return this.#known.keep(sid, session, mark, ttl, expires);
    // An object is linked to what it was read from, and not to a later revision.
    if (outcome === 'extended' && known?.ends !== undefined) return this.#known.moved(sid, session, known, mark, ttl);
    return undefined;
  }

  #conflict(sid, resolution) {
    this.#counts.conflicts++;
    const session = hashOf(sid);
    this.#log('debug', `conflict in session ${session.slice(0, 8)}: ${resolution}`);
    process.nextTick(() => this.emit('conflict', { session, resolution }));
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
      kind.inFlight++;
      try {
        return await work();
      } finally {
        kind.inFlight--;
        this.#checks.look();
      }
    };
    return this.#answer(operation, open(), callbacks, sid);
  }

  #overloaded() {
    const message =
      `${this.#maxCallsInFlight} calls are waiting for an answer, as many as maxCallsInFlight allows; try again later, ` +
      'and look for what keeps DynamoDB or KMS from answering';
    return new SessionStoreError({ code: 'ERR_OVERLOADED', message, retryable: true });
  }

  #answer(operation, result, callbacks, sid) {
    const promise = result.catch((error) => {
      const ours = error instanceof SessionStoreError;
      if (ours) this.#failures.count(error.code);
      this.#failures.log(`${operation} ${ours ? error.code : ''}`, () => {
        // Another error is the caller's own: what it says is not ours to tell.
        const what = ours ? `${error.code}: ${error.message}` : 'the function that it was given failed, or the signal gave up';
        return `${operation}${fingerprint(sid)} failed: ${what}`;
      });
      throw error;
    });
    return this.#deliver(operation, promise, callbacks);
  }

  /**
   * Answers a caller with a callback (in `callbacks`) or with a promise. A callback runs from a clean stack: what it throws is its own, an
   * uncaughtException, and never makes it run twice.
   */
  #deliver(operation, promise, callbacks) {
    const [callback] = callbacks;
    if (typeof callback === 'function') {
      promise.then(
        (value) => process.nextTick(callback, null, value),
        // What was thrown may be nothing at all; a callback must see that something was.
        (error) =>
          process.nextTick(callback, error ?? failure('ERR_CONFIG', `the function given to ${operation} threw ${error}`)),
      );
      return undefined;
    }
    // express-session calls destroy(sid, undefined) and looks at no promise: the log has the failure, the process goes on.
    if (callbacks.length > 0) promise.catch(() => {});
    return promise;
  }
}

// Without express-session there is nothing to make a session of.
if (Base === EventEmitter) delete DynamoDBSessionStore.prototype.createSession;

module.exports = { DynamoDBSessionStore };
