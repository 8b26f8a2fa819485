'use strict';

/**
 * Runs a part of a command with an operator of the native side, and closes it.
 * @template T
 * @param {Record<string, unknown>} config of a store.
 * @param {(operator: import('../native-operator.js').NativeOperator) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withOperator(config, work) {
  // Loaded here, so that `--help` works where the binary cannot be loaded.
  const { NativeOperator } = require('../native-operator.js');
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

module.exports = { explain, withOperator };
