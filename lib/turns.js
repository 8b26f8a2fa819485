'use strict';

const { setImmediate } = require('./real-time.js');

/** How many characters of JSON are parsed in one turn of the event loop: about a millisecond's. */
const TURN = 131_072;

/** Gives the event loop back to others between the pieces of long work. */
class Turns {
  #parsed = 0;

  /**
   * After so many characters were parsed.
   * @param {number} length
   */
  async take(length) {
    this.#parsed += length;
    if (this.#parsed < TURN) return;
    this.#parsed = 0;
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

exports.TURN = TURN;
exports.Turns = Turns;
