'use strict';

const { isNativeError } = require('node:util').types;
const { currentCall, forgetCalls, isObserved } = require('./channels.js');
const { failure } = require('./errors.js');
const { setImmediate } = require('./real-time.js');
const turns = require('./turns.js');

/**
 * A promise, and the message of the call that it belongs to, if that is traced.
 * @typedef {object} Waiting
 * @property {(reply: any) => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {import('../index.js').CallMessage | undefined} message
 */

/** In the place of a call's number, before what the native side has noted. */
const NO_CALL = 0;

/**
 * An error of napi, which no caller can have caused.
 * @param {unknown} cause
 */
function defect(cause) {
  return failure(
    'ERR_INTERNAL',
    'a defect of connect-dynamodb-kms: a reply could not be passed from Rust to JavaScript; see cause',
    cause,
  );
}

/**
 * A call that is answered at once. Anything that napi throws is a defect.
 * @template T
 * @param {() => T} call
 */
function crossing(call) {
  try {
    return call();
  } catch (error) {
    throw defect(error);
  }
}

/**
 * Promises for calls of the native side, which numbers its calls and delivers replies in batches.
 */
class NativeCalls {
  #waiting;
  #calls = 0;
  #isObserved = false;
  /**
   * Switches whether the native side notes what happens in its calls.
   * @type {((on: boolean) => void) | undefined}
   */
  observe;

  /** @param {import('./channels.js').Channels} [channels] where that is published. */
  constructor(channels) {
    // The function that the native side keeps must not reference this object, or neither would ever
    // be garbage-collected.
    /** @type {Map<number, Waiting>} */
    const waiting = new Map();
    this.#waiting = waiting;
    /**
     * What was delivered, and not handled yet: in each, the number of a call, its reply, and so on.
     * @type {any[][]}
     */
    const deliveries = [];
    let next = 0;
    /** Handles what is next. Gives its length in characters. */
    const handleOne = () => {
      const delivery = /** @type {any[]} */ (deliveries[0]);
      const [call, reply] = [delivery[next], delivery[next + 1]];
      delivery[next + 1] = undefined; // nobody holds a reply until the whole delivery has been handled
      next += 2;
      if (next >= delivery.length) {
        deliveries.shift();
        next = 0;
      }
      if (call === NO_CALL) {
        channels?.observed(reply, waiting.get(reply.call)?.message);
        return 0;
      }
      const { resolve, reject } = /** @type {Waiting} */ (waiting.get(call));
      waiting.delete(call);
      // Callers parse what they get in the same turn of the event loop.
      const length = reply?.json?.length ?? 0;
      turns.count(length);
      if (isNativeError(reply)) reject(defect(reply));
      else resolve(reply);
      return length;
    };
    const handle = () => {
      let length = 0;
      try {
        while (deliveries.length > 0 && turns.mayGoOn(length)) length += handleOne();
      } finally {
        if (deliveries.length > 0) turns.wait(handle);
      }
    };
    /** @param {any[]} replies */
    this.deliver = (replies) => {
      if (replies.length === 0) return;
      const isWaiting = deliveries.push(replies) > 1;
      if (isWaiting) return;
      if (turns.hasRoom()) handle();
      else turns.wait(handle);
    };
  }

  /**
   * @param {(call: number) => void} begin starts the call of this number.
   * @returns {Promise<any>}
   */
  start(begin) {
    if (isObserved() !== this.#isObserved) this.#switch();
    const message = this.#isObserved ? currentCall() : undefined;
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      crossing(() => begin(call)); // what it throws rejects the promise
      this.#waiting.set(call, { resolve, reject, message });
    });
  }

  /** Lets the native side begin or end to note what happens, as subscribers come and go. */
  #switch() {
    this.#isObserved = !this.#isObserved;
    if (!this.#isObserved) forgetCalls();
    this.observe?.(this.#isObserved);
  }

  /**
   * Resolves when the replies of all ended calls have been handled. The reply of `close` can
   * overtake them.
   */
  async answered() {
    do await new Promise(setImmediate);
    while (this.#waiting.size > 0);
  }
}

module.exports = { NativeCalls, crossing };
