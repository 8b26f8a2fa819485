'use strict';

const native = require('./binding.js');
const { kmsClient, docClient } = require('./lib/config.js');
const { SessionStoreError } = require('./lib/errors.js');
const { encryptSessionData, decryptSessionData } = require('./lib/session-data.js');
const { DynamoDBSessionStore } = require('./lib/store.js');
const { findUnreturnedReplies } = require('./lib/unreturned-replies.js');

const { kmsKeyArn: KMS_KEY_ARN, sessionsTable: SESSIONS_TABLE, awsRegion: AWS_REGION } = native.defaults();

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
