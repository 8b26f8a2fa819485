'use strict';

const { IS_CLOSED } = require('../closed.js');
const { carriedBy, isFastifySession, storeOf } = require('../fastify-session.js');
const { saveLate } = require('../late-saves.js');
const { setImmediate } = require('../real-time.js');

/** Whether the hooks that save the session have run for a reply. */
const SENT_BY_HOOKS = Symbol('sent by hooks');
/** Whether the response has ended, or the client has left. */
const IS_OVER = Symbol('is over');
/** The session that was saved last after the answer, and its content. */
const SAVED = Symbol('saved');
/** Saves what has changed in the session of a reply that was answered past its `send`. */
const SAVE = Symbol('save');

const LOST = 'its session was changed while it answered through reply.raw, and that is not stored';
const ADVICE = 'call `await request.session.save()` right after the change';

/**
 * The session of a request, if it came from a store of this package. Before @fastify/session 11.1.2,
 * a session does not say which revision it is, so that it could overwrite a later one: it is left as
 * it is. So is a new or regenerated session, whose cookie the client does not get.
 * @param {any} request
 */
function loadedSession(request) {
  try {
    const { session } = request;
    if (!isFastifySession(session) || typeof storeOf(session)?.[IS_CLOSED] !== 'boolean') return undefined;
    return carriedBy(session)?.sid === session.sessionId ? session : undefined;
  } catch {
    return undefined; // a session of another package
  }
}

/**
 * What has changed in a session since it was read or saved; `undefined` if nothing has. While a save
 * runs, and the handler with it, the session itself cannot tell.
 * @param {any} session
 * @param {{ session: any, json: string } | undefined} saved
 */
function changesOf(session, saved) {
  try {
    const json = JSON.stringify(session);
    const isChanged = saved !== undefined && saved.session === session ? json !== saved.json : session.isModified();
    return isChanged ? { session, json } : undefined;
  } catch {
    return { session, json: '' }; // the save will say why it cannot be compared
  }
}

/**
 * Before the onSend hooks run, for an error after an answer that has begun past `reply.send`: they
 * save nothing, because the client gets no cookie any more, and the end that the request asked for
 * may be over. What has changed is saved when the response has ended.
 * @param {any} reply
 */
function isSavedLate(reply) {
  return reply.raw.headersSent && !reply[SENT_BY_HOOKS] && loadedSession(reply.request) !== undefined;
}

/**
 * Saves what a handler changed in its session where it answers past `reply.send`: by `reply.raw`,
 * after `reply.hijack()` or without. @fastify/session saves a session in an onSend hook, which does
 * not run then. Its in-memory store has the change all the same, because it holds the live object.
 *
 * @param {any} app a Fastify instance; covers its plugins
 * @param {{ active: boolean }} guard whether to do so now.
 * @param {(reply: any) => boolean} hasEnded whether a reply is hijacked, or the response has ended.
 */
function saveAfterRawAnswers(app, guard, hasEnded) {
  app.decorateReply(SENT_BY_HOOKS, false);
  app.decorateReply(IS_OVER, false);
  app.decorateReply(SAVED, undefined);
  app.decorateReply(SAVE, save);
  /**
   * Those whose response has not ended.
   * @type {Set<any>}
   */
  const open = new Set();

  /** @this {any} the reply. */
  function save() {
    const { raw, request, [SENT_BY_HOOKS]: sentByHooks, [SAVED]: saved } = this;
    const isRaw = !sentByHooks && (raw.headersSent || hasEnded(this));
    const session = guard.active && isRaw ? loadedSession(request) : undefined;
    const changes = session && changesOf(session, saved);
    if (!changes) return;
    this[SAVED] = changes;
    const { method, url } = request.routeOptions;
    saveLate(session, (error) => {
      if (!error) return;
      const why = error.code === 'ERR_CONFLICT' ? 'another request has changed it meanwhile' : (error.detail ?? error.message);
      app.log.warn(`${method} ${url}: ${LOST}: ${why}; ${ADVICE}`);
    });
  }

  app.addHook(
    'onRequest',
    // Not in an onResponse hook, which does not run if the client leaves: so most event streams end.
    function watchResponse(/** @type {unknown} */ _request, /** @type {any} */ reply, /** @type {() => void} */ done) {
      // One that waits for an earlier answer on its connection has no socket yet, and may never close.
      if (reply.raw.socket) open.add(reply);
      reply.raw.once('close', () => {
        open.delete(reply);
        reply[IS_OVER] = true;
        reply[SAVE]();
        setImmediate(() => reply[SAVE]()); // what the application's own listeners have changed
      });
      done();
    },
  );
  // With `forceCloseConnections`, onClose hooks, and with them the end of the store, come before the
  // responses learn that they are closed.
  app.addHook('preClose', function saveOpen(/** @type {() => void} */ done) {
    for (const reply of open) reply[SAVE]();
    done();
  });
}

/**
 * After a hook or handler has settled. It may have gone on when the client had left; and Node.js does
 * not say of an answer that waits for an earlier one on its connection that its client has left.
 * @param {any} reply
 */
function saveIfOver(reply) {
  if (reply[IS_OVER] || reply.raw.writableEnded) reply[SAVE]();
}

module.exports = { SENT_BY_HOOKS, isSavedLate, saveAfterRawAnswers, saveIfOver };
