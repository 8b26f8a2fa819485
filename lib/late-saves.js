'use strict';

// Sessions that are saved after their answer: only where nobody else has changed them since they
// were read, and with the end that their records have. The answer may have taken hours, as a stream
// of events does, and the end that its request asked for may be over.

/** @type {WeakSet<object>} */
const late = new WeakSet();

/**
 * Saves a session of @fastify/session as its own `save` does, which says nothing to the store about
 * when that is.
 * @param {any} session
 * @param {(error: any) => void} callback
 */
function saveLate(session, callback) {
  late.add(session);
  try {
    session.save(callback);
  } finally {
    late.delete(session);
  }
}

/**
 * Whether the save that begins now comes after the answer.
 * @param {object} session
 */
function isLate(session) {
  return late.has(session);
}

module.exports = { isLate, saveLate };
