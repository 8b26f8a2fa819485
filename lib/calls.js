'use strict';

const { Call } = require('./call.js');
const { beginCall, endCall, failCall, finishCall } = require('./channels.js');
const { SessionStoreError, failure, refusalOf } = require('./errors.js');
const { Latencies } = require('./latencies.js');
const { monotonic, nextTick } = require('./real-time.js');

/** The log's line for ERR_HTTP_HEADERS_SENT out of a callback. */
const LATE_RESPONSE =
  'a request was answered twice (ERR_HTTP_HEADERS_SENT): an async handler or hook answered without returning the reply, while its session was being saved; ' +
  'see docs/migrating.md of connect-dynamodb-kms';

/**
 * What a log line has of an error, beside its text.
 * @param {SessionStoreError} error
 */
function fieldsOf(error) {
  const { code, retryAfterMillis } = error;
  const requestId = refusalOf(error)?.requestId;
  return {
    code,
    ...(requestId !== undefined && { requestId }),
    ...(retryAfterMillis !== undefined && { retryAfterMillis }),
  };
}

/**
 * What every call of a store or an envelope runs through: it is refused if that is closed or
 * overloaded, counted while it runs, answered by a callback or a promise, reported if it fails, and
 * published to those who trace calls.
 *
 * Calls of `withLock` (`task`) are counted apart from the others (`call`). Otherwise the tasks that
 * wait for a lease could keep its holder from reading its session.
 * @typedef {'call' | 'task'} Kind
 */
class Calls {
  #names;
  #channels;
  #limit;
  #failures;
  #onEnd;
  #latencies = new Latencies();
  #closed = false;
  /** @type {Record<Kind, number>} */
  #inFlight = { call: 0, task: 0 };

  /**
   * @param {object} parts
   * @param {import('./session-ids.js').Names} parts.names for the log.
   * @param {import('./channels.js').Channels} parts.channels
   * @param {number} parts.limit how many calls of a kind may be in flight.
   * @param {import('./failures.js').Failures} parts.failures counts and logs those that fail.
   * @param {() => void} parts.onEnd is called after each call.
   */
  constructor({ names, channels, limit, failures, onEnd }) {
    this.#names = names;
    this.#channels = channels;
    this.#limit = limit;
    this.#failures = failures;
    this.#onEnd = onEnd;
  }

  get isClosed() {
    return this.#closed;
  }

  get isFull() {
    return this.#inFlight.call >= this.#limit;
  }

