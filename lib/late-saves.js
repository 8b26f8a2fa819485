'use strict';

// Sessions that are saved after their answer: only where nobody else has changed them since they
// were read, and with the end that their records have. The answer may have taken hours, as a stream
// of events does, and the end that its request asked for may be over.

/**
 * How many such saves of a session are under way.
 * @type {WeakMap<object, number>}
 */
const late = new WeakMap();

/**
 * Saves a session of @fastify/session as its own `save` does, which says nothing to the store about
 * when that is. An application may have wrapped the store's `set`, and call it later.
 * @param {any} session
 * @param {(error: any) => void} callback
 */
function saveLate(session, callback) {
  let hasEnded = false;
  late.set(session, (late.get(session) ?? 0) + 1);
  /** @param {any} [error] */
  const end = (error) => {
    if (hasEnded) return;
    hasEnded = true;
    late.set(session, /** @type {number} */ (late.get(session)) - 1);
    callback(error);
  };
  try {
    session.save(end);
  } catch (error) {
    end(error); // of a store that the application has wrapped
  }
}

/**
 * Whether a save of the session that begins now comes after the answer.
 * @param {object} session
 */
function isLate(session) {
  return (late.get(session) ?? 0) > 0;
}

module.exports = { isLate, saveLate };
