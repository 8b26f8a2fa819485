'use strict';

const { abortSignal, callOptions } = require('./options.js');
const { checkSid } = require('./session-ids.js');

const OPTIONS = { signal: abortSignal };

/** The calls `get`: with a callback, with a promise, and for callers who may give up. */
class GetCalls {
  #calls;
  #reads;
  #known;

  /**
   * @param {import('./calls.js').Calls} calls
   * @param {import('./reads.js').Reads} reads
   * @param {import('./known-sessions.js').KnownSessions} known
   */
  constructor(calls, reads, known) {
    this.#calls = calls;
    this.#reads = reads;
    this.#known = known;
  }

  /**
   * @param {string} sid
   * @param {unknown[]} rest the options, if the caller gave any, and the callback, if it gave one.
   */
  run(sid, rest) {
    const [options] = rest;
    if (options === null || typeof options !== 'object')
      return this.#calls.run('get', (call) => this.#read(call, sid), this.#copied(rest), sid);
    return this.#calls.make('get', (call) => this.#readUnlessAborted(call, sid, options), this.#copied(rest.slice(1)), sid);
  }

  /**
   * @param {import('./call.js').Call} call
   * @param {string} sid
   */
  async #read(call, sid) {
    const session = (await this.#reads.find(checkSid(sid)))?.session ?? null;
    if (session) this.#known.attachRevision(session);
    call.outcome = session ? 'found' : 'missing';
    return session;
  }

  /**
   * @param {import('./call.js').Call} call
   * @param {string} sid
   * @param {object} options
   */
  async #readUnlessAborted(call, sid, options) {
    /** @type {AbortSignal | undefined} */
    let signal;
    const reading = this.#calls.admit(async () => {
      ({ signal } = callOptions('get', options, OPTIONS));
      return signal?.aborted ? undefined : this.#read(call, sid);
    });
    if (!signal) return reading;
    // The read can fail after its caller has gone. That a caller goes is no failure.
    call.isReported = true;
    reading.catch((error) => this.#calls.report('get', sid, error));
    const { abortable, throwIfAborted } = require('./abortable.js');
    throwIfAborted(signal);
    return abortable(signal, reading);
  }

  /**
   * A callback (in `callbacks`) of a framework that may copy the session that it is given.
   * @param {unknown[]} callbacks
   */
  #copied(callbacks) {
    const [callback] = callbacks;
    if (typeof callback !== 'function') return callbacks;
    /** @param {unknown[]} given */
    const answer = (...given) => this.#known.answerRead(given[1], () => callback(...given));
    return [answer];
  }
}

exports.GetCalls = GetCalls;
