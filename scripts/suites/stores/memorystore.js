'use strict';

// For the package `memorystore`, whose number of sessions express-openid-connect's tests read.

const { CountedStore } = require('./local-store.js');

module.exports = () =>
  class MemoryStore extends CountedStore {
    // Its options are about how often it forgets ended sessions.
    constructor() {
      super();
      Object.defineProperty(this, 'store', { get: () => ({ length: this.stored.size }) });
    }

    // express-openid-connect calls with callbacks.
    set(sid, session, callback) {
      return called(super.set(sid, session), callback);
    }

    destroy(sid, callback) {
      return called(super.destroy(sid), callback);
    }
  };

function called(promise, callback) {
  if (!callback) return promise;
  promise.then(() => callback(null), callback);
  return undefined;
}
