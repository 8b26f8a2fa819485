'use strict';

// For the memory store of koa-generic-session and for that of its tests, as README.md shows it.

const { LocalStore } = require('./local-store.js');

module.exports = class Store extends LocalStore {
  constructor() {
    super({ ttlSeconds: (session) => session.cookie.maxAge / 1000 });
  }
};
