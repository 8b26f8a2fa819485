'use strict';

// For express-session's session/memory.js.

const { LocalStore } = require('./local-store.js');

module.exports = class MemoryStore extends LocalStore {
  constructor() {
    // express-session's tests count on every touch being stored.
    super({ touchAfter: 0 });
  }
};
