'use strict';

const { IS_CLOSED } = require('../closed.js');
const { carriedBy, isFastifySession, storeOf } = require('../fastify-session.js');
const { saveLate } = require('../late-saves.js');

/** Whether the hooks that save the session have run for a reply. */
const SENT_BY_HOOKS = Symbol('sent by hooks');

const LOST = 'its session was changed while it answered through reply.raw, and that is not stored';
const ADVICE = 'call `await request.session.save()` right after the change';

/**
 * The session of a request, if it came from a store of this package, and has changed since it was
 * read or saved. Before @fastify/session 11.1.2, a session does not say which revision it is, so
 * that it could overwrite a later one: it is left as it is. So is a new session, whose cookie the
 * client does not get.
 * @param {any} request
 */
function changedSession(request) {
  try {
    const { session } = request;
    if (!isFastifySession(session) || storeOf(session)?.[IS_CLOSED] !== false) return undefined;
    return carriedBy(session) !== undefined && session.isModified() ? session : undefined;
  } catch {
    return undefined; // a session of another package
  }
}

/**
 * Saves what a handler changed in its session where it answers past `reply.send`: by `reply.raw`,
 * after `reply.hijack()` or without. @fastify/session saves a session in an onSend hook, which does
 * not run then. Its in-memory store has the change all the same, because it holds the live object.
 *
 * @param {any} app a Fastify instance; covers its plugins
 * @param {{ active: boolean }} guard whether to do so now.
 */
function saveAfterRawAnswers(app, guard) {
  app.decorateReply(SENT_BY_HOOKS, false);
  /**
   * @param {any} request
   * @param {any} reply
   */
  const save = (request, reply) => {
    const isRaw = reply.raw.headersSent && !reply[SENT_BY_HOOKS];
    const session = guard.active && isRaw ? changedSession(request) : undefined;
    if (!session) return;
    const { method, url } = request.routeOptions;
    saveLate(session, (error) => {
      if (!error) return;
      const why = error.code === 'ERR_CONFLICT' ? 'another request has changed it meanwhile' : (error.detail ?? error.message);
      app.log.warn(`${method} ${url}: ${LOST}: ${why}; ${ADVICE}`);
    });
  };
  app.addHook(
    'onRequest',
    // Not in an onResponse hook, which does not run if the client leaves: so most event streams end.
    function watchResponse(/** @type {any} */ request, /** @type {any} */ reply, /** @type {() => void} */ done) {
      reply.raw.once('close', () => save(request, reply));
      done();
    },
  );
}

module.exports = { SENT_BY_HOOKS, saveAfterRawAnswers };
