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

/** Names sessions, or items, in logs and events without giving their ids away. */
class Names {
  what;
  #secret;

  /**
   * @param {'session' | 'item'} [what] what has the ids; undefined if nothing has.
   * @param {string} [secret] of `hashSessionIds`: without it, nobody can find an id by guessing.
   */
  constructor(what, secret) {
    this.what = what;
    this.#secret = secret;
  }

  /**
   * The whole hash, in hexadecimal digits.
   * @param {string} sid
   */
  hash(sid) {
    // Loaded when it is needed, which is seldom: it would be a sixth of the time that loading this
    // package takes.
    const { createHash, createHmac } = require('node:crypto');
    const hash = this.#secret === undefined ? createHash('sha256') : createHmac('sha256', this.#secret);
    return hash.update(sid).digest('hex');
  }

  /**
   * The digits that stand for an id in logs and messages.
   * @param {string} sid
   */
  short(sid) {
    return this.hash(sid).slice(0, 8);
  }

  /**
   * For the text of a line, which may be about no session in particular.
   * @param {unknown} sid
   */
  of(sid) {
    return typeof sid === 'string' ? ` of ${this.what} ${this.short(sid)}` : '';
  }

  /**
   * The same as a field of the line.
   * @param {unknown} sid
   * @returns {{ session?: string, item?: string }}
   */
  fieldOf(sid) {
    return typeof sid === 'string' && this.what ? { [this.what]: this.short(sid) } : {};
  }
}

exports.checkSid = checkSid;
exports.Names = Names;
