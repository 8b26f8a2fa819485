'use strict';

const { Backoff } = require('./backoff.js');
const { failure, SessionStoreError, unwrap } = require('./errors.js');
const { abortSignal, callOptions, seconds } = require('./options.js');
const { clearTimeout, setTimeout } = require('./real-time.js');

/**
 * The upper limits of the first wait and of any wait for another process's lease, in milliseconds.
 */
const FIRST_WAIT = 50;
const LONGEST_WAIT = 1000;

/** How many times a lease is renewed within its length: two renewals can fail before it ends. */
const RENEWALS = 3;

const OPTIONS = {
  leaseSeconds: seconds(10, 1),
  waitSeconds: seconds(10, 0),
  signal: abortSignal,
};

/** @typedef {import('./native-store.js').Native} Native */
/** @typedef {'lost' | 'notRenewed' | 'notReleased'} LeaseEvent */

/**
 * @typedef {object} Observer
 * @property {(sid: string, event: LeaseEvent, code?: string) => void} tell is told what became of a lease.
 * @property {(request: Promise<unknown>) => void} count is told of requests that go on when their caller has gone.
 */

/** Tasks that run under a session's lease, one at a time across all processes on the table. */
class Locks {
  #native;
  #observer;
  /**
   * From a session id to a promise that resolves when this process's last task for that session no
   * longer needs the lease.
   * @type {Map<string, Promise<void>>}
   */
  #turns = new Map();

  /**
   * `observer` is told what no caller learns.
   * @param {Native} native
   * @param {Observer} observer
   */
  constructor(native, observer) {
    this.#native = native;
    this.#observer = observer;
  }

  /**
   * Runs `task` under the lease of a session, and returns its result.
   * @template T
   * @param {string} sid
   * @param {(signal: AbortSignal) => T | PromiseLike<T>} task
   * @param {object} [options]
   * @returns {Promise<T>}
   */
  async run(sid, task, options) {
    if (typeof task !== 'function') throw failure('ERR_CONFIG', 'withLock takes a function to run under the lease');
    const { leaseSeconds, waitSeconds, signal } = callOptions('withLock', options, OPTIONS);
    const patience = new Patience(waitSeconds, signal);
    try {
      // Tasks queue within this process, so that only one of them asks the table.
      const done = await this.#turn(sid, patience);
      try {
        const lease = new Lease(this.#native, this.#observer, sid, leaseSeconds * 1000, signal);
        await lease.take(patience);
        patience.end();
        return await lease.during(task);
      } finally {
        done();
      }
    } finally {
      patience.end();
    }
  }

  /**
   * @param {string} sid
   * @param {Patience} patience
   */
  async #turn(sid, patience) {
    const before = this.#turns.get(sid) ?? Promise.resolve();
    /** @type {() => void} */
    let done = () => {};
    /** @type {Promise<void>} */
    const mine = new Promise((resolve) => {
      done = resolve;
    });
    const all = before.then(() => mine);
    this.#turns.set(sid, all);
    all.then(() => {
      if (this.#turns.get(sid) === all) this.#turns.delete(sid);
    });
    try {
      await patience.wait(before);
    } catch (error) {
      done();
      throw error;
    }
    return done;
  }
}

/** How long a caller waits for a lease: until a deadline, or until its signal aborts. */
class Patience {
  #late = rejectable();
  #aborted = rejectable();
  #timer;
  #signal;
  #abort;

