'use strict';

const { discard, hiddenError, isClosed, outliveFailure } = require('./early-failures.js');
const { isPromise } = require('./places.js');
const { SENT_BY_HOOKS, isSavedLate, saveIfOver } = require('./raw-answers.js');
const { watchSave } = require('./session-saves.js');

/**
 * @typedef {any} Reply Fastify's, with what the symbols below hold
 * @typedef {import('./places.js').Application} Application
 */

/** How often `send` was called on a reply that could still be sent. */
const SENDS = Symbol('sends');
/** How often somebody waited for the reply, as `return reply` and `await reply` do. */
const AWAITS = Symbol('awaits');
/** How often an error handler was entered. */
const ERRORS = Symbol('errors');
/** Whether the reply counts as sent although the response has not ended. */
const ANSWERED = Symbol('answered');
/** Whether an answer waits for its session to be saved. */
const SAVING = Symbol('saving');

/**
 * The properties that decide whether and how a reply is sent. An application that defines its own
 * is not guarded.
 */
const SENDING = ['send', 'sent', 'then'];

/**
 * The class of an application's replies. Fastify keeps it under a symbol.
 * @param {Application} app
 */
function replyClass(app) {
  for (let owner = app; owner !== null; owner = Object.getPrototypeOf(owner)) {
    const key = Object.getOwnPropertySymbols(owner).find(({ description }) => description === 'fastify.Reply');
    if (key !== undefined) return app[key];
  }
  throw new Error('this version of Fastify keeps its replies elsewhere');
}

/**
 * An error is about to be answered, so the client does not get what was sent before.
 * @param {Reply} reply
 */
function enterErrorHandler(reply) {
  reply[ERRORS]++;
  reply[ANSWERED] = false;
}

/**
 * Calls an onSend hook. While it runs, the reply is being sent, but does not count as sent yet.
 *
 * A hook that calls back later, as that of @fastify/session does with an asynchronous store, calls
 * back into the rest of the sending. What that throws, such as for a header that no response can
 * have, reaches no `catch` of Fastify's and would end the process. With a store that calls back at
 * once, Fastify answers 500.
 * @param {Function} hook
 * @param {unknown} self
 * @param {any[]} args
 */
