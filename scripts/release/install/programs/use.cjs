// A store in local mode is written, read and emptied, with promises and with callbacks. Loads the package with require.

const assert = require('node:assert/strict');
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { DynamoDBSessionStore, SessionStoreError } = require('connect-dynamodb-kms');

async function use(Store) {
  const path = mkdtempSync(join(tmpdir(), 'use-'));
  const store = new Store({ local: { path }, recordVersion: 2 });
  const session = { cookie: {}, user: 'ada', tokens: { access: 'ya29.a0' } };
  await store.set('an id', session);
  assert.deepEqual(await store.get('an id'), session);
  assert.equal(JSON.stringify(await store.record('an id')).includes('ya29'), false);
  const seen = await new Promise((done, failed) => store.get('an id', (error, found) => (error ? failed(error) : done(found))));
  assert.deepEqual(seen, session);
  await store.destroy('an id');
  assert.equal(await store.get('an id'), null);
  await store.close();
  await assert.rejects(store.get('an id'), { code: 'ERR_CLOSED' });
  rmSync(path, { recursive: true });
}

module.exports = { use };
if (require.main === module) {
  assert.throws(() => new DynamoDBSessionStore({ unknown: 1 }), SessionStoreError);
  use(DynamoDBSessionStore).then(() => console.log('used'));
}
