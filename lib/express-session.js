'use strict';

const { failure } = require('./errors.js');

const UNKNOWN =
  'there is no express-session to make session objects with; give the store to its middleware, session({ store }), first';

/**
 * Makes the session objects of requests, as express-session expects of its stores, with the
 * application's own classes. A `require` from here could find another copy of express-session than
 * the application's, or none: from a linked folder, or beside a bundle. So the classes are taken
 * from the sessions that `generate` makes, the function that the middleware assigns to its store.
 */
class ExpressSessions {
  /** @type {any} */
  #generate;
  /**
   * The class of sessions and the prototype of their cookies; `undefined` until `generate` has made
   * some.
   * @type {{ Session: new (request: object, data: object) => object, cookies: object } | undefined}
   */
  #types;
  #installed;

  /**
   * @param {((request: any, loaded: any) => any) | undefined} installed makes sessions with the copy
   *   of express-session that is installed beside this package, if there is one.
   */
  constructor(installed) {
    this.#installed = installed;
  }

  get generate() {
    return this.#generate;
  }

  /** Another middleware's function can come from another copy of express-session. */
  set generate(generate) {
    this.#types = undefined;
    if (typeof generate !== 'function') {
      this.#generate = generate;
      return;
    }
    /**
     * @param {any} request
     * @param {unknown[]} rest
     */
    const learning = (request, ...rest) => {
      const given = generate(request, ...rest);
      if (this.#generate === learning) this.#types ??= typesOf(request.session);
      return given;
    };
    this.#generate = learning;
  }

  /**
   * Makes the session of a request from what was stored, as express-session's `Store` does.
   * @param {any} request has it as its `session` then.
   * @param {any} loaded what `get` gave; has the framework's cookie then.
   */
  create(request, loaded) {
    if (this.#types === undefined) this.#try(request);
    if (this.#types === undefined) {
      if (this.#installed === undefined) throw failure('ERR_CONFIG', UNKNOWN);
      return this.#installed(request, loaded);
    }
    const { Session, cookies } = this.#types;
    const { expires, originalMaxAge } = loaded.cookie;
    loaded.cookie = makeCookie(cookies, loaded.cookie);
    if (typeof expires === 'string') loaded.cookie.expires = new Date(expires);
    loaded.cookie.originalMaxAge = originalMaxAge; // setting an expiry changes it
    request.session = new Session(request, loaded);
    return request.session;
  }

  /**
   * Has a session made for a request that inherits from this one, so that this one does not change.
   * The application's `genid` sees the properties of this one.
   * @param {any} request
   */
  #try(request) {
    if (typeof this.#generate !== 'function') return;
    const trial = Object.create(request);
    // The request of `store.load` has only an id and a store.
    if (request.headers === undefined) trial.headers = {};
    try {
      this.#generate(trial);
    } catch {
      // The `genid` cannot handle such a request.
    }
  }
}

/** @param {any} session */
function typesOf(session) {
  const [Session, cookie] = [session?.constructor, session?.cookie];
  if (typeof Session !== 'function' || cookie === null || typeof cookie !== 'object') return undefined;
  return { Session, cookies: Object.getPrototypeOf(cookie) };
}

/**
 * What `new Cookie(options)` does. The prototype of express-session's cookies does not name their
 * class.
 * @param {object} prototype
 * @param {any} options
 */
function makeCookie(prototype, options) {
  const cookie = Object.create(prototype);
  cookie.path = '/';
  cookie.maxAge = null;
  cookie.httpOnly = true;
  for (const name in options) {
    if (name !== 'data') cookie[name] = options[name];
  }
  cookie.originalMaxAge ??= cookie.maxAge;
  return cookie;
}

exports.ExpressSessions = ExpressSessions;
