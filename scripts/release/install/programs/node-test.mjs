// The store in a test of node:test: the runner ends, although the store was never closed.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { use } from './use.cjs';

const path = mkdtempSync(join(tmpdir(), 'node-test-'));
after(() => rmSync(path, { recursive: true }));

it('works', () => use(DynamoDBSessionStore));
it('may be left open', async () => {
  const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path } });
  await store.set('an id', { cookie: {} });
});
