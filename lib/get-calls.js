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
      return this.#calls.run('get', () => this.#read(sid), this.#copied(rest), sid);
    return this.#calls.deliver('get', this.#readUnlessAborted(sid, options), this.#copied(rest.slice(1)));
  }

  /** @param {string} sid */
  async #read(sid) {
    const session = (await this.#reads.find(checkSid(sid)))?.session ?? null;
    if (session) this.#known.attachRevision(session);
    return session;
  }

  /**
   * @param {string} sid
   * @param {object} options
   */
  async #readUnlessAborted(sid, options) {
    /** @type {AbortSignal | undefined} */
    let signal;
    // A promise, since there is no callback.
    const reading = /** @type {Promise<import('../index.js').SessionData | null | undefined>} */ (
      this.#calls.run(
        'get',
        async () => {
          ({ signal } = callOptions('get', options, OPTIONS));
          return signal?.aborted ? undefined : this.#read(sid);
        },
        [],
        sid,
      )
    );
    if (!signal) return reading;
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
