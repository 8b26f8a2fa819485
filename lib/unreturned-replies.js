'use strict';

/**
 * Notes what becomes of a reply from here on: whether it is sent, whether anybody waits for it, as `return reply` in an async handler and
 * `await reply` do, and whether Fastify itself answers because the route's `handlerTimeout` is over.
 */
function watch(reply) {
  const seen = { sent: false, awaited: false, timedOut: false };
  const { send, then } = reply;
  const forward = (name, value) => Object.defineProperty(reply, name, { value, writable: true, configurable: true });
  forward('send', function (...args) {
    if (!this.sent) seen.sent = true; // one that is hijacked or has ended sends nothing
    if (args[0]?.code === 'FST_ERR_HANDLER_TIMEOUT') seen.timedOut = true;
    return send.apply(this, args);
  });
  forward('then', function (...args) {
    seen.awaited = true;
    return then.apply(this, args);
  });
  return seen;
}

/** Fastify adds a HEAD route right after its GET route, with the same handler: one mistake in the source, one name. */
function isHeadOf(route, previous) {
  return route.method === 'HEAD' && route.url === previous?.url && route.handler === previous.handler;
}

/**
 * Finds, while an application runs, the routes whose async handler calls `reply.send()` or `reply.redirect()` without returning the reply, and
 * answers their requests as if it had. index.d.ts documents it.
 *
 * @param {object} app a Fastify instance without routes
 * @param {{ report?: (route: string) => unknown }} [options]
 * @returns {{ routes: string[] }} the names found so far
 */
function findUnreturnedReplies(app, options = {}) {
  if (typeof app?.addHook !== 'function') throw new TypeError('findUnreturnedReplies needs a Fastify instance');
  const { report } = options;
  if (report !== undefined && typeof report !== 'function') throw new TypeError('report must be a function');
  const routes = [];
  let previous;

  function found(route) {
    if (route.found) return;
    route.found = true;
    routes.push(route.name);
    // A report that fails, now or later, changes nothing of what the client gets.
    new Promise((resolve) => {
      if (report) resolve(report(route.name));
      else
        app.log.warn(`${route.name}: its async handler answers without returning the reply; write \`return reply\` at its end`);
      resolve();
    }).catch(() => {});
  }

  function watched(route) {
    return (handler, self, args) => {
      const reply = args[1];
      // @fastify/websocket gives its handlers (socket, request).
      if (typeof reply?.send !== 'function' || typeof reply.then !== 'function') return Reflect.apply(handler, self, args);
      const seen = watch(reply);
      const result = Reflect.apply(handler, self, args);
      if (typeof result?.then !== 'function') return result;
      return Promise.resolve(result).then((value) => {
        const hijacked = reply.sent && !reply.raw.writableEnded;
        if (value !== undefined || !seen.sent || seen.awaited || hijacked) return value;
        if (!seen.timedOut) found(route);
        return reply;
      });
    };
  }

  try {
    app.addHook('onRoute', (route) => {
      if (typeof route.handler !== 'function') return; // Fastify's to refuse
      if (!isHeadOf(route, previous)) {
        const name = `${[route.method].flat().join('|')} ${route.url}`;
        previous = { url: route.url, handler: route.handler, name, found: false };
      }
      // A proxy keeps the handler's name, kind and properties for other hooks.
      route.handler = new Proxy(route.handler, { apply: watched(previous) });
    });
  } catch (cause) {
    throw new Error('findUnreturnedReplies must be called before the routes are registered, and this application has started', {
      cause,
    });
  }
  return { routes };
}

module.exports = { findUnreturnedReplies };
