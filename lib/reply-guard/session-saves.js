'use strict';

const { isFastifySession } = require('../fastify-session.js');

/**
 * @typedef {object} Watch
 * @property {boolean} saving whether the hook has begun to save the session, and the store has not
 *   called back yet.
 * @property {() => void} stop gives the session its own `save` again.
 */

/** @param {any} request */
function sessionOf(request) {
  try {
    const { session } = request;
    return isFastifySession(session) && typeof session.save === 'function' ? session : undefined;
  } catch {
    return undefined; // a session of another package
  }
}

/**
 * Watches an onSend hook, from before it is called until it returns or calls back, for whether it
 * saves the session of its request with a callback, as that of @fastify/session does. The hook is
 * not recognised by its name, because a bundler that minifies changes that.
 * @param {any} request
 * @param {boolean} late whether the hook saves nothing, and is called back at once.
 * @param {() => void} saved is called when the store calls back.
 * @returns {Watch}
 */
function watchSave(request, late, saved) {
  const session = sessionOf(request);
  /** @type {Watch} */
  const watch = { saving: false, stop() {} };
  if (session === undefined) return watch;
  const own = Object.getOwnPropertyDescriptor(session, 'save');
  const { save } = session;

  /**
   * @this {unknown}
   * @param {any[]} args
   */
  function watchedSave(...args) {
    watch.stop();
    const [callback, ...rest] = args;
    if (typeof callback !== 'function') return save.apply(this, args);
    if (late) return callback();
    watch.saving = true;
    /** @param {unknown[]} given */
    const answered = (...given) => {
      watch.saving = false;
      saved();
      return callback(...given);
    };
    return save.call(this, answered, ...rest);
  }

  // Not enumerable, so that it is no content of the session.
  if (!Reflect.defineProperty(session, 'save', { value: watchedSave, writable: true, configurable: true })) {
    // A sealed session. The hook may be that of @fastify/session, and is taken for it.
    watch.saving = true;
    return watch;
  }
  watch.stop = () => {
    if (session.save !== watchedSave) return;
    if (own) Reflect.defineProperty(session, 'save', own);
    else Reflect.deleteProperty(session, 'save');
  };
  return watch;
}

module.exports = { watchSave };
