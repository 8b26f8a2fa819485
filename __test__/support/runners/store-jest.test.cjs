// Run by Jest 27, 29 and 30; see test-runners.spec.ts.

/* global jest, describe, it, expect, beforeEach, afterEach */

const early = process.env.FAKE_BEFORE_LOADING === 'yes';
if (early) jest.useFakeTimers();

const packages = {
  DynamoDBSessionStore: require('connect-dynamodb-kms').DynamoDBSessionStore,
  express: require('express'),
  session: require('express-session'),
  request: require('supertest'),
};
const remove = () => jest.useRealTimers();
const fakes = early
  ? { 'fake timers before the store is loaded': { install() {}, remove() {} } }
  : {
      'real timers': { install: remove, remove },
      'fake timers': { install: () => jest.useFakeTimers(), remove },
    };
require('./cases.cjs')({ runner: { describe, it, expect, beforeEach, afterEach }, fakes, packages });
