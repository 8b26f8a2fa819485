'use strict';

// The lines of a file or of standard input. Not by node:readline, which from Node.js 24 on also ends a line at the
// characters U+2028 and U+2029. JSON may hold them.

const { isUtf8 } = require('node:buffer');
const { createReadStream } = require('node:fs');
const { UsageError } = require('./usage-error.js');

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/** The longest line, in bytes. No session of 400 KB needs as much, even if JSON escapes each of its characters twice. */
const LONGEST = 8 * 1024 * 1024;

/**
 * @typedef {object} Line
 * @property {number} number from 1.
 * @property {string} [text] absent if it cannot be read.
 * @property {string} [problem] why not.
 */

/** @param {Buffer} bytes @param {number} number @returns {Line} */
function lineOf(bytes, number) {
  const marked = number === 1 && bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
  const rest = marked ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;
  return isUtf8(rest) ? { number, text: rest.toString() } : { number, problem: 'a line must be in UTF-8' };
}

/**
 * The lines that are not empty.
 * @param {AsyncIterable<Buffer>} chunks
 * @returns {AsyncGenerator<Line>}
 */
async function* linesOf(chunks) {
  let number = 1;
  /** The beginning of a line, in pieces. @type {Buffer[]} */
  let pieces = [];
  let length = 0;
  const add = (/** @type {Buffer} */ piece) => {
    length += piece.length;
    // What is left of a line that is too long is passed by.
    if (length <= LONGEST) pieces.push(piece);
    else pieces = [];
  };
  const end = () => {
    const line =
      length > LONGEST ? { number, problem: `a line must have at most ${LONGEST} bytes` } : lineOf(Buffer.concat(pieces), number);
    number++;
    pieces = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(LINE_FEED); at >= 0; at = chunk.indexOf(LINE_FEED, from)) {
      add(chunk.subarray(from, at));
      from = at + 1;
      yield end();
    }
    add(chunk.subarray(from));
  }
  if (length > 0) yield end();
}

/**
 * The lines of a file, a pipe, or with `-` of standard input, but for empty ones.
 * @param {string} path
 * @returns {AsyncGenerator<Line>}
 */
async function* readLines(path) {
  const input = path === '-' ? process.stdin : createReadStream(path);
  try {
    for await (const line of linesOf(input)) {
      if (line.text?.trim() !== '') yield line;
    }
  } catch (error) {
    if (error.syscall === undefined) throw error;
    const file = path === '-' ? 'standard input' : path;
    throw new UsageError(error.code === 'ENOENT' ? `no such file: ${file}` : `${file} cannot be read: ${error.message}`);
  }
}

module.exports = { readLines };
