'use strict';

const { appendFileSync } = require('node:fs');

/**
 * Writes what became of a test as a line of JSON, at once, so that a process that dies has told of the tests before.
 * @param {string} name of the test with its suites.
 * @param {'passed' | 'failed' | 'skipped'} outcome
 * @param {string} [message] of the failure.
 */
exports.write = (name, outcome, message) => {
  appendFileSync(process.env.SUITE_RESULTS, `${JSON.stringify({ name, outcome, message })}\n`);
};
