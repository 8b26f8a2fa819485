// As use.cjs, with import: by name, by default, and a path that the package does not give.

import assert from 'node:assert/strict';
import * as namespace from 'connect-dynamodb-kms';
import whole, { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { use } from './use.cjs';

assert.equal(whole.DynamoDBSessionStore, DynamoDBSessionStore);
assert.equal(namespace.DynamoDBSessionStore, DynamoDBSessionStore);
await use(DynamoDBSessionStore);
console.log('used');
