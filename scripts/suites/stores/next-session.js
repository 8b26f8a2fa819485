'use strict';

// For next-session's src/memory-store.ts, whose tests write sessions into its Map.

const { CountedStore } = require('./local-store.js');

class MemoryStore extends CountedStore {
  store = {
    // The tests replace the store's own methods.
    set: (sid, json) => CountedStore.prototype.set.call(this, sid, JSON.parse(json)),
    has: (sid) => this.stored.has(sid),
  };
}

module.exports = { __esModule: true, default: MemoryStore };
