'use strict';

/**
 * The variables that stand in for options, and `NODE_ENV`, which can forbid one of them. The AWS SDK
 * reads its own (`AWS_…`) from the environment of the process. docs/environment.md lists all.
 */
const NAMES = ['KMS_KEY_ARN', 'SESSIONS_TABLE', 'AWS_REGION', 'SESSIONS_LOCAL', 'SESSIONS_LOCAL_IN_PRODUCTION', 'NODE_ENV'];

/**
 * The variables of this thread: a worker can have its own environment, which the native side does
 * not see.
 * @returns {Record<string, string>}
 */
function environment() {
  /** @type {Record<string, string>} */
  const variables = {};
  for (const name of NAMES) {
    const value = process.env[name];
    // Jest's `process.env` holds values of any type.
    // So an empty variable counts, too: a folder whose name is white space is meant by nobody.
    const unset = value === undefined || (name === 'SESSIONS_LOCAL' && String(value).trim() === '');
    if (!unset) variables[name] = String(value);
  }
  return variables;
}

module.exports = { environment };
