'use strict';

const { failure } = require('./errors.js');
const { isUnwantedPromise } = require('./mutation.js');

/** How long before its end a token is renewed at the earliest, in seconds. */
const EARLY_SECONDS = 60;

/**
 * How a token is: good for now, good but due for renewal, or of no more use.
 * @typedef {'fresh' | 'early' | 'stale'} Phase
 */

/**
 * A part of 1, from 0 up to but not including 1: the same on all servers, and another one for every
 * session and every token, so that the tokens of a fleet do not fall due together.
 * @param {string} sid
 * @param {number} end
 */
function shareOf(sid, end) {
  const hash = require('node:crypto').createHash('sha256').update(`${end}:${sid}`).digest();
  return hash.readUInt32BE() / 2 ** 32;
}

/** Asks the functions of a caller about the token in a session. */
class Freshness {
  #sid;
  #isFresh;
  #expiresAt;
  #early;

  /**
   * @param {string} sid
   * @param {object} options
   * @param {(session: any) => unknown} [options.isFresh]
   * @param {(session: any) => unknown} [options.expiresAt]
   * @param {number} [options.earlySeconds]
   */
  constructor(sid, { isFresh, expiresAt, earlySeconds = EARLY_SECONDS }) {
    this.#sid = sid;
    this.#isFresh = isFresh;
    this.#expiresAt = expiresAt;
    this.#early = earlySeconds * 1000;
  }

  /**
   * @param {unknown} session
   * @returns {Phase}
   * @throws ERR_CONFIG if the function fails, or gives something else than it must.
   */
  of(session) {
    if (this.#isFresh) return this.#answerOf('isFresh', this.#isFresh, session) ? 'fresh' : 'stale';
    const end = this.#answerOf('expiresAt', /** @type {Function} */ (this.#expiresAt), session);
    const left = end - Date.now();
    if (left <= 0) return 'stale';
    if (left > this.#early) return 'fresh';
    if (left <= this.#early / 2) return 'early';
    return left <= this.#early * (0.5 + 0.5 * shareOf(this.#sid, end)) ? 'early' : 'fresh';
  }

  /**
   * @param {'isFresh' | 'expiresAt'} name
   * @param {Function} ask
   * @param {unknown} session
   * @returns {any}
   */
  #answerOf(name, ask, session) {
    let answer;
    try {
      answer = ask(session);
    } catch (cause) {
      throw failure('ERR_CONFIG', `the function ${name} given to refresh failed; see cause`, cause);
    }
    if (name === 'isFresh') {
      if (typeof answer === 'boolean') return answer;
      throw failure('ERR_CONFIG', `the function isFresh given to refresh must return true or false, not ${kindOf(answer)}`);
    }
    const end = isDate(answer) ? Number(answer) : answer;
    if (typeof end === 'number' && !Number.isNaN(end)) return end;
    throw failure(
      'ERR_CONFIG',
      `the function expiresAt given to refresh must return epoch milliseconds or a Date, not ${kindOf(answer)}; return 0 if there is no token`,
    );
  }
}

/** @param {unknown} value one of any realm. */
function isDate(value) {
  return require('node:util').types.isDate(value);
}

/** @param {any} answer */
function kindOf(answer) {
  if (answer === null) return 'null';
  if (typeof answer === 'number') return Number.isNaN(answer) ? 'NaN' : `${answer}`;
  if (typeof answer !== 'object') return typeof answer;
  if (isDate(answer)) return Number.isNaN(Number(answer)) ? 'an invalid Date' : 'a Date';
  if (isUnwantedPromise(answer)) return 'a promise: it may not be async';
  // Its own name for itself, Symbol.toStringTag, may be confidential.
  return Array.isArray(answer) ? 'an array' : 'an object';
}

exports.Freshness = Freshness;
