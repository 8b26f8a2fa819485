'use strict';

const { onAbort, reasonOf } = require('./abortable.js');
const { timeout } = require('./patience.js');
const { clearTimeout, setTimeout } = require('./real-time.js');

/**
 * What a flight does: it waits for an answer of the table, for somebody else, or for the function
 * that renews the token and the write of its result.
 * @typedef {'asking' | 'idle' | 'running'} Doing
 */

/**
 * @typedef {object} Waiter
 * @property {boolean} late whether its time for waiting has passed.
 * @property {boolean} leads whether it began the flight.
 * @property {(reason: unknown) => void} leave
 * @property {number} waitSeconds
 */

/**
 * Those who wait for one flight. Each can leave by its own signal or deadline; the flight is given
 * up when nobody is left.
 */
class Waiters {
  /** @type {Set<Waiter>} */
  #all = new Set();
  /** @type {Doing} */
  #doing = 'asking';
  #abandoned = new AbortController();
  #hasGoodToken;
  /** @type {NodeJS.Timeout | undefined} */
  #grace;

  /** @param {() => boolean} hasGoodToken whether all can go on without the result. */
  constructor(hasGoodToken) {
    this.#hasGoodToken = hasGoodToken;
  }

  /** Aborts when nobody waits any more, with the reason of the last one to leave. */
  get signal() {
    return this.#abandoned.signal;
  }

  /** The work has ended. */
  end() {
    clearTimeout(this.#grace);
  }

  /** @param {Doing} doing */
  enter(doing) {
    this.#doing = doing;
    for (const waiter of [...this.#all]) this.#dismiss(waiter);
  }

  /**
   * The result of `finish`, which gets that of `promise`, for one more who waits. The deadline ends
   * the wait for `promise`, the signal both.
   * @template T, Result
   * @param {Promise<T>} promise
   * @param {(value: T) => Promise<Result>} finish
   * @param {object} limits
   * @param {number} limits.waitSeconds
   * @param {number} limits.leaseSeconds for how long the work goes on after the one who does it had waited long enough.
   * @param {AbortSignal} [limits.signal] one that has not aborted yet.
   * @param {boolean} leads
   * @returns {Promise<Result>}
   */
  wait(promise, finish, { waitSeconds, leaseSeconds, signal }, leads) {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        ended();
        this.#all.delete(waiter);
      };
      /** @type {Waiter} */
      const waiter = {
        late: false,
        leads,
        waitSeconds,
        leave: (reason) => {
          end();
          reject(reason);
          const abandon = () => {
            if (this.#all.size === 0) this.#abandoned.abort(reason);
          };
          if (!waiter.late || !leads || this.#doing !== 'running') return abandon();
          clearTimeout(this.#grace);
          this.#grace = setTimeout(abandon, leaseSeconds * 1000);
        },
      };
      const timer = setTimeout(() => {
        waiter.late = true;
        this.#dismiss(waiter);
      }, waitSeconds * 1000);
      const ended = onAbort(signal, () => waiter.leave(reasonOf(signal)));
      this.#all.add(waiter);
      const finished = promise.then((value) => {
        clearTimeout(timer);
        waiter.late = false;
        return finish(value);
      });
      finished.finally(end).then(resolve, reject);
    });
  }

  /**
   * As in `withLock`, an answer of the table is awaited past the deadline, and the deadline does not
   * end the work of the one who does it, except early: that one goes on with the token that is good.
   * @param {Waiter} waiter
   */
  #dismiss({ late, leads, leave, waitSeconds }) {
    if (late && (this.#doing === 'idle' || (this.#doing === 'running' && (!leads || this.#hasGoodToken()))))
      leave(timeout(waitSeconds));
  }
}

exports.Waiters = Waiters;
