'use strict';

// What the commands that read the whole table have in common: their options, their progress, and
// how they end.

const { statusOfCode, withOperator } = require('./operator.js');
const { wholeNumber } = require('./store-options.js');
const { UsageError } = require('./usage-error.js');
const { INTERRUPTED, interruptible, pace, printJson, showing } = require('./terminal.js');

/** @typedef {import('./store-options.js').Option} Option */

/** @type {Record<string, Option>} */
const READING_OPTIONS = {
  'read-units': { type: 'string', value: 'N', help: 'uses at most N read units a second (default: no bound)' },
  segments: { type: 'string', value: 'N', help: 'reads N parts of the table at the same time (default: 4)' },
  json: { type: 'boolean', help: 'prints JSON' },
};

/** @type {Option} */
const ID_OF = { type: 'string', value: 'PATH', help: "where a session has its user's id: users.idOf as a path, such as user.id" };

/** The largest number of segments that DynamoDB takes is 1,000,000; more than this gains nothing. */
const MOST_SEGMENTS = 256;
const DEFAULT_SEGMENTS = 4;

/**
 * A whole number from 1, or the default.
 * @param {Record<string, any>} values
 * @param {string} name
 * @param {number | undefined} byDefault
 */
function atLeastOne(values, name, byDefault) {
  if (values[name] === undefined) return byDefault;
  const number = wholeNumber(name, values[name]);
  if (number === 0) throw new UsageError(`--${name} takes a whole number from 1`);
  return number;
}

/**
 * How the table is read, as the native side takes it.
 * @param {Record<string, any>} values
 * @param {boolean} consistent
 */
function readingOf(values, consistent) {
  return {
    segments: Math.min(MOST_SEGMENTS, /** @type {number} */ (atLeastOne(values, 'segments', DEFAULT_SEGMENTS))),
    unitsPerSecond: atLeastOne(values, 'read-units', undefined) ?? null,
    consistent,
  };
}

/**
 * Runs work that takes long with an operator of the native side, with its progress on standard
 * error, until it ends or is interrupted.
 * @template T
 * @param {Record<string, unknown>} config
 * @param {string} noun of what is counted
 * @param {(operator: import('../native-operator.js').NativeOperator, interrupted: AbortSignal) => Promise<T>} work
 * @returns {Promise<T>}
 */
function withRun(config, noun, work) {
  return withOperator(config, async (operator) => {
    const began = Date.now();
    const line = () => pace(operator.progress(), (Date.now() - began) / 1000, noun);
    const interruption = new AbortController();
    const stop = () => {
      operator.stop();
      interruption.abort();
    };
    const { result } = await interruptible(stop, () => showing(line, () => work(operator, interruption.signal)));
    return result;
  });
}

/**
 * As `withRun`, for one operation. Its report says how far it came.
 * @param {Record<string, unknown>} config
 * @param {string} operation
 * @param {unknown[]} args
 * @returns {Promise<any>} its report
 */
const runLong = (config, operation, args) => withRun(config, 'items', (operator) => operator.ask(operation, ...args));

/**
 * Prints a report. Gives the exit status.
 * @param {object} ending
 * @param {string} ending.name of the command
 * @param {any} ending.report
 * @param {boolean | undefined} ending.json
 * @param {(report: any) => string} ending.describe
 * @param {boolean} ending.found whether there is something that somebody has to look at
 * @param {string} ending.goOn what to do after an interruption
 */
function finish({ name, report, json, describe, found, goOn }) {
  if (json) printJson(report);
  else process.stdout.write(describe(report));
  const { failed, stopped } = report;
  if (failed) {
    const cause = failed.cause ? `\n  ${failed.cause}` : '';
    process.stderr.write(`connect-dynamodb-kms ${name}: ${failed.code}: ${failed.detail}${cause}\n${goOn}\n`);
    return statusOfCode(failed.code);
  }
  if (stopped) {
    process.stderr.write(`Stopped. ${goOn}\n`);
    return INTERRUPTED;
  }
  return found ? 1 : 0;
}

module.exports = { ID_OF, READING_OPTIONS, atLeastOne, finish, readingOf, runLong, withRun };
