'use strict';

// Gives the event loop back to others between the pieces of long work. All stores of a thread share
// its event loop, and so one account of what was parsed, and one queue of those who have more.

const { AsyncResource } = require('node:async_hooks');
const { setImmediate } = require('./real-time.js');

/** How many characters of JSON are parsed in one turn of the event loop: about a millisecond's. */
const TURN = 131_072;
/** How many of them make a piece, if others wait. */
const PIECE = TURN / 8;

let parsed = 0;
/**
 * Those who wait to go on. Each has one piece, and then queues again, so that neither long lists nor
 * a stream of answers can keep the others waiting.
 * @type {(() => void)[]}
 */
const waiting = [];
let isNextCalled = false;

function isOver() {
  return parsed >= TURN;
}

/**
 * Whether one who has parsed so many characters may go on: there is room in this turn, and nobody
 * waits for it or the piece is not complete.
 * @param {number} length
 */
function mayGoOn(length) {
  return !isOver() && (waiting.length === 0 || length < PIECE);
}

/** Whether a piece can be parsed at once: there is room in this turn, and nobody waits for it. */
function hasRoom() {
  return mayGoOn(PIECE);
}

/**
 * Counts what is about to be parsed in this turn.
 * @param {number} length in characters.
 */
function count(length) {
  const wasOver = isOver();
  parsed += length;
  if (isOver() && !wasOver) setImmediate(begin);
}

/** A new turn of the event loop. */
function begin() {
  parsed = 0;
  goOn();
}

function goOn() {
  if (isOver()) return; // `begin` goes on
  try {
    waiting.shift()?.();
  } finally {
    callNext();
  }
}

/** After what the last piece has led to in promises. */
async function callNext() {
  if (isNextCalled || waiting.length === 0) return;
  isNextCalled = true;
  await undefined;
  isNextCalled = false;
  goOn();
}

/**
 * Calls back when there is room for one piece, in the caller's AsyncLocalStorage context.
 * @param {() => void} callback counts it.
 */
function wait(callback) {
  waiting.push(AsyncResource.bind(callback));
  callNext();
}

/**
 * Counts what is about to be parsed, in a turn that has room for it.
 * @param {number} length in characters.
 * @returns {Promise<void>}
 */
async function take(length) {
  if (hasRoom()) return count(length);
  await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
    wait(() => {
      count(length);
      resolve();
    });
  });
}

module.exports = { count, hasRoom, mayGoOn, take, wait };
