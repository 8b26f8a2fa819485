'use strict';

// For the class that koa-session's tests give as `ContextStore`: one is made for each request, over the same sessions.

const { LocalStore } = require('./local-store.js');

const shared = new LocalStore();

module.exports = class ContextStore {
  constructor(ctx) {
    this.ctx = ctx;
  }

  get(key) {
    return shared.get(key);
  }

  set(key, session) {
    return shared.set(key, session);
  }

  destroy(key) {
    return shared.destroy(key);
  }
};
