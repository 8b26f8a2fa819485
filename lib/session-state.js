'use strict';

/**
 * What this process knows of a session when it is to be saved. Whether another process has changed
 * it since, only the table can say.
 * @typedef {New | Known | Gone} SessionState
 */

/**
 * Nobody has read or written a record of this session, as far as this process knows.
 * @typedef {object} New
 * @property {'new'} state
 */

/**
 * This process has read or written the session's record.
 * @typedef {object} Known
 * @property {'known'} state
 * @property {string} mark identifies the revision that was read or written.
 * @property {number} [ends] when it was to end, in epoch milliseconds; left out if `mark` may be of a
 * later revision than the caller's.
 * @property {string[]} [attempts] the marks of revisions that failed saves may have written in its
 * place.
 * @property {boolean} [untouched] whether the content is what was read, where only the framework can
 * tell.
 */

/**
 * The session was destroyed, here or elsewhere; nothing brings it back.
 * @typedef {object} Gone
 * @property {'gone'} state
 * @property {boolean} [untouched]
 */

/** @type {Readonly<New>} */
const NEW = Object.freeze({ state: 'new' });

/** @type {Readonly<Gone>} */
const GONE = Object.freeze({ state: 'gone' });

/**
 * The state as the binding takes it.
 * @param {SessionState} knowledge
 * @returns {import('../binding.js').KnownSession | undefined}
 */
function forBinding(knowledge) {
  switch (knowledge.state) {
    case 'new':
      return undefined;
    case 'gone':
      return { mark: null };
    case 'known':
      return recordOf(knowledge);
  }
}

/** @param {Known} known */
function recordOf({ mark, attempts, untouched, ends }) {
  return { mark, attempts, untouched, ends };
}

module.exports = { GONE, NEW, forBinding, recordOf };
