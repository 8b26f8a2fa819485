'use strict';

/**
 * How bad something is. `fail`: sessions do not work. `warn`: they do, and something is wrong.
 * `note`: something to know, or that could not be seen. `ok`: as it should be.
 * @typedef {'fail' | 'warn' | 'note' | 'ok'} Level
 */

/**
 * @typedef {object} Finding
 * @property {Level} level
 * @property {string} about one word: `table`, `key`, …
 * @property {string} what a line.
 * @property {string} [next] what to do or type.
 */

/** The levels, the worst first. @type {Level[]} */
const LEVELS = ['fail', 'warn', 'note', 'ok'];

/**
 * Findings, the worst first, and in their own order among those of a level.
 * @param {Finding[]} findings
 */
const worstFirst = (findings) => LEVELS.flatMap((level) => findings.filter((finding) => finding.level === level));

/**
 * @param {Level} level
 * @returns {(about: string, what: string, next?: string) => Finding}
 */
const of = (level) => (about, what, next) => ({ level, about, what, ...(next === undefined ? {} : { next }) });

/**
 * What AWS said, for the end of a line.
 * @param {any} error
 */
function said(error) {
  const { cause } = error;
  return cause?.message ? `${cause.name}: ${cause.message}` : error.detail;
}

/**
 * The reply to a question, or the error.
 * @template T
 * @param {Promise<T>} asked
 * @returns {Promise<{ value: T, error?: undefined } | { value?: undefined, error: any }>}
 */
async function answerTo(asked) {
  try {
    return { value: await asked };
  } catch (error) {
    if (error.name !== 'SessionStoreError') throw error;
    return { error };
  }
}

module.exports = { answerTo, fail: of('fail'), note: of('note'), ok: of('ok'), said, warn: of('warn'), worstFirst };
