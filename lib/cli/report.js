'use strict';

// Reports as text: lines with a name and a number.

const { grouped } = require('./terminal.js');

/** The column of the numbers. */
const WIDTH = 44;

/**
 * @param {string} name
 * @param {number | string} value
 * @param {number} [width] of the names
 */
function row(name, value, width = WIDTH) {
  return `${name.padEnd(width)} ${(typeof value === 'number' ? grouped(value) : value).padStart(12)}`;
}

/**
 * A heading, and a line for each count that is not 0. Nothing if all are.
 * @param {string} heading
 * @param {[string, number][]} counts
 * @returns {string[]}
 */
function section(heading, counts) {
  const width = Math.max(WIDTH, ...counts.map(([name]) => name.length + 2)); // ARNs are long
  const rows = counts.filter(([, count]) => count > 0).map(([name, count]) => row(`  ${name}`, count, width));
  return rows.length > 0 ? ['', heading, ...rows] : [];
}

const UNITS = [
  [1024 * 1024 * 1024, 'GB'],
  [1024 * 1024, 'MB'],
  [1024, 'KB'],
];

/** @param {number} bytes */
function size(bytes) {
  const [unit, name] = /** @type {[number, string]} */ (UNITS.find(([unit]) => bytes >= Number(unit)) ?? [1, 'bytes']);
  return `${Number((bytes / unit).toFixed(1))} ${name}`;
}

const SPANS = /** @type {[number, string][]} */ ([
  [86_400, 'day'],
  [3600, 'hour'],
  [1, 'second'],
]);

/** @param {number} seconds */
function span(seconds) {
  const [unit, name] = SPANS.find(([unit]) => seconds >= unit) ?? [1, 'second'];
  const count = seconds / unit;
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

/**
 * The rows of a histogram.
 * @param {{ counts: { atMost: number | null, count: number }[] }} histogram
 * @param {(limit: number) => string} name
 * @returns {[string, number][]}
 */
function buckets({ counts }, name) {
  return counts.map(({ atMost, count }, index) => {
    const before = counts[index - 1]?.atMost;
    return [atMost === null ? `more than ${name(before ?? 0)}` : `up to ${name(atMost)}`, count];
  });
}

/**
 * A moment of a record. Whoever can write the table may have put in what is none.
 * @param {number | null} seconds
 */
function moment(seconds) {
  if (seconds === null) return '–';
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `at second ${seconds}` : date.toISOString().replace('.000Z', 'Z');
}

/**
 * A session id for a terminal, which obeys control characters.
 * @param {string} id
 */
const printable = (id) => id.replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** How many sessions of a list are printed; `--json` has up to 1,000. */
const LISTED = 20;

/**
 * Sessions with what is wrong with them.
 * @param {string} heading
 * @param {{ count: number, first: { session: string, id?: string, code: string, detail: string }[] }} troubles
 * @returns {string[]}
 */
function troubled(heading, { count, first }) {
  if (count === 0) return [];
  const reasons = new Set(first.map(({ code, detail }) => `  ${code}: ${detail}`));
  const lines = first.slice(0, LISTED).map(({ session, id, code }) => `  ${printable(id ?? session)}  ${code}`);
  if (count > lines.length)
    lines.push(`  and ${grouped(count - lines.length)} more${first.length > LISTED ? '; --json lists them' : ''}`);
  return ['', row(heading, count), ...lines, ...[...reasons].slice(0, LISTED)];
}

module.exports = { buckets, moment, printable, row, section, size, span, troubled };