  /**
   * @param {number} waitSeconds
   * @param {AbortSignal | undefined} signal
   */
  constructor(waitSeconds, signal) {
    const detail = `the lease of the session was not to be had within ${waitSeconds} seconds; try again, or wait longer with waitSeconds`;
    const late = new SessionStoreError({ code: 'ERR_LOCK_TIMEOUT', detail });
    this.#timer = setTimeout(() => this.#late.reject(late), waitSeconds * 1000);
    this.#signal = signal;
    this.#abort = () => this.#aborted.reject(signal?.reason);
    if (signal?.aborted) this.#abort();
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  /**
   * The result of `promise`. Rejects if the deadline passes or the signal aborts first.
   * @template T
   * @param {Promise<T>} promise
   */
  wait(promise) {
    return Promise.race([this.#aborted.promise, this.#late.promise, promise]);
  }

  /**
   * The table's answer, which is awaited even past the deadline. Rejects if the signal aborts
   * first.
   * @template T
   * @param {Promise<T>} promise
   */
  answer(promise) {
    return Promise.race([this.#aborted.promise, promise]);
  }

  /**
   * Waits that long, or until the deadline passes or the signal aborts.
   * @param {number} milliseconds
   */
  async sleep(milliseconds) {
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    try {
      await this.wait(
        new Promise((resolve) => {
          timer = setTimeout(resolve, milliseconds);
        }),
      );
    } finally {
      clearTimeout(timer);
    }
  }

  end() {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#abort);
  }
}

/** A promise that need not be handled, and the function that rejects it. */
function rejectable() {
  /** @type {(reason: unknown) => void} */
  let reject = () => {};
  /** @type {Promise<never>} */
  const promise = new Promise((_, fail) => {
    reject = fail;
  });
  promise.catch(() => {});
  return { promise, reject };
}

/** One owner's hold on the lease of a session. */
class Lease {
  #native;
  #observer;
  #sid;
  #length;
  #owner = require('node:crypto').randomUUID();
  #task = new AbortController();
  #signal;
  /** @type {NodeJS.Timeout | undefined} */
  #end;
  /**
   * The timer of the next renewal, kept while that renewal is under way. `undefined` once the lease
   * is given up.
   * @type {NodeJS.Timeout | undefined}
   */
  #renewal;

  /**
   * @param {Native} native
   * @param {Observer} observer
   * @param {string} sid
   * @param {number} length in milliseconds.
   * @param {AbortSignal | undefined} signal
   */
  constructor(native, observer, sid, length, signal) {
    this.#native = native;
    this.#observer = observer;
    this.#sid = sid;
    this.#length = length;
    this.#signal = signal;
  }

  /** @param {Patience} patience */
  async take(patience) {
    const waits = new Backoff(FIRST_WAIT, LONGEST_WAIT);
    for (;;) {
      const now = Date.now();
      this.#end = this.#timer();
      const asked = this.#native.takeLease(this.#sid, this.#owner, now, now + this.#length);
      let reply;
      try {
        reply = unwrap(await patience.answer(asked));
      } catch (error) {
        clearTimeout(this.#end);
        // The lease may have been granted after the caller gave up.
        const release = asked.then(() => this.#native.releaseLease(this.#sid, this.#owner)).catch(() => {});
        this.#observer.count(release);
        throw error;
      }
      if (reply.held) return;
      clearTimeout(this.#end);
      // Wake up when the lease ends if nobody renews it, with a random delay so that not all
      // waiting processes ask at once.
      const rest = (reply.until ?? Number.POSITIVE_INFINITY) - Date.now() + Math.random() * FIRST_WAIT;
      await patience.sleep(Math.max(Math.min(waits.next(), rest), 1));
    }
  }

  /**
   * Runs the task, renews the lease meanwhile, and releases it.
   * @template T
   * @param {(signal: AbortSignal) => T | PromiseLike<T>} task
   */
  async during(task) {
    const abort = () => this.#task.abort(this.#signal?.reason);
    this.#signal?.addEventListener('abort', abort, { once: true });
    if (this.#signal?.aborted) abort();
    this.#renewLater();
    try {
      return await task(this.#task.signal);
    } finally {
      this.#signal?.removeEventListener('abort', abort);
      clearTimeout(this.#renewal);
      clearTimeout(this.#end);
      this.#renewal = undefined;
      const reply = await this.#native.releaseLease(this.#sid, this.#owner);
      if (reply) this.#tell('notReleased', reply.code);
    }
  }

  /**
   * The end of the lease that is about to be requested, by a monotonic clock. It counts from before
   * the request, as in the table.
   */
  #timer() {
    return setTimeout(() => this.#lose(), this.#length);
  }

  #renewLater() {
    this.#renewal = setTimeout(() => this.#renew(), this.#length / RENEWALS);
  }

  async #renew() {
    const running = this.#renewal;
    const asked = Date.now();
    const end = this.#timer();
    const reply = await this.#native.renewLease(this.#sid, this.#owner, asked + this.#length).catch(() => undefined);
    if (typeof reply === 'object') this.#tell('notRenewed', reply.code);
    if (this.#renewal !== running) return clearTimeout(end); // the task, or the lease, has ended
    // The next renewal can still succeed. The lease keeps its end.
    clearTimeout(reply === true ? this.#end : end);
    if (reply === true) this.#end = end;
    if (reply === false) return this.#lose();
    return this.#renewLater();
  }

  #lose() {
    clearTimeout(this.#renewal);
    clearTimeout(this.#end);
    this.#renewal = undefined; // no renewal may follow one that is under way: somebody else may hold the lease now
    this.#tell('lost');
    const detail = 'the lease of the session ended before its task did: another process may run the same task now';
    this.#task.abort(new SessionStoreError({ code: 'ERR_LOCK_TIMEOUT', detail }));
  }

  /**
   * @param {LeaseEvent} event
   * @param {string} [code]
   */
  #tell(event, code) {
    this.#observer.tell(this.#sid, event, code);
  }
}

exports.Locks = Locks;
