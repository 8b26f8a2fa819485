'use strict';

const { setTimeout } = require('./real-time.js');

/**
 * Random waits with a growing limit: each limit is twice the previous one, up to the longest ("full
 * jitter", AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
 */
class Backoff {
  #bound;
  #longest;

  /**
   * @param {number} first the limit of the first wait, in milliseconds.
   * @param {number} longest the limit of any wait, in milliseconds.
   */
  constructor(first, longest) {
    this.#bound = first;
    this.#longest = longest;
  }

  /** Milliseconds of the next wait. */
  next() {
    const bound = this.#bound;
    this.#bound = Math.min(2 * bound, this.#longest);
    return Math.ceil(Math.random() * bound);
  }
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

exports.Backoff = Backoff;
exports.sleep = sleep;
