// Two copies of the package in one process, as two versions of it would be: each with its own binary, errors and stores.

const assert = require('node:assert/strict');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const one = require('connect-dynamodb-kms');
const { use } = require('./use.cjs');

const two = createRequire(join(process.argv[2], 'index.js'))('connect-dynamodb-kms');
assert.notEqual(one.DynamoDBSessionStore, two.DynamoDBSessionStore);
const binaries = Object.keys(require.cache).filter((path) => path.endsWith('.node'));
assert.equal(binaries.length, 2, binaries.join());
Promise.all([use(one.DynamoDBSessionStore), use(two.DynamoDBSessionStore), use(one.DynamoDBSessionStore)]).then(() =>
  console.log('used'),
);
