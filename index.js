'use strict';

const native = require('./binding.js');
const { kmsClient, docClient } = require('./lib/config.js');
const { environment } = require('./lib/environment.js');
const { SessionStoreError } = require('./lib/errors.js');
const { guardNewApplications } = require('./lib/fastify-app.js');
const { LATENCY_BUCKETS } = require('./lib/latencies.js');
const { SealedStore } = require('./lib/sealed-store.js');
const { DynamoDBSessionStore } = require('./lib/store.js');

const { kmsKeyArn: KMS_KEY_ARN, sessionsTable: SESSIONS_TABLE, awsRegion: AWS_REGION } = native.defaults(environment());

// Loaded on first use, because they are rarely needed. They are functions, not getters, so that ES
// modules can detect the names of the exports in the source.
/** @param {string} data */
function encryptSessionData(data) {
  return require('./lib/plain-envelope.js').encryptSessionData(data);
}

/**
 * @param {string} encryptedData
 * @param {string} encryptedKey
 * @param {string} iv
 * @param {string} authTag
 */
function decryptSessionData(encryptedData, encryptedKey, iv, authTag) {
  return require('./lib/plain-envelope.js').decryptSessionData(encryptedData, encryptedKey, iv, authTag);
}

/** @param {import('./index.js').EnvelopeConfig} [config] */
function createEnvelope(config) {
  return require('./lib/envelope.js').createEnvelope(config);
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
  SealedStore,
  SessionStoreError,
  encryptSessionData,
  decryptSessionData,
  createEnvelope,
  guardReplies,
  findUnreturnedReplies,
  KMS_KEY_ARN,
  SESSIONS_TABLE,
  AWS_REGION,
  LATENCY_BUCKETS,
  kmsClient,
  docClient,
};
