import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock, type TestContext } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, backends, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { type TableItem, TableItems } from '../support/table-items.ts';

/** Saves `count` sessions: `{ number, ...rest }` under `session-000` and so on. */
async function saveMany(store: DynamoDBSessionStore, count: number, rest: object = {}): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, number) => `session-${String(number).padStart(3, '0')}`);
  await Promise.all(ids.map((id, number) => store.set(id, { number, ...rest })));
  return ids;
}

function byId(sessions: any[]): any[] {
  return sessions.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

for (const { name, start } of backends) {
  describe(`many sessions on ${name}`, () => {
    async function started(t: TestContext) {
      const backend = await start();
      t.after(() => backend.stop());
      return backend;
    }

    it('an empty table has none', async (t) => {
      const store = (await started(t)).store();
      assert.deepEqual(await store.all(), []);
      assert.deepEqual(await store.ids(), []);
      assert.equal(await store.length(), 0);
      assert.equal(await store.clear(), undefined);
    });

    it('all gives every session with its id, ids the ids, length the number', async (t) => {
      const backend = await started(t);
      const writer = backend.store({ prefix: 'app:' });
      const sessions: any = { a: { user: 'Ada', cookie: { path: '/' } }, 'ключ/😀': { user: 'Bob', nested: [{}] }, c: {} };
      for (const [id, session] of Object.entries(sessions)) await writer.set(id, session as any);
      for (const store of [writer, backend.store({ prefix: 'app:' })]) {
        const expected = Object.entries(sessions).map(([id, session]: [string, any]) => ({ ...session, id }));
        assert.deepStrictEqual(byId(await store.all()), byId(expected));
        assert.deepEqual((await store.ids()).sort(), Object.keys(sessions).sort());
        assert.equal(await store.length(), 3);
      }
    });

    it('a prefix separates stores of one table', async (t) => {
      const backend = await started(t);
      const prefixes = ['app:', 'apps:', 'ключ:', '%_', 'zz'];
      const stores = prefixes.map((prefix) => backend.store({ prefix }));
      for (const [number, store] of stores.entries()) {
        await store.set('same id', { number });
        await store.set(`of ${number}`, {});
      }
      for (const [number, store] of stores.entries()) {
        assert.deepStrictEqual(await store.get('same id'), { number });
        assert.deepEqual((await store.ids()).sort(), [`of ${number}`, 'same id']);
        assert.equal(await store.length(), 2);
        assert.deepEqual(byId(await store.all()), [{ id: `of ${number}` }, { number, id: 'same id' }]);
      }
      const whole = backend.store();
      assert.equal(await whole.length(), 10);
      assert.ok((await whole.ids()).includes('app:same id'));
      await stores[0].clear();
      assert.equal(await stores[0].length(), 0);
      assert.equal(await stores[0].get('same id'), null);
      for (const [number, store] of stores.entries()) {
        if (number > 0) assert.deepStrictEqual(await store.get('same id'), { number });
      }
      assert.equal(await whole.length(), 8);
    });

    it('more sessions than one page of a scan holds are all found and all removed', async (t) => {
      const backend = await started(t);
      // As long as a busy machine may take for 520 saves at once.
      const store = backend.store({ timeouts: { attemptMillis: 20_000, callMillis: 30_000 } });
      const ids = await saveMany(store, 520); // the local mode looks at 500 at a time, DynamoDB at 1 MB
      await Promise.all(
        Array.from({ length: 5 }, (_, number) => store.set(`large-${number}`, { filler: 'x'.repeat(200_000), number })),
      );
      const expected = [...ids, ...Array.from({ length: 5 }, (_, number) => `large-${number}`)].sort();
      assert.deepEqual((await store.ids()).sort(), expected);
      assert.equal(await store.length(), 525);
      const all = byId(await backend.store().all());
      assert.deepEqual(
        all.map(({ id }) => id),
        expected,
      );
      for (const { id, number } of all) assert.equal(Number(id.split('-')[1]), number);
      await store.clear();
      assert.deepEqual(await store.ids(), []);
      assert.equal(await store.record('session-519'), null);
      assert.equal(await store.record('large-4'), null);
    });

    it('clear removes expired sessions too', async (t) => {
      mock.timers.enable({ apis: ['Date'], now: Date.UTC(2030, 0, 1) });
      t.after(() => mock.timers.reset());
      const store = (await started(t)).store({ ttlSeconds: 30 });
      await store.set('expired', {});
      mock.timers.tick(30_000); // local mode removes what has ended at the earliest a minute after its last look
      await store.set('alive', {});
      assert.deepEqual(await store.ids(), ['alive']);
      assert.notEqual(await store.record('expired'), null);
      await store.clear();
      assert.equal(await store.record('expired'), null);
      assert.equal(await store.record('alive'), null);
    });

    it('a cleared store goes on', async (t) => {
      const store = (await started(t)).store();
      await store.set('again', { user: 'Ada' });
      await store.clear();
      await store.set('again', { user: 'Bob' });
      assert.deepEqual(await store.all(), [{ user: 'Bob', id: 'again' }]);
    });
  });
}

describe('many sessions on the wire', () => {
  let backend: AwsBackend;
  let table: TableItems;
  let store: DynamoDBSessionStore;
  beforeEach(async () => {
    backend = await startAws();
    table = new TableItems(backend.aws);
    store = backend.store();
  });
  afterEach(async () => {
    table.close();
    await backend.stop();
  });

  it('items of others in the table are neither returned, counted nor removed', async () => {
    const ttl = { N: String(Math.floor(Date.now() / 1000) + 3600) };
    const others: TableItem[] = [
      { sessionId: { S: 'TOKEN#4711' }, token: { S: 'bearer' }, userId: { N: '7' }, ttl },
      { sessionId: { S: 'REFRESH_LOCK#4711' }, owner: { S: 'pod-1' }, expiresAt: { N: '1' } },
      { sessionId: { S: 'bare' } },
      { sessionId: { S: 'plain' }, encryptedData: { S: 'AA==' }, iv: { S: 'AA==' }, authTag: { S: 'AA==' }, ttl },
      { sessionId: { S: 'without version' }, encryptedData: { S: 'AA==' }, encryptedKey: { S: 'AA==' }, ttl },
      { sessionId: { S: 'without encryptedKey' }, encryptedData: { S: 'AA==' }, version: { N: '1' }, ttl },
      { sessionId: { S: 'without encryptedData' }, encryptedKey: { S: 'AA==' }, version: { N: '1' }, ttl },
    ];
    for (const item of others) await table.put(item);
    const before = await table.all();
    assert.equal(Object.keys(before).length, others.length);
    await store.set('ours', { user: 'Ada' });
    assert.deepEqual(await store.all(), [{ user: 'Ada', id: 'ours' }]);
    assert.deepEqual(await store.ids(), ['ours']);
    assert.equal(await store.length(), 1);
    await store.clear();
    assert.equal(await store.get('ours'), null);
    assert.deepEqual(await table.all(), before);
    const prefixed = backend.store({ prefix: 'TOKEN#' });
    assert.deepEqual([await prefixed.ids(), await prefixed.all(), await prefixed.length()], [[], [], 0]);
    await prefixed.clear();
    assert.deepEqual(await table.all(), before);
  });

  it('scans page by page until the end of the table, and read the newest state', async () => {
    for (let number = 0; number < 5; number++) await store.set(`large-${number}`, { filler: 'x'.repeat(250_000) });
    for (const method of ['ids', 'length', 'all'] as const) {
      await backend.aws.reset();
      const result: any = await store[method]();
      assert.equal(method === 'length' ? result : result.length, 5);
      const scans = (await backend.aws.requests()).filter(({ action }) => action === 'dynamodb:Scan');
      assert.ok(scans.length > 1, `${scans.length} scan`);
      assert.equal(scans[0].body.ExclusiveStartKey, undefined);
      for (const { body } of scans.slice(1)) assert.match(body.ExclusiveStartKey.sessionId.S, /^large-/);
      for (const { body } of scans) assert.equal(body.ConsistentRead, true);
      const calls = await backend.aws.calls();
      delete calls['dynamodb:Scan'];
      assert.deepEqual(calls, {}, 'the keys are cached, and ids and length need none');
    }
  });

  it('ids and length ask for nothing but keys, and nothing of KMS', async () => {
    await saveMany(store, 3);
    const cold = backend.store();
    await backend.aws.reset();
    await cold.ids();
    await cold.length();
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:Scan': 2 });
    for (const { body } of await backend.aws.requests()) assert.equal(body.ProjectionExpression, 'sessionId');
  });

  it('clear deletes in batches of 25', async () => {
    await saveMany(store, 60);
    await backend.aws.reset();
    await store.clear();
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:Scan': 1, 'dynamodb:BatchWriteItem': 3 });
    const batches = (await backend.aws.requests()).filter(({ action }) => action === 'dynamodb:BatchWriteItem');
    assert.deepEqual(
      batches.map(({ body }) => body.RequestItems.sessions.length),
      [25, 25, 10],
    );
    assert.deepEqual(await table.all(), {});
  });

  it('clear sends again what DynamoDB left unprocessed', async () => {
    await saveMany(store, 30);
    await backend.aws.reset();
    await backend.aws.fault({ action: 'dynamodb:BatchWriteItem', unprocessed: 2, times: 2 });
    await store.clear();
    assert.deepEqual(await table.all(), {});
    const batches = (await backend.aws.requests()).filter(({ action }) => action === 'dynamodb:BatchWriteItem');
    assert.deepEqual(
      batches.map(({ body }) => body.RequestItems.sessions.length),
      [25, 2, 2, 5],
    );
  });

  it('a record that was changed makes all fail, while ids and length work, and nothing is deleted', async () => {
    await saveMany(store, 3, { secret: 'Plaintext-4711' });
    const { encryptedData } = (await table.get('session-001'))!;
    const bytes = Buffer.from(encryptedData.S!, 'base64');
    bytes[0] ^= 1;
    await table.change('session-001', { encryptedData: { S: bytes.toString('base64') } });
    await failing(store.all(), 'ERR_INTEGRITY', ['Plaintext-4711', 'session-001', encryptedData.S!]);
    assert.deepEqual((await store.ids()).sort(), ['session-000', 'session-001', 'session-002']);
    assert.equal(await store.length(), 3);
    assert.equal(Object.keys(await table.all()).length, 3);
    await table.change('session-001', { encryptedData });
    assert.equal((await store.all()).length, 3);
  });

  it('a record of a later version makes all fail with ERR_VERSION, and clear removes it', async () => {
    await saveMany(store, 2);
    await table.change('session-001', { version: { N: '3' } });
    await failing(store.all(), 'ERR_VERSION');
    assert.equal(await store.length(), 2);
    await store.clear();
    assert.deepEqual(await table.all(), {});
  });

  it('a session whose ttl is missing is no live one, and is not lost', async () => {
    await saveMany(store, 2);
    await table.change('session-001', { ttl: undefined });
    assert.deepEqual(await store.ids(), ['session-000']);
    assert.deepEqual(await store.all(), [{ number: 0, id: 'session-000' }]);
    await failing(store.get('session-001'), 'ERR_INTEGRITY');
    assert.notEqual(await table.get('session-001'), undefined);
  });
});
