'use strict';

// For test/fixture/store.js of express-openid-connect: a Redis store, and the Redis client with which the tests look behind it.

const { LocalStore } = require('./local-store.js');

module.exports = () => {
  const store = new LocalStore();
  const set = (sid, json) => store.set(sid, JSON.parse(json));
  const client = {
    set,
    asyncSet: set,
    asyncGet: (sid) => store.get(sid),
    asyncDbsize: () => store.length(),
    asyncTtl: async (sid) => (await store.record(sid)).ttl - Math.floor(Date.now() / 1000),
    flushall: (callback) => store.clear(callback),
    quit: (callback) => store.close(callback),
  };
  return { client, store };
};