  /** How many calls of each kind are in flight. */
  get inFlight() {
    return { ...this.#inFlight };
  }

  /** The calls that have ended, for `stats()`. */
  get ended() {
    return this.#latencies.counts;
  }

  /** Refuses every call from now on. */
  close() {
    this.#closed = true;
  }

  /**
   * Runs a call.
   * @template T
   * @param {string} operation the name of the method, for the log.
   * @param {(call: Call) => Promise<T>} work
   * @param {unknown[]} callbacks the caller's callback first, if it gave one.
   * @param {unknown} [sid] the session that it is about, for the log.
   * @param {Kind} [kind]
   * @returns {Promise<T> | undefined} a promise if the caller gave no callback.
   */
  run(operation, work, callbacks, sid, kind) {
    return this.make(operation, (call) => this.admit(() => work(call), kind), callbacks, sid);
  }

  /**
   * Makes a call of work that admits itself.
   * @template T
   * @param {string} operation
   * @param {(call: Call) => Promise<T> | undefined} begin gives `undefined` if its caller need not
   *   wait, which is for calls with a callback.
   * @param {unknown[]} callbacks
   * @param {unknown} [sid]
   * @returns {Promise<T> | undefined} a promise if the caller gave no callback.
   */
  make(operation, begin, [callback], sid) {
    const call = new Call(operation, callback, this.#channels.call(operation, sid));
    const { message } = call;
    const result = message ? beginCall(message, () => begin(call)) : begin(call);
    if (!result) {
      this.#done(call);
      this.#answer(call, null, undefined);
      return undefined;
    }
    if (call.callback) {
      result.then(
        (value) => {
          this.#done(call);
          nextTick(() => this.#answer(call, null, value));
        },
        (error) => {
          this.#failed(call, sid, error);
          // Somebody may have thrown `undefined` or `''`; the callback must still get an error.
          const thrown = () => `the function given to ${operation} threw ${error === '' ? "''" : error}`;
          nextTick(() => this.#answer(call, error || failure('ERR_CONFIG', thrown())));
        },
      );
      return undefined;
    }
    const promise = result.then(
      (value) => {
        this.#done(call);
        this.#answer(call);
        return value;
      },
      (error) => {
        this.#failed(call, sid, error);
        this.#answer(call);
        throw error;
      },
    );
    // Some callers ignore the promise, such as express-session's destroy(sid, undefined). The
    // failure is logged, and the process continues.
    promise.catch(() => {});
    return promise;
  }

  /**
   * Runs the work of a call, unless the store is closed or overloaded.
   * @template T
   * @param {() => Promise<T>} work
   * @param {Kind} [kind]
   * @returns {Promise<T>}
   */
  async admit(work, kind = 'call') {
    if (this.#closed) throw failure('ERR_CLOSED', `the ${this.#names.what ? 'store' : 'envelope'} is closed; make a new one`);
    if (this.#inFlight[kind] >= this.#limit) throw this.#overloaded();
    return this.#counted(work, kind);
  }

  /**
   * Runs work that no caller waits for. Its failure is only reported.
   * @param {string} operation
   * @param {string} what as in `report`.
   * @param {string} sid
   * @param {() => Promise<unknown>} work
   */
  runInBackground(operation, what, sid, work) {
    this.#counted(work, 'call').catch((error) => this.report(operation, sid, error, what));
  }

  /**
   * Counts a request of a task whose caller has given up.
   * @param {Promise<unknown>} request never rejects.
   */
  countTask(request) {
    this.#inFlight.task++;
    request.finally(() => this.#inFlight.task--);
  }

  /**
   * Counts and logs a failure.
   * @param {string} operation the name of the method.
   * @param {unknown} sid
   * @param {unknown} error
   * @param {string} [what] what failed, if that was not the call itself.
   */
  report(operation, sid, error, what = operation) {
    const ours = error instanceof SessionStoreError ? error : undefined;
    if (ours) this.#failures.count(ours.code);
    this.#failures.log(`${what} ${ours?.code ?? ''}`, () => {
      // Any other error is the caller's own, and its text may be confidential.
      const why = ours ? `${ours.code}: ${ours.detail}` : 'the function that it was given failed, or its signal aborted';
      const fields = { operation, ...this.#names.fieldOf(sid), ...(ours && fieldsOf(ours)) };
      return { text: `${what}${this.#names.of(sid)} failed: ${why}`, fields };
    });
  }

  /**
   * Calls the callback of a call, if there is one. What it throws is passed on, except the framework's
   * error ERR_HTTP_HEADERS_SENT: it means that a response was sent while the session was being saved.
   * Nobody could catch it, and it must not end the process.
   * @param {Call} call
   * @param {unknown[]} answer
   */
  #callBack({ callback }, answer) {
    try {
      callback?.(...answer);
    } catch (error) {
      if (error?.code !== 'ERR_HTTP_HEADERS_SENT') throw error;
      this.#failures.log('late response', () => ({ text: LATE_RESPONSE, fields: { event: 'answeredTwice' } }));
    }
  }

  /** @param {Call} call */
  #done(call) {
    this.#latencies.count(call.operation, monotonic() - call.began, call.outcome);
    if (call.message) finishCall(call.message, call.outcome);
  }

  /**
   * @param {Call} call
   * @param {unknown} sid
   * @param {unknown} error
   */
  #failed(call, sid, error) {
    this.#latencies.count(call.operation, monotonic() - call.began, undefined);
    if (!call.isReported) this.report(call.operation, sid, error);
    if (call.message) failCall(call.message, error);
  }

  /**
   * Answers the caller: a callback gets what is given, and a promise settles by itself.
   * @param {Call} call
   * @param {unknown[]} given
   */
  #answer(call, ...given) {
    if (call.message) endCall(call.message, () => this.#callBack(call, given));
    else this.#callBack(call, given);
  }

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @param {Kind} kind
   */
  async #counted(work, kind) {
    this.#inFlight[kind]++;
    try {
      return await work();
    } finally {
      this.#inFlight[kind]--;
      this.#onEnd();
    }
  }

  #overloaded() {
    const detail =
      `${this.#limit} calls are waiting for an answer, as many as maxCallsInFlight allows; try again later, ` +
      'and look for what keeps DynamoDB or KMS from answering';
    return new SessionStoreError({ code: 'ERR_OVERLOADED', detail });
  }
}

exports.Calls = Calls;
