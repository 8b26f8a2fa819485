'use strict';

// For grant's lib/session.js: the same, with this store in the place of the object of get, set and remove that the tests give.

const { join } = require('node:path');
const { LocalStore } = require('./local-store.js');

const session = require(join(JSON.parse(process.env.SUITE).checkout, 'lib', 'session.js'));

module.exports = (options) => {
  if (!options.store) return session(options);
  const { get, set, destroy } = new LocalStore();
  return session({ ...options, store: { get, set, remove: destroy } });
};
