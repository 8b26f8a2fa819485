'use strict';

const { outliveResets } = require('./early-failures.js');
const { isPromise, wrapPlaces } = require('./places.js');
const { saveAfterRawAnswers, saveIfOver } = require('./raw-answers.js');
const { AWAITS, SENDS, callOnSend, enterErrorHandler, guardSending } = require('./replies.js');

/** A symbol shared by all copies of this package, so that an application has one guard. */
const GUARD = Symbol.for('connect-dynamodb-kms.reply-guard');

const ADVICE = 'write `return reply` in all hooks and handlers, or it may run a handler whose hook has refused the request';

/**
 * @typedef {import('./places.js').Application} Application
 * @typedef {import('./replies.js').Reply} Reply
 */

/**
 * A hook or handler that is wrapped.
 * @typedef {object} Place
 * @property {string} name
 * @property {string} what the subject of the warning's sentence.
 * @property {number} reply which of its arguments is the reply.
 * @property {boolean} [anyValue] whether what its promise gives means nothing to Fastify.
 * @property {(reply: Reply) => void} [before] is called before it.
 * @property {boolean} [found] whether it was reported.
 */

/** The guard of one application. */
class ReplyGuard {
  #app;
  #hasEnded;
  #isWanted;
  /** @type {string | undefined} */
  #ownReply;
  #givenUp = false;
  /** Set if the application asked for the guard, whatever its store. */
  asked = false;
  /** @type {Set<(place: string) => unknown>} */
  reports = new Set();
  found = { routes: /** @type {string[]} */ ([]) };

  /**
   * @param {Application} app
   * @param {() => boolean} isWanted
   */
  constructor(app, isWanted) {
    this.#app = app;
    this.#isWanted = isWanted;
    ({ hasEnded: this.#hasEnded } = guardSending(app, this));
    outliveResets(app, this);
    saveAfterRawAnswers(app, this, this.#hasEnded);
    wrapPlaces(app, {
      hook: (hook, name) => this.#wrap(hook, { name, what: 'it', reply: 1, anyValue: true }),
      handler: (handler, name) => this.#wrap(handler, { name, what: 'its async handler', reply: 1 }),
      errorHandler: (handler, name) => this.#wrap(handler, { name, what: 'it', reply: 2, before: enterErrorHandler }),
      onSend: (hook) =>
        new Proxy(hook, {
          apply: (_, self, args) => (this.active ? callOnSend(hook, self, args) : Reflect.apply(hook, self, args)),
        }),
    });
  }

  get active() {
    const wanted = this.asked || this.#isWanted();
    if (!wanted || this.#ownReply === undefined) return wanted;
    if (!this.#givenUp)
      this.#app.log.warn(`this application decorates its replies with ${this.#ownReply}, so that it is not guarded; ${ADVICE}`);
    this.#givenUp = true;
    return false;
  }

  /**
   * The application defines this property of its replies itself; it works as without a guard.
   * @param {string} name
   */
  giveUp(name) {
    this.#ownReply ??= name;
  }

  /**
   * A proxy keeps the name, the kind and the properties of a function, for Fastify and for other
   * hooks.
   * @param {any} target
   * @param {Place} place
   */
  #wrap(target, place) {
    return new Proxy(target, { apply: (_target, self, args) => this.#call(target, self, args, place) });
  }

  /**
   * @param {Function} target
   * @param {unknown} self
   * @param {any[]} args
   * @param {Place} place
   */
  #call(target, self, args, place) {
    const reply = args[place.reply];
    // @fastify/websocket gives its handlers (socket, request).
    if (typeof reply?.[SENDS] !== 'number' || !this.active) return Reflect.apply(target, self, args);
    place.before?.(reply);
    const { [SENDS]: sends, [AWAITS]: awaits } = reply;
    const result = Reflect.apply(target, self, args);
    if (!isPromise(result) || result === reply) return result;
    /** @param {unknown} value */
    const settled = (value) => {
      saveIfOver(reply);
      if (reply[SENDS] === sends || reply[AWAITS] !== awaits) return value;
      if (value !== undefined && !place.anyValue) return value;
      const hijacked = this.#hasEnded(reply) && !reply.raw.writableEnded;
      if (hijacked) return value;
      this.#report(place);
      return reply; // as `return reply` does
    };
    // An error handler may still be sending its answer. Then this error comes too late, as after
    // any answer.
    /** @param {unknown} error */
    const failed = (error) => {
      saveIfOver(reply);
      if (reply[SENDS] === sends || reply.sent) throw error;
      return reply;
    };
    // A `then` of an object that is not a promise can have side effects, so it is called once.
    return (result instanceof Promise ? result : Promise.resolve(result)).then(settled, failed);
  }

  /** @param {Place} place */
  #report(place) {
    if (place.found) return;
    place.found = true;
    const { routes } = this.found;
    if (routes.includes(place.name)) return;
    routes.push(place.name);
    const reports = this.reports.size > 0 ? [...this.reports] : [() => this.#log(place)];
    for (const report of reports) {
      // A report that fails, now or later, does not change the answer to the client.
      new Promise((resolve) => {
        resolve(report(place.name));
      }).catch(() => {});
    }
  }

  /** @param {Place} place */
  #log({ name, what }) {
    this.#app.log.warn(`${name}: ${what} answers without returning the reply; write \`return reply\` at its end`);
  }
}

/**
 * Whether an application, or the application of an instance, has a guard.
 * @param {Application} app
 * @returns {boolean}
 */
function isGuarded(app) {
  return app[GUARD] !== undefined;
}

/**
 * @param {Application} app a Fastify instance
 * @param {() => boolean} isWanted whether the guard acts in an application that did not ask for it
 */
function install(app, isWanted = () => false) {
  if (isGuarded(app)) return app[GUARD];
  const guard = new ReplyGuard(app, isWanted);
  Object.defineProperty(app, GUARD, { value: guard });
  return guard;
}

/**
 * Treats the hooks and handlers of an application that answer without returning the reply as
 * answered, and names them. index.d.ts documents it.
 *
 * @param {Application} app a Fastify instance without hooks and routes
 * @param {{ report?: (place: string) => unknown }} [options]
 * @returns {{ routes: string[] }} the names found so far
 */
function guardReplies(app, options = {}) {
  if (typeof app?.addHook !== 'function' || typeof app.decorateReply !== 'function') {
    throw new TypeError('guardReplies needs a Fastify instance');
  }
  const { report } = options;
  if (report !== undefined && typeof report !== 'function') throw new TypeError('report must be a function');
  let guard = app[GUARD];
  try {
    guard ??= install(app);
  } catch (cause) {
    const late =
      'guardReplies must be called before the routes are registered, and this application has started or replaces reply.send by itself';
    throw new Error(late, { cause });
  }
  guard.asked = true;
  if (report) guard.reports.add(report);
  return guard.found;
}

module.exports = { guardReplies, install, isGuarded };
