'use strict';

const { onAbort, reasonOf } = require('./abortable.js');
const { Backoff } = require('./backoff.js');
const { SessionStoreError, unwrap } = require('./errors.js');
const { clearTimeout, monotonic, setTimeout } = require('./real-time.js');

/**
 * The upper limits of the first wait and of any wait for another process's lease, in milliseconds.
 */
const FIRST_WAIT = 50;
const LONGEST_WAIT = 1000;

/** How many times a lease is renewed within its length: two renewals can fail before it ends. */
const RENEWALS = 3;

/** @typedef {import('./native-store.js').Native} Native */
/** @typedef {import('./patience.js').Patience} Patience */
/** @typedef {import('../index.js').LeaseMessage['event']} LeaseEvent */

/**
 * @typedef {object} Observer
 * @property {(operation: string, sid: string, event: LeaseEvent, code?: string) => void} tell is told what became of a lease.
 * @property {(request: Promise<unknown>) => void} count is told of requests that go on when their caller has gone.
 */

/**
 * How long to wait before the next try, in milliseconds: not longer than until the lease ends if
 * nobody renews it, with a random delay so that not all waiting processes ask at once.
 * @param {number} until epoch milliseconds.
 * @param {number} longest
 */
function restOf(until, longest) {
  return Math.max(Math.min(longest, until - Date.now() + Math.random() * FIRST_WAIT), 1);
}

function newOwner() {
  return require('node:crypto').randomUUID();
}

/** One owner's hold on the lease of a session. */
class Lease {
  #native;
  #observer;
  #operation;
  #sid;
  #length;
  #owner = newOwner();
  #task = new AbortController();
  #signal;
  /** @type {NodeJS.Timeout | undefined} */
  #end;
  /** When the lease ends if it is not renewed, by the monotonic clock. */
  #until = 0;
  /**
   * The timer of the next renewal, kept while that renewal is under way. `undefined` once the lease
   * is given up.
   * @type {NodeJS.Timeout | undefined}
   */
  #renewal;
  #isLost = false;
  /** @type {() => void} */
  #tellLost = () => {};
  /**
   * Resolves when the lease has ended before its task.
   * @type {Promise<void>}
   */
  lost = new Promise((resolve) => {
    this.#tellLost = resolve;
  });

  /**
   * @param {Native} native
   * @param {Observer} observer
   * @param {object} lease
   * @param {string} lease.operation whose it is, for the log.
   * @param {string} lease.sid
   * @param {number} lease.length in milliseconds.
   * @param {AbortSignal | undefined} lease.signal aborts the task's signal.
   */
  constructor(native, observer, { operation, sid, length, signal }) {
    this.#native = native;
    this.#observer = observer;
    this.#operation = operation;
    this.#sid = sid;
    this.#length = length;
    this.#signal = signal;
  }

  /**
   * Whether the lease is still ours, by a monotonic clock. Of a process that stood still, the timer
   * that says so may not have run yet.
   */
  get isHeld() {
    return !this.#task.signal.aborted && monotonic() < this.#until;
  }

  /**
   * Asks for the lease until it is had.
   * @param {Patience} patience
   */
  async take(patience) {
    const waits = new Backoff(FIRST_WAIT, LONGEST_WAIT);
    for (;;) {
      const until = await this.ask(patience);
      if (until === undefined) return;
      await patience.sleep(restOf(until, waits.next()));
    }
  }

  /**
   * Asks for the lease once.
   * @param {Patience} patience
   * @returns {Promise<number | undefined>} until when nobody can have it anew, in epoch milliseconds; `undefined` if it was
   *   granted.
   */
  async ask(patience) {
    const now = Date.now();
    const end = this.#endFromNow();
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
    if (!reply.held) {
      clearTimeout(this.#end);
      return reply.until ?? Number.POSITIVE_INFINITY;
    }
    // It is over before anything has run under it: the answer was late, or this process stood still.
    if (monotonic() >= end) {
      clearTimeout(this.#end);
      // The table takes a second request of an owner for a retry of the first.
      this.#owner = newOwner();
      return Date.now();
    }
    this.#until = end;
    this.#tell('acquired');
    return undefined;
  }

  /**
   * Runs the task, renews the lease meanwhile, and releases it.
   * @template T
   * @param {(signal: AbortSignal) => T | PromiseLike<T>} task
   */
  async during(task) {
    const abort = () => this.#task.abort(reasonOf(this.#signal));
    const ended = onAbort(this.#signal, abort);
    if (this.#signal?.aborted) abort();
    this.#renewLater();
    try {
      return await task(this.#task.signal);
    } finally {
      ended();
      clearTimeout(this.#renewal);
      clearTimeout(this.#end);
      this.#renewal = undefined;
      const reply = await this.#native.releaseLease(this.#sid, this.#owner);
      if (reply) this.#tell('notReleased', reply.code);
      else if (!this.#isLost) this.#tell('released');
    }
  }

  /** The lease ends as it would have without another renewal. */
  stopRenewing() {
    clearTimeout(this.#renewal);
    this.#renewal = undefined;
  }

  #endFromNow() {
    return monotonic() + this.#length;
  }

  /**
   * The end of the lease that is about to be requested, by a monotonic clock. It counts from before
   * the request, as in the table. Until the lease is granted, there is nothing to lose.
   */
  #timer() {
    return setTimeout(() => {
      if (this.#until > 0) this.#lose();
    }, this.#length);
  }

  #renewLater() {
    this.#renewal = setTimeout(() => this.#renew(), this.#length / RENEWALS);
  }

  async #renew() {
    const running = this.#renewal;
    const asked = Date.now();
    const until = this.#endFromNow();
    const end = this.#timer();
    const reply = await this.#native.renewLease(this.#sid, this.#owner, asked + this.#length).catch(() => undefined);
    if (typeof reply === 'object') this.#tell('notRenewed', reply.code);
    if (this.#renewal !== running) return clearTimeout(end); // the task, or the lease, has ended
    // The next renewal can still succeed. The lease keeps its end.
    clearTimeout(reply === true ? this.#end : end);
    if (reply === true) [this.#end, this.#until] = [end, until];
    if (reply === false) return this.#lose();
    return this.#renewLater();
  }

  #lose() {
    this.stopRenewing(); // no renewal may follow one that is under way: somebody else may hold the lease now
    clearTimeout(this.#end);
    this.#isLost = true;
    this.#tell('lost');
    this.#tellLost();
    const detail = 'the lease of the session ended before its task did: another process may run the same task now';
    this.#task.abort(new SessionStoreError({ code: 'ERR_LOCK_TIMEOUT', detail }));
  }

  /**
   * @param {LeaseEvent} event
   * @param {string} [code]
   */
  #tell(event, code) {
    this.#observer.tell(this.#operation, this.#sid, event, code);
  }
}

exports.FIRST_WAIT = FIRST_WAIT;
exports.LONGEST_WAIT = LONGEST_WAIT;
exports.Lease = Lease;
exports.restOf = restOf;