function callOnSend(hook, self, args) {
  const [request, reply, payload, next] = args;
  const { [ANSWERED]: answered, [ERRORS]: errors } = reply;
  const late = errors > 0 && isSavedLate(reply);
  if (late) saveIfOver(reply);
  else reply[SENT_BY_HOOKS] = true;
  let [returned, calledBack] = [false, false];
  const watch = watchSave(request, late, () => {
    reply[SAVING] = false;
  });
  /** @param {unknown} value that the hook gave, if it replaces the payload. */
  const failureOf = (value) => hiddenError(value === undefined ? payload : value);
  /**
   * @param {unknown} [error]
   * @param {unknown} [value]
   */
  function goOn(error, value) {
    calledBack = true;
    watch.stop();
    reply[SAVING] = false;
    const failed = error || failureOf(value);
    try {
      next(failed, value);
      if (!returned) return;
      if (failed || isClosed(reply.raw)) discard(payload, reply.raw);
      if (isClosed(reply.raw)) discard(value, reply.raw);
    } catch (thrown) {
      if (!returned || reply.raw.headersSent) throw thrown;
      reply[ANSWERED] = false;
      reply.send(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }
  reply[ANSWERED] = false;
  try {
    const result = Reflect.apply(hook, self, [request, reply, payload, goOn]);
    if (watch.saving && !calledBack && !isPromise(result)) reply[SAVING] = true;
    if (!calledBack) outliveFailure(payload);
    if (!isPromise(result)) return result;
    return result.then((/** @type {unknown} */ value) => {
      const failed = failureOf(value);
      if (!failed) return value;
      discard(payload, reply.raw);
      throw failed;
    });
  } finally {
    returned = true;
    watch.stop();
    if (answered && reply[ERRORS] === errors) reply[ANSWERED] = true;
  }
}

/**
 * Makes a reply count as sent as soon as `send` has returned, as with a session store that calls
 * back at once. Fastify reads `reply.sent` before it continues with the next hook or the handler,
 * and before it sends again.
 *
 * @param {Application} app a Fastify instance; covers its plugins
 * @param {{ active: boolean, giveUp: (name: string) => void }} guard whether to do so now. It
 *   is told of what the application decorates its replies with.
 */
function guardSending(app, guard) {
  const { prototype, props } = replyClass(app);
  const taken = SENDING.find(
    (name) => Object.hasOwn(prototype, name) || props.some((/** @type {{ key: string }} */ { key }) => key === name),
  );
  if (taken !== undefined) throw new Error(`the application has a reply.${taken} of its own`);
  const fastify = Object.getPrototypeOf(prototype);
  let owner = fastify;
  while (!Object.hasOwn(owner, 'sent')) owner = Object.getPrototypeOf(owner);
  const { get: nativeSent } = /** @type {any} */ (Object.getOwnPropertyDescriptor(owner, 'sent'));

  /**
   * As Fastify says it: hijacked, or the response has ended.
   * @param {Reply} reply
   * @returns {boolean}
   */
  function hasEnded(reply) {
    return nativeSent.call(reply);
  }

  /**
   * @this {Reply}
   * @param {unknown} payload
   */
  function send(payload) {
    if (hasEnded(this) || !guard.active) return fastify.send.call(this, payload);
    const isError = payload instanceof Error;
    // The answer of one error handler failed, and Fastify's own one has its turn now. It is the
    // only one that is not wrapped.
    if (isError && this[ANSWERED] && this[ERRORS] > 0) this[ANSWERED] = false;
    if (this[ANSWERED]) return fastify.send.call(this, payload); // Fastify warns, and sends nothing
    // The route's handlerTimeout is over: nobody forgot to wait.
    if (isError && /** @type {{ code?: string }} */ (payload).code === 'FST_ERR_HANDLER_TIMEOUT') this[AWAITS]++;
    const errors = this[ERRORS];
    this[SENDS]++;
    try {
      fastify.send.call(this, payload);
    } catch (error) {
      this[SENDS]--;
      throw error;
    }
    // An error handler that was entered meanwhile has sent already, or will.
    if (this[ERRORS] === errors) this[ANSWERED] = true;
    return this;
  }

  /** @this {Reply} */
  function sent() {
    return this[ANSWERED] === true || hasEnded(this);
  }

  /**
   * What changes the head of the response does nothing while an answer waits for its session: it
   * comes after the answer. @fastify/auth, for one, makes a 401 a 200 when the function that sent
   * it returns. The cookie of the session is set in that time.
   * @param {string} name
   */
  const inTime = (name) =>
    /**
     * @this {Reply}
     * @param {string} first
     * @param {unknown} second
     */
    function (first, second) {
      if (this[SAVING] && !(name === 'header' && /^set-cookie$/i.test(first))) return this;
      return fastify[name].call(this, first, second);
    };

  /**
   * Waits for the end of the response, which `sent` says too early.
   * @this {Reply}
   * @param {(value: unknown) => void} [fulfilled]
   * @param {(error: unknown) => void} [rejected]
   */
  function then(fulfilled, rejected) {
    this[AWAITS]++;
    const answered = this[ANSWERED];
    // A client that leaves ends the response unsent. Whoever was refused stays so.
    /** @param {((value: unknown) => void) | undefined} go */
    const ended = (go) => (/** @type {unknown} */ value) => {
      if (this[SENDS] > 0) this[ANSWERED] = true;
      go?.(value);
    };
    this[ANSWERED] = false;
    try {
      fastify.then.call(this, ended(fulfilled), rejected && ended(rejected));
    } finally {
      if (answered) this[ANSWERED] = true;
    }
  }

  app.addHook(
    'onError',
    function answerError(
      /** @type {unknown} */ _request,
      /** @type {Reply} */ reply,
      /** @type {unknown} */ _error,
      /** @type {() => void} */ done,
    ) {
      enterErrorHandler(reply);
      done();
    },
  );
  for (const [name, value] of [
    [SENDS, 0],
    [AWAITS, 0],
    [ERRORS, 0],
    [ANSWERED, false],
    [SAVING, false],
  ]) {
    app.decorateReply(name, value);
  }
  // Behind what the application decorates its replies with, as Fastify's own are: decorators would
  // take the names.
  const ours = Object.create(fastify, { sent: { get: sent } });
  for (const method of [send, then]) ours[method.name] = method;
  for (const name of ['code', 'status', 'header', 'removeHeader', 'type']) ours[name] = inTime(name);
  const { decorateReply } = app;
  /**
   * @this {Application}
   * @param {string} name
   * @param {unknown[]} rest
   */
  app.decorateReply = function (name, ...rest) {
    const result = decorateReply.call(this, name, ...rest);
    if (SENDING.includes(name)) guard.giveUp(name);
    return result;
  };
  Object.setPrototypeOf(prototype, ours);
  return { hasEnded };
}

module.exports = { AWAITS, SENDS, callOnSend, enterErrorHandler, guardSending };
