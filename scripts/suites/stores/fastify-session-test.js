'use strict';

// For test/TestStore.js of @fastify/session: the tests put sessions into its Map, and read there what was saved.

const { LocalStore } = require('./local-store.js');

module.exports = class TestStore extends LocalStore {
  #saved = new Set();

  constructor(sessions = new Map()) {
    super();
    this.store = sessions;
  }

  set(sid, session, callback) {
    super.set(sid, session, (error) => {
      if (!error) {
        this.#saved.add(sid);
        this.store.set(sid, JSON.parse(JSON.stringify(session)));
      }
      callback(error);
    });
  }

  get(sid, callback) {
    if (!this.store.has(sid) || this.#saved.has(sid)) return super.get(sid, callback);
    this.#saved.add(sid);
    return super.set(sid, this.store.get(sid), (error) => (error ? callback(error) : super.get(sid, callback)));
  }

  destroy(sid, callback) {
    super.destroy(sid, (error) => {
      if (!error) this.store.delete(sid);
      callback(error);
    });
  }
};
