'use strict';

// For lib/store.js of @fastify/session.

const { LocalStore } = require('./local-store.js');

class MemoryStore extends LocalStore {}

module.exports = MemoryStore;
module.exports.default = MemoryStore;
module.exports.Store = MemoryStore;
module.exports.MemoryStore = MemoryStore;
