// Stores that share a table by prefixes: each has its own sessions, whatever the prefixes are.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type Backend, backends } from '../support/backends.ts';
import { hold } from '../support/lease-holder.ts';

/** Each is the start of others, or could be taken for it. */
const PREFIXES = [
  'app',
  'app2',
  'app:',
  'app2:',
  'app:2',
  'app:admin:',
  'app: a:',
  'app::',
  'app#',
  'app%:',
  'lease:',
  'a',
  'a:',
];
/** What one store calls an id can be another one's prefix and id. */
const IDS = [
  'x',
  '2:x',
  '2x',
  ':x',
  'admin:x',
  ' a:x',
  '%:x',
  '#x',
  '100%',
  '%3A',
  'iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1AxyzxyzxyzAB',
];

for (const { name, start } of backends) {
  describe(`prefixes on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    beforeEach(() => backend.store().clear());

    for (const recordVersion of [1, 2] as const) {
      it(`every store lists, reads and clears its own sessions alone, in version ${recordVersion}`, async () => {
        const stores = PREFIXES.flatMap((prefix) =>
          [false, true].map((hashSessionIds) => ({
            what: `${prefix}${hashSessionIds ? ', hashed' : ''}`,
            hashSessionIds,
            prefix,
            store: backend.store({ prefix, hashSessionIds, recordVersion }),
          })),
        );
        // One of each pair of stores that differ in nothing but the hashing: those share their prefix.
        for (const hashed of [0, 1]) {
          const own = stores.filter((_, index) => (index + (index >> 1)) % 2 === hashed);
          for (const { what, store } of own) for (const id of IDS) await store.set(id, { what, id });
          const sorted = [...IDS].sort();
          for (const { what, store } of own) {
            for (const id of IDS) assert.deepStrictEqual(await store.get(id), { what, id });
            assert.deepEqual((await store.ids()).sort(), sorted, what);
            assert.equal(await store.length(), IDS.length, what);
            const all: any[] = await store.all();
            assert.deepEqual(all.map(({ id }) => id).sort(), sorted, what);
            for (const session of all) assert.equal(session.what, what);
          }
          const [first, ...others] = own as [(typeof own)[0], ...typeof own];
          await first.store.clear();
          assert.equal(await first.store.length(), 0);
          for (const { what, store } of others) assert.equal(await store.length(), IDS.length, what);
          for (const { store } of own) {
            await store.clear();
            assert.equal(await store.length(), 0);
          }
          assert.equal(await backend.store().length(), 0);
        }
      });

      it(`a store of plain ids without a prefix has the whole table, hashed ids included, in version ${recordVersion}`, async () => {
        const options = { recordVersion };
        const whole = backend.store(options);
        const hashed = backend.store({ ...options, prefix: 'app:', hashSessionIds: true });
        await whole.set('own', { user: 'Ada' });
        await backend.store({ ...options, prefix: 'app:' }).set('plain', { user: 'Bob' });
        await hashed.set('hidden', { user: 'Eve' });
        const key = (await hashed.record('hidden'))!.sessionId;
        const ids = ['own', 'app:plain', key].sort();
        for (const store of [whole, backend.store(options)]) {
          assert.deepEqual((await store.ids()).sort(), ids);
          assert.equal(await store.length(), 3);
          const all: any[] = await store.all();
          assert.deepStrictEqual(Object.fromEntries(all.map(({ id, ...session }) => [id, session])), {
            own: { user: 'Ada' },
            'app:plain': { user: 'Bob' },
            [key]: { user: 'Eve' },
          });
          assert.deepStrictEqual(await store.get('app:plain'), { user: 'Bob' });
          // The key of a hashed id is no session's id: it is listed, and neither read nor changed as one.
          assert.equal(await store.get(key), null);
          assert.equal(await store.update(key, () => assert.fail('no session')), null);
          await store.touch(key, {});
        }
        assert.deepStrictEqual(await hashed.get('hidden'), { user: 'Eve' });
        await whole.clear();
        assert.equal(await hashed.length(), 0);
      });
    }

    it('a store of hashed ids without a prefix has its own sessions alone', async () => {
      const hashed = backend.store({ hashSessionIds: true });
      await backend.store({ prefix: 'app:' }).set('plain', {});
      await backend.store({ prefix: 'app:', hashSessionIds: true }).set('hidden', {});
      await hashed.set('own', { user: 'Ada' });
      assert.deepEqual(await hashed.ids(), ['own']);
      assert.equal(await hashed.length(), 1);
      assert.deepStrictEqual(await hashed.all(), [{ user: 'Ada', id: 'own' }]);
      await hashed.clear();
      assert.equal(await backend.store().length(), 2);
    });

    it('the keys of usual prefixes and ids are prefix and id', async () => {
      const keys: Array<[string, string, string]> = [
        ['app:', 'iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A', 'app:iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A'],
        ['SESSION#', 'a.b/c+d=', 'SESSION#a.b/c+d='],
        ['prod:app:', 'x', 'prod:app:x'],
        ['', 'koa:sess:1', 'koa:sess:1'],
        ['app:', '#a:b', 'app:#a:b'],
        ['app: a:', 'x', 'app%3A a:x'],
        ['app', 'x', 'app%:x'],
        ['app:', 'admin:x#1', 'app:admin%3Ax%231'],
      ];
      for (const [prefix, id, key] of keys) {
        const store = backend.store({ prefix });
        await store.set(id, {});
        assert.equal((await store.record(id))!.sessionId, key);
      }
    });

    it('no session id reaches a lease', async () => {
      const leases: Array<[string, DynamoDBSessionStore]> = ['', 'app:', 'app'].map((prefix) => [
        prefix,
        backend.store({ prefix }),
      ]);
      for (const [prefix, store] of leases) {
        await store.set('sid', {});
        const own = (await store.record('sid'))!.sessionId;
        const hash = createHash('sha256').update(own).digest('base64url');
        const stem = own.slice(0, -'sid'.length);
        const lease = await hold(store, 'sid', { leaseSeconds: 60 });
        for (const [other, id] of [
          [store, `lease:${hash}`],
          [backend.store(), `${stem}lease:${hash}`],
          [backend.store({ prefix: `${stem}lease:` }), hash],
        ] as Array<[DynamoDBSessionStore, string]>) {
          assert.equal(await other.get(id), null, prefix);
          assert.equal(await other.record(id), null);
          await other.touch(id, {});
          await other.destroy(id);
          await other.set(id, { user: 'Ada' });
          assert.deepStrictEqual(await other.get(id), { user: 'Ada' });
          assert.ok((await other.ids()).includes(id));
          await other.destroy(id);
        }
        // Nobody else can take it.
        await assert.rejects(
          store.withLock('sid', () => assert.fail('somebody has it'), { waitSeconds: 0 }),
          {
            code: 'ERR_LOCK_TIMEOUT',
          },
        );
        assert.equal(await lease.end(), 'the result');
      }
    });
  });
}
