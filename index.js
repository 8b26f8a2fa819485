'use strict';

const native = require('./binding.js');
const { kmsClient, docClient } = require('./lib/config.js');
const { environment } = require('./lib/environment.js');
const { SessionStoreError } = require('./lib/errors.js');
const { guardNewApplications } = require('./lib/fastify-app.js');
const { DynamoDBSessionStore } = require('./lib/store.js');

const { kmsKeyArn: KMS_KEY_ARN, sessionsTable: SESSIONS_TABLE, awsRegion: AWS_REGION } = native.defaults(environment());

// Loaded when they are needed, which is seldom. Functions, not getters: whoever imports this from a
// module finds names by reading them in the source.
/** @param {string} data */
function encryptSessionData(data) {
  return require('./lib/envelope.js').encryptSessionData(data);
}

/**
 * @param {string} encryptedData
 * @param {string} encryptedKey
 * @param {string} iv
 * @param {string} authTag
 */
function decryptSessionData(encryptedData, encryptedKey, iv, authTag) {
  return require('./lib/envelope.js').decryptSessionData(encryptedData, encryptedKey, iv, authTag);
}

/**
 * @param {import('./index.js').FastifyApplication} app
 * @param {import('./index.js').GuardRepliesOptions} [options]
 */
function guardReplies(app, options) {
  return require('./lib/reply-guard/index.js').guardReplies(app, options);
}

const findUnreturnedReplies = guardReplies;

guardNewApplications();

module.exports = {
  DynamoDBSessionStore,
  SessionStoreError,
  encryptSessionData,
  decryptSessionData,
  guardReplies,
  findUnreturnedReplies,
  KMS_KEY_ARN,
  SESSIONS_TABLE,
  AWS_REGION,
  kmsClient,
  docClient,
};
