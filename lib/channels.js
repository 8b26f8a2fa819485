'use strict';

// What happens in stores and envelopes, for those who look: channels of node:diagnostics_channel.
// index.d.ts describes their messages. Nothing is noted while nobody subscribes.

const { channel, tracingChannel } = require('node:diagnostics_channel');
const { SessionStoreError } = require('./errors.js');

/** @typedef {import('../index.js').CallMessage} CallMessage */

const PACKAGE = 'connect-dynamodb-kms';

/** @type {import('node:diagnostics_channel').TracingChannel<any, any>} */
const calls = tracingChannel(`${PACKAGE}:call`);
const conflicts = channel(`${PACKAGE}:conflict`);
const leases = channel(`${PACKAGE}:lease`);
const requests = channel(`${PACKAGE}:request`);
const revocations = channel(`${PACKAGE}:revocation`);

/** Node.js 20 has no `hasSubscribers` for the five together. */
const OF_CALLS = [calls.start, calls.end, calls.asyncStart, calls.asyncEnd, calls.error];

/** Whether anybody looks at the calls. */
function areCallsTraced() {
  for (const one of OF_CALLS) if (one.hasSubscribers) return true;
  return false;
}

/** Whether anybody looks at what only the native side knows. */
function isObserved() {
  return requests.hasSubscribers || revocations.hasSubscribers || areCallsTraced();
}

/**
 * The call that is under way. Only calls that are traced have one.
 * @type {import('node:async_hooks').AsyncLocalStorage<CallMessage> | undefined}
 */
let current;

/** The message of the call that is under way, if it is traced. */
function currentCall() {
  return current?.getStore();
}

/** When nobody looks any more: on Node.js 20 and 22, keeping contexts costs every promise of the process. */
function forgetCalls() {
  current?.disable();
  current = undefined;
}

/**
 * Runs what belongs to a call, so that the requests that follow from it count as the call's.
 * @template T
 * @param {CallMessage | undefined} message `undefined` if the call is not traced.
 * @param {() => T} work
 * @returns {T}
 */
function within(message, work) {
  if (!message) return work();
  if (!current) {
    const { AsyncLocalStorage } = require('node:async_hooks');
    current = new AsyncLocalStorage();
  }
  return current.run(message, work);
}

/**
 * Runs a traced call from its beginning until it waits for something.
 * @template T
 * @param {CallMessage} message
 * @param {() => T} begin
 * @returns {T}
 */
function beginCall(message, begin) {
  return calls.start.runStores(message, () => {
    try {
      return within(message, begin);
    } finally {
      calls.end.publish(message);
    }
  });
}

/**
 * Ends a traced call, around the answer to its caller.
 * @param {CallMessage} message
 * @param {() => void} answer
 */
function endCall(message, answer) {
  if ('error' in message) calls.error.publish(message);
  calls.asyncStart.runStores(message, () => {
    try {
      answer();
    } finally {
      calls.asyncEnd.publish(message);
    }
  });
}

/**
 * Changes a message. A subscriber may have frozen it, as Immer freezes what is put into a state. That
 * must not fail the call, nor keep the replies of other calls back.
 * @param {() => void} change
 */
function changing(change) {
  try {
    change();
  } catch {
    // The message stays as the subscriber has left it.
  }
}

/**
 * Notes what came of a traced call.
 * @param {CallMessage} message
 * @param {import('./call.js').Outcome} outcome
 */
function finishCall(message, outcome) {
  changing(() => {
    message.outcome = outcome;
  });
}

/**
 * Notes the failure of a traced call.
 * @param {CallMessage} message
 * @param {unknown} error
 */
function failCall(message, error) {
  changing(() => {
    if (error instanceof SessionStoreError) message.code = error.code;
    message.error = error;
  });
}

/** The messages of one store or envelope. */
class Channels {
  #source;
  #names;

  /**
   * @param {{ component: CallMessage['component'], tableName?: string }} source
   * @param {import('./session-ids.js').Names} names
   */
  constructor(source, names) {
    this.#source = source;
    this.#names = names;
  }

  /**
   * The message of a call that begins; `undefined` if nobody looks.
   * @param {string} operation
   * @param {unknown} sid
   * @returns {CallMessage | undefined}
   */
  call(operation, sid) {
    if (!areCallsTraced()) return undefined;
    return { ...this.#about(operation, sid), requests: { dynamodb: 0, kms: 0 } };
  }

  /**
   * @param {string} operation
   * @param {string} sid
   * @param {import('../index.js').ConflictMessage['resolution']} resolution
   */
  conflict(operation, sid, resolution) {
    if (conflicts.hasSubscribers) conflicts.publish({ ...this.#about(operation, sid), resolution });
  }

  /**
   * @param {string} operation whose lease it is.
   * @param {string} sid
   * @param {import('../index.js').LeaseMessage['event']} event
   * @param {string} [code] of the failure.
   */
  lease(operation, sid, event, code) {
    if (!leases.hasSubscribers) return;
    const message = { ...this.#about(operation, sid), event };
    leases.publish(code === undefined ? message : { ...message, code });
  }

  /**
   * Publishes what the native side has noted.
   * @param {import('../binding.js').Observed} observed
   * @param {CallMessage | undefined} call that it belongs to, if that is traced.
   */
  observed({ service, operation, attempt, millis, status, keyCached, check }, call) {
    if (check) {
      if (revocations.hasSubscribers) revocations.publish({ ...this.#source, outcome: check });
      return;
    }
    if (!service) {
      if (call)
        changing(() => {
          call.keyCacheHit = keyCached === true && call.keyCacheHit !== false;
        });
      return;
    }
    if (call) changing(() => call.requests[service]++);
    if (!requests.hasSubscribers) return;
    const message = { ...this.#source, service, operation, attempt, milliseconds: millis, ...(status && { status }) };
    requests.publish(call ? { ...message, call } : message);
  }

  /**
   * @param {string} operation
   * @param {unknown} sid
   */
  #about(operation, sid) {
    const about = { operation, ...this.#source };
    return typeof sid === 'string' ? { ...about, session: this.#names.short(sid) } : about;
  }
}

exports.Channels = Channels;
exports.beginCall = beginCall;
exports.currentCall = currentCall;
exports.endCall = endCall;
exports.failCall = failCall;
exports.finishCall = finishCall;
exports.forgetCalls = forgetCalls;
exports.isObserved = isObserved;
exports.within = within;
