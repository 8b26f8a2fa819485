'use strict';

const { failure } = require('./errors.js');

/**
 * @param {unknown} sid
 * @returns {string}
 */
function checkSid(sid) {
  if (typeof sid !== 'string' || !sid.isWellFormed()) {
    throw failure('ERR_CONFIG', 'an id must be a string without lone surrogates');
  }
  return sid;
}

/**
 * Names a session in logs and events without giving its id away.
 * @param {string} sid
 */
function hashOf(sid) {
  // Loaded when it is needed, which is seldom: it would be a sixth of the time that loading this
  // package takes.
  return require('node:crypto').createHash('sha256').update(sid).digest('hex');
}

/**
 * For a line of the log, which may be about no session in particular.
 * @param {unknown} sid
 * @param {'session' | 'item'} [what] what has the id.
 */
function fingerprint(sid, what = 'session') {
  return typeof sid === 'string' ? ` of ${what} ${hashOf(sid).slice(0, 8)}` : '';
}

module.exports = { checkSid, hashOf, fingerprint };
