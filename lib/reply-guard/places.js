'use strict';

/**
 * @typedef {any} Application an instance of Fastify. Its types do not include what is overridden
 *   here.
 * @typedef {(target: any, name: string) => any} Wrap gives a function that is called in place of
 *   `target`
 */

/** The hooks that can keep a request from its handler. */
const HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'];

/** @param {any} value */
function isPromise(value) {
  return value !== null && typeof value === 'object' && typeof value.then === 'function';
}

/**
 * The name of a function as in the source. Functions in an options object are named after their
 * key.
 * @param {Function} handler
 * @param {string} [key]
 */
function nameOf(handler, key) {
  const name = handler.name.replace(/^(bound )+/, '');
  return name && name !== key ? ` (${name})` : '';
}

/**
 * What an instance's hooks and handlers are for.
 * @param {Application} instance
 */
function scopeOf(instance) {
  return instance.prefix ? `all routes under ${instance.prefix}` : 'all routes';
}

/**
 * The hooks of a route, each by its name; one hook or an array of them.
 * @param {any} options of the route.
 * @param {string} key the name of the hook.
 * @param {string} of the name of the route.
 * @param {Wrap} wrap
 */
function eachHook(options, key, of, wrap) {
  const hooks = options[key];
  if (typeof hooks === 'function') return wrap(hooks, `${key} hook${nameOf(hooks, key)} of ${of}`);
  if (!Array.isArray(hooks)) return hooks;
  return hooks.map((hook, index) => {
    if (typeof hook !== 'function') return hook; // Fastify's to refuse
    return wrap(hook, `${key} hook${nameOf(hook, key) || ` ${index + 1}`} of ${of}`);
  });
}

/**
 * The onSend hooks of a route: one, or an array of them.
 * @param {unknown} hooks
 * @param {(hook: any) => any} wrap
 */
function eachOnSend(hooks, wrap) {
  if (typeof hooks === 'function') return wrap(hooks);
  return Array.isArray(hooks) ? hooks.map((hook) => (typeof hook === 'function' ? wrap(hook) : hook)) : hooks;
}

/**
 * Fastify adds a HEAD route right after its GET route, with the same handler. The two are one place
 * in the source, and get one name.
 * @param {any} route
 * @param {any} previous
 */
function isHeadOf(route, previous) {
  return route.method === 'HEAD' && route.url === previous?.url && route.handler === previous.handler;
}

/**
 * Wraps every function of an application that can answer a request.
 *
 * @param {Application} app a Fastify instance; covers its plugins
 * @param {{ hook: Wrap, handler: Wrap, errorHandler: Wrap, onSend: (target: any) => any }} wrap each
 *   takes a function and its name, and gives the wrapped one
 */
function wrapPlaces(app, wrap) {
  const { addHook, setErrorHandler, setNotFoundHandler } = app;
  /** @type {any} */
  let previous;

  /**
   * @param {any} options
   * @param {string} of
   */
  function wrapOptions(options, of) {
    for (const key of HOOKS) {
      if (options[key] !== undefined) options[key] = eachHook(options, key, of, wrap.hook);
    }
    if (options.onSend !== undefined) options.onSend = eachOnSend(options.onSend, wrap.onSend);
    const { errorHandler } = options;
    if (typeof errorHandler === 'function') {
      options.errorHandler = wrap.errorHandler(errorHandler, `error handler${nameOf(errorHandler, 'errorHandler')} of ${of}`);
    }
  }

  addHook.call(
    app,
    'onRoute',
    /** @this {Application} */ function guardRoute(/** @type {any} */ route) {
      if (typeof route.handler !== 'function') return; // Fastify's to refuse
      if (!isHeadOf(route, previous)) {
        const name = `${[route.method].flat().join('|')} ${route.url}`;
        previous = { url: route.url, handler: route.handler, name };
      }
      const { name } = previous;
      route.handler = wrap.handler(route.handler, name);
      // Later than the onRoute hooks of the application, which may look for a hook or add one.
      this.after((/** @type {unknown} */ error, /** @type {(error: unknown) => void} */ done) => {
        wrapOptions(route, name);
        done(error);
      });
    },
  );

  /**
   * @this {Application}
   * @param {string} key
   * @param {unknown} hook
   */
  app.addHook = function (key, hook) {
    if (typeof hook !== 'function') return addHook.call(this, key, hook);
    if (key === 'onSend') return addHook.call(this, key, wrap.onSend(hook));
    if (!HOOKS.includes(key)) return addHook.call(this, key, hook);
    return addHook.call(this, key, wrap.hook(hook, `${key} hook${nameOf(hook, key)} of ${scopeOf(this)}`));
  };

  /**
   * @this {Application}
   * @param {any} handler
   */
  app.setErrorHandler = function (handler) {
    if (typeof handler !== 'function') return setErrorHandler.call(this, handler);
    return setErrorHandler.call(this, wrap.errorHandler(handler, `error handler${nameOf(handler)} of ${scopeOf(this)}`));
  };

  /**
   * @this {Application}
   * @param {any[]} args
   */
  app.setNotFoundHandler = function (...args) {
    const last = args.findLastIndex((value) => typeof value === 'function');
    const of = `the not-found handler of ${scopeOf(this)}`;
    if (last >= 0) args[last] = wrap.handler(args[last], `not-found handler${nameOf(args[last])} of ${scopeOf(this)}`);
    if (args[0] !== null && typeof args[0] === 'object') {
      args[0] = { ...args[0] };
      wrapOptions(args[0], of);
    }
    return setNotFoundHandler.apply(this, args);
  };
}

module.exports = { isPromise, wrapPlaces };
