'use strict';

const { UsageError } = require('./usage-error.js');

/** Loaded only here, so that `--help` works where the binary cannot be loaded. */
function load() {
  try {
    return require('../native-operator.js');
  } catch (error) {
    throw new UsageError(`${error.message.split('\n')[0]} \`doctor\` says what to do`);
  }
}

/**
 * Runs a part of a command with an operator of the native side, and closes it.
 * @template T
 * @param {Record<string, unknown>} config of a store.
 * @param {(operator: import('../native-operator.js').NativeOperator) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withOperator(config, work) {
  const { NativeOperator } = load();
  const operator = new NativeOperator(JSON.stringify(config));
  try {
    return await work(operator);
  } finally {
    await operator.close();
  }
}

/**
 * An error of the store as a line or two for the terminal.
 * @param {import('../errors.js').SessionStoreError} error
 */
function explain(error) {
  const cause = /** @type {Error | undefined} */ (error.cause);
  return cause?.message ? `${error.code}: ${error.detail}\n  ${cause.name}: ${cause.message}` : `${error.code}: ${error.detail}`;
}

const WRONG_USAGE = 2;
const AWS_FAILED = 3;

/**
 * The exit status of a command that ended with an error of the store.
 * @param {string} code
 */
const statusOfCode = (code) => (code === 'ERR_CONFIG' ? WRONG_USAGE : AWS_FAILED);

module.exports = { explain, statusOfCode, withOperator };
