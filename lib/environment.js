'use strict';

/** Those that stand in for options. What the AWS SDK reads besides (`AWS_…`) is the process's. */
const NAMES = ['KMS_KEY_ARN', 'SESSIONS_TABLE', 'AWS_REGION'];

/**
 * The variables as this thread has them: a worker may have an environment of its own, which the
 * native side does not see.
 * @returns {Record<string, string>}
 */
function environment() {
  /** @type {Record<string, string>} */
  const variables = {};
  for (const name of NAMES) {
    const value = process.env[name];
    if (value !== undefined) variables[name] = String(value); // Jest's process.env holds what it is given
  }
  return variables;
}

module.exports = { environment };
