'use strict';

const { isNativeError } = require('node:util').types;

/**
 * Names of attributes. Those of OpenTelemetry's semantic conventions are stable ones: databases,
 * errors and HTTP (version 1.45 of the conventions). The others are this package's own.
 */
const DB_SYSTEM_NAME = 'db.system.name';
const DB_OPERATION_NAME = 'db.operation.name';
const DB_COLLECTION_NAME = 'db.collection.name';
const ERROR_TYPE = 'error.type';
const HTTP_STATUS = 'http.response.status_code';
const OWN = 'connect_dynamodb_kms';

/** What `error.type` is for an error without a usable name. */
const OTHER = '_OTHER';

/**
 * What spans and metrics of a call have in common.
 * @param {import('../../index.js').CallMessage} call
 * @returns {import('@opentelemetry/api').Attributes}
 */
function attributesOf({ component, operation, tableName }) {
  // An envelope has no database.
  if (component === 'envelope') return { [`${OWN}.component`]: component, [`${OWN}.operation`]: operation };
  return {
    [DB_SYSTEM_NAME]: 'aws.dynamodb',
    [DB_OPERATION_NAME]: operation,
    ...(tableName !== undefined && { [DB_COLLECTION_NAME]: tableName }),
    [`${OWN}.component`]: component,
  };
}

/**
 * Whether a call failed, and with what: this package's code, else the name of the error that the
 * caller's own function threw. Its message may be confidential, and so may the name of something
 * that is no error, such as a user.
 * @param {import('../../index.js').CallMessage} call
 */
function errorType({ code, error, outcome }) {
  if (code !== undefined) return code;
  if (error === undefined && outcome !== undefined) return undefined;
  try {
    // An error of another realm, such as Jest's, is of another class.
    if (!(error instanceof Error || isNativeError(error))) return OTHER;
    const { name } = error;
    return typeof name === 'string' && /^[\w.]{1,64}$/.test(name) ? name : OTHER;
  } catch {
    return OTHER; // Its getter throws.
  }
}

module.exports = { DB_OPERATION_NAME, ERROR_TYPE, HTTP_STATUS, OWN, attributesOf, errorType };
