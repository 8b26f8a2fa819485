'use strict';

const native = require('../binding.js');
const { environment } = require('./environment.js');
const { failure, unwrap } = require('./errors.js');

/**
 * @param {string} data
 * @returns {Promise<import('../index.js').EncryptionResult>}
 */
async function encryptSessionData(data) {
  if (typeof data !== 'string' || !data.isWellFormed()) {
    throw failure('ERR_SERIALIZATION', 'the data must be a string without lone surrogates');
  }
  return unwrap(await native.encrypt(data, environment()));
}

/**
 * @param {string} encryptedData
 * @param {string} encryptedKey
 * @param {string} iv
 * @param {string} authTag
 * @returns {Promise<string>}
 */
async function decryptSessionData(encryptedData, encryptedKey, iv, authTag) {
  /** @type {[string, string, string, string]} */
  const parts = [encryptedData, encryptedKey, iv, authTag];
  if (!parts.every((part) => typeof part === 'string')) {
    throw failure('ERR_INTEGRITY', 'encryptedData, encryptedKey, iv and authTag must be base64 strings');
  }
  return unwrap(await native.decrypt(...parts, environment()));
}

module.exports = { encryptSessionData, decryptSessionData };
