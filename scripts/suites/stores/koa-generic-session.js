'use strict';

// For the memory store of koa-generic-session and for that of its tests, as README.md shows it.

const { LocalStore } = require('./local-store.js');

/** What koa-generic-session gives a cookie that names no end. */
const A_DAY_MS = 86_400_000;

module.exports = class Store extends LocalStore {
  constructor() {
    super({ ttlSeconds: ({ cookie }) => (cookie?.maxAge ?? A_DAY_MS) / 1000 });
  }
};
