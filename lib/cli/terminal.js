'use strict';

// Colours and progress, on a terminal only.

/** @param {NodeJS.WriteStream} stream */
const coloured = (stream) => stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';

const CODES = { red: 31, yellow: 33, green: 32, bold: 1, dim: 2 };

/**
 * A text in a colour, if standard output is a terminal.
 * @param {keyof typeof CODES} colour
 * @param {string} text
 */
function paint(colour, text) {
  return coloured(process.stdout) ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** How often the line of a terminal is written anew, and a line is added elsewhere, in milliseconds. */
const ON_TERMINAL = 200;
const ELSEWHERE = 5000;

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** @param {number} number */
const grouped = (number) => Math.round(number).toLocaleString('en');

/**
 * How far something is, at which rate, and how long it will take.
 * @param {{ done: number, total: number, waiting?: string | null }} reading a total of 0 is not known; `waiting` is the
 *   code of the failure for which calls are repeated.
 * @param {number} seconds since when.
 * @param {string} noun such as `sessions`.
 */
function pace({ done, total, waiting }, seconds, noun) {
  const rate = seconds > 0 ? done / seconds : 0;
  const parts = [total > 0 ? `${grouped(done)} of about ${grouped(total)} ${noun}` : `${grouped(done)} ${noun}`];
  if (rate > 0) parts.push(`${grouped(rate)} a second`);
  if (rate > 0 && total > done) parts.push(`${duration((total - done) / rate)} left`);
  if (waiting) parts.push(`trying again after ${waiting}`);
  return parts.join(', ');
}

/**
 * Shows on standard error how far something is, until it ends: in one line on a terminal, and in a
 * line every few seconds elsewhere.
 * @template T
 * @param {() => string} line
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function showing(line, work) {
  const { stderr } = process;
  const onTerminal = stderr.isTTY && process.env.TERM !== 'dumb';
  // A longer line would wrap, and only its last row could be written anew.
  const cut = (/** @type {string} */ text) => text.slice(0, Math.max(1, (stderr.columns || 80) - 1));
  const show = () => stderr.write(onTerminal ? `\r\u001b[K${cut(line())}` : `${line()}\n`);
  const timer = setInterval(show, onTerminal ? ON_TERMINAL : ELSEWHERE);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    if (onTerminal) stderr.write('\r\u001b[K');
  }
}

/** The exit status of a command that a signal ended, as shells have it. */
const INTERRUPTED = 130;

/**
 * Runs work that the first SIGINT or SIGTERM ends in order: `stop` asks it to. The second one ends
 * the process at once.
 * @template T
 * @param {() => void} stop
 * @param {() => Promise<T>} work
 * @returns {Promise<{ result: T, interrupted: boolean }>}
 */
async function interruptible(stop, work) {
  let interrupted = false;
  const onSignal = () => {
    if (interrupted) process.exit(INTERRUPTED);
    interrupted = true;
    process.stderr.write('\nEnding in order; press Ctrl-C again to end at once.\n');
    stop();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    return { result: await work(), interrupted };
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** @param {unknown} report */
const printJson = (report) => process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);

module.exports = { INTERRUPTED, duration, grouped, interruptible, pace, paint, printJson, showing };
