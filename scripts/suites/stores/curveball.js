'use strict';

// For the memory store of @curveball/session.

const { randomBytes } = require('node:crypto');
const { LocalStore } = require('./local-store.js');

exports.__esModule = true;
exports.default = class MemoryStore {
  constructor() {
    const { get, set, destroy } = new LocalStore();
    Object.assign(this, { get, set: (id, session) => set(id, session), delete: destroy });
  }

  async newSessionId() {
    return randomBytes(32).toString('base64');
  }
};
