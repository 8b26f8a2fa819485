'use strict';

// Gives the event loop back to others between the pieces of long work. All stores of a thread share
// its event loop, and so one account of what was parsed.

const { setImmediate } = require('./real-time.js');

/** How many characters of JSON are parsed in one turn of the event loop: about a millisecond's. */
const TURN = 131_072;

let parsed = 0;

/** Whether this turn of the event loop has parsed as much as it may. */
function isOver() {
  return parsed >= TURN;
}

/**
 * Counts what is about to be parsed in this turn.
 * @param {number} length in characters.
 */
function count(length) {
  const wasOver = isOver();
  parsed += length;
  if (isOver() && !wasOver) {
    setImmediate(() => {
      parsed = 0;
    });
  }
}

/**
 * Counts what is about to be parsed, in a turn that has room for it.
 * @param {number} length in characters.
 */
async function take(length) {
  while (isOver()) await new Promise((resolve) => void setImmediate(resolve));
  count(length);
}

module.exports = { isOver, count, take };
