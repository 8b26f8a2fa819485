'use strict';

const native = require('./binding.js');
const { kmsClient, docClient } = require('./lib/config.js');
const { SessionStoreError } = require('./lib/errors.js');
const { DynamoDBSessionStore } = require('./lib/store.js');

const { kmsKeyArn: KMS_KEY_ARN, sessionsTable: SESSIONS_TABLE, awsRegion: AWS_REGION } = native.defaults();

// Loaded when they are needed, which is seldom. Functions, not getters: whoever imports this from a module finds names by reading them in the source.
function encryptSessionData(data) {
  return require('./lib/session-data.js').encryptSessionData(data);
}

function decryptSessionData(encryptedData, encryptedKey, iv, authTag) {
  return require('./lib/session-data.js').decryptSessionData(encryptedData, encryptedKey, iv, authTag);
}

function findUnreturnedReplies(app, options) {
  return require('./lib/unreturned-replies.js').findUnreturnedReplies(app, options);
}

module.exports = {
  DynamoDBSessionStore,
  SessionStoreError,
  encryptSessionData,
  decryptSessionData,
  findUnreturnedReplies,
  KMS_KEY_ARN,
  SESSIONS_TABLE,
  AWS_REGION,
  kmsClient,
  docClient,
};
