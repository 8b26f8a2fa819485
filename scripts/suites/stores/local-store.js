'use strict';

const { mkdtempSync } = require('node:fs');
const { join } = require('node:path');

const { ours, stores } = JSON.parse(process.env.SUITE);
const { DynamoDBSessionStore } = require(ours);

/** The store that is tested, in local mode, with a folder of its own: as empty as a new MemoryStore. */
class LocalStore extends DynamoDBSessionStore {
  constructor(options = {}) {
    super({ local: { path: mkdtempSync(join(stores, 'store-')) }, ...options });
  }
}

/** One that knows, like a Map, without waiting, which sessions it has. */
class CountedStore extends LocalStore {
  stored = new Set();

  async set(sid, session) {
    await DynamoDBSessionStore.prototype.set.call(this, sid, session);
    this.stored.add(sid);
  }

  async destroy(sid) {
    await DynamoDBSessionStore.prototype.destroy.call(this, sid);
    this.stored.delete(sid);
  }
}

module.exports = { LocalStore, CountedStore };
