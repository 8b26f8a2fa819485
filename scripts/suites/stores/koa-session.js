'use strict';

// For the object of get, set and destroy that koa-session's tests give as `store`.

const { LocalStore } = require('./local-store.js');

module.exports = new LocalStore();
