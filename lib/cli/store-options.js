'use strict';

// The store's options on the command line: the constructor's names in kebab case.

const { UsageError } = require('./usage-error.js');

/**
 * @typedef {object} Option
 * @property {'string' | 'boolean'} type
 * @property {boolean} [multiple]
 * @property {string} [value] what stands for its value in the help.
 * @property {string} help
 * @property {boolean} [hidden] not in the help.
 * @property {boolean} [mayBeEmpty] whether an empty text is a value.
 */

/**
 * Those that say where the sessions are, and how they are sealed.
 * @type {Record<string, Option>}
 */
const STORE_OPTIONS = {
  'table-name': { type: 'string', value: 'NAME', help: 'the DynamoDB table (SESSIONS_TABLE)' },
  'kms-key-arn': {
    type: 'string',
    multiple: true,
    value: 'ARN',
    help: 'the KMS key (KMS_KEY_ARN); repeat it for older keys, the one that wraps first',
  },
  region: { type: 'string', value: 'REGION', help: "the table's region (AWS_REGION)" },
  profile: { type: 'string', value: 'NAME', help: 'the profile of the AWS configuration files (AWS_PROFILE)' },
  'role-arn': { type: 'string', value: 'ARN', help: 'an IAM role to assume for every call' },
  endpoint: { type: 'string', value: 'URL', help: 'one URL for both services, for local servers (AWS_ENDPOINT_URL)' },
  'dynamodb-endpoint': { type: 'string', value: 'URL', help: "DynamoDB's URL (AWS_ENDPOINT_URL_DYNAMODB)" },
  'kms-endpoint': { type: 'string', value: 'URL', help: "KMS's URL (AWS_ENDPOINT_URL_KMS)" },
  prefix: {
    type: 'string',
    value: 'TEXT',
    help: "what the keys of the sessions start with (default: '', which is every prefix)",
  },
  'record-version': { type: 'string', value: 'N', help: 'the version that is written: 1 or 2' },
  'accept-versions': { type: 'string', value: 'N,N', help: 'the versions that are read' },
  'bound-table-name': { type: 'string', value: 'NAME', help: 'the table name that the records are bound to, after a restore' },
  'encryption-context': {
    type: 'string',
    multiple: true,
    value: 'NAME=VALUE',
    help: 'a pair of the encryption context; repeat it for more',
  },
  'hash-session-ids': { type: 'boolean', help: 'the table has hashes of session ids' },
  'hash-session-ids-secret': {
    type: 'string',
    value: 'VARIABLE',
    help: 'the environment variable with the secret of hashSessionIds',
  },
  'users-secret': {
    type: 'string',
    value: 'VARIABLE',
    help: 'the environment variable with users.secret, if the store has the option users',
  },
  'ttl-seconds': { type: 'string', value: 'SECONDS', help: 'the longest life of a session' },
  local: { type: 'string', value: 'PATH', help: 'the folder of local mode, instead of AWS (SESSIONS_LOCAL)' },
};

/**
 * @param {string} option
 * @param {string} value
 */
function wholeNumber(option, value) {
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(Number(value)))
    throw new UsageError(`--${option} takes a whole number, not ${JSON.stringify(value)}`);
  return Number(value);
}

/** @param {string[]} pairs */
function contextOf(pairs) {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
      if (name === undefined) throw new UsageError(`--encryption-context takes NAME=VALUE, not ${JSON.stringify(pair)}`);
      return [name, value];
    }),
  );
}

/**
 * The secret in the environment variable that an option names.
 * @param {Record<string, any>} values
 * @param {string} option
 */
function secretOf(values, option) {
  const secret = process.env[values[option]];
  if (!secret) throw new UsageError(`--${option} names ${values[option]}, which is not set`);
  return secret;
}

/** @param {Record<string, any>} values */
function hashingOf(values) {
  if (values['hash-session-ids-secret'] === undefined) return values['hash-session-ids'];
  return { secret: secretOf(values, 'hash-session-ids-secret') };
}

/** @param {Record<string, any>} values */
function usersOf(values) {
  return values['users-secret'] === undefined ? undefined : { secret: secretOf(values, 'users-secret') };
}

/**
 * The configuration of a store, from the values of these options. Options that were not given are
 * left out.
 * @param {Record<string, any>} values
 * @returns {Record<string, unknown>}
 */
function configOf(values) {
  const number = (/** @type {string} */ name) => (values[name] === undefined ? undefined : wholeNumber(name, values[name]));
  /** @type {Record<string, unknown>} */
  const config = {
    tableName: values['table-name'],
    kmsKeyArn: values['kms-key-arn'],
    region: values.region,
    profile: values.profile,
    roleArn: values['role-arn'],
    endpoint: values.endpoint,
    dynamodbEndpoint: values['dynamodb-endpoint'],
    kmsEndpoint: values['kms-endpoint'],
    prefix: values.prefix,
    recordVersion: number('record-version'),
    acceptVersions: values['accept-versions']
      ?.split(',')
      .map((/** @type {string} */ version) => wholeNumber('accept-versions', version)),
    boundTableName: values['bound-table-name'],
    encryptionContext: values['encryption-context'] && contextOf(values['encryption-context']),
    hashSessionIds: hashingOf(values),
    users: usersOf(values),
    ttlSeconds: number('ttl-seconds'),
    local: values.local === undefined ? undefined : { path: values.local },
  };
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

/**
 * The list of a user is found by the secret.
 * @param {Record<string, any>} values
 */
function checkUser(values) {
  if (values.user !== undefined && values['users-secret'] === undefined)
    throw new UsageError("--user needs --users-secret VARIABLE: the environment variable with the store's users.secret");
}

module.exports = { STORE_OPTIONS, checkUser, configOf, wholeNumber };
