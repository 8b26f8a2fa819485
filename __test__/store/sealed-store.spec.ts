// SealedStore: values that are no sessions, sealed as sessions are, beside sessions in one table.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, beforeEach, describe, it, mock } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { inspect } from 'node:util';
import { DynamoDBSessionStore, SealedStore, type SealedStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, quietLogger, startAws } from '../support/backends.ts';
import { assertNothingOf, failing } from '../support/failures.ts';
import { PlainStore } from '../support/plain-store.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { TableItems } from '../support/table-items.ts';

const NOW = Date.UTC(2030, 0, 15, 12, 0, 0, 250);

/** Every kind of JSON, and what looks like a session, a sealed item, or a payload with a hashed id. */
const VALUES: unknown[] = [
  { user: 'Ada', nested: { list: [1, 2.5, -0.001, 1e300], empty: {} } },
  [],
  [[]],
  [1, 'two', null, { three: 3 }],
  ['id', { user: 'Mallory' }],
  'text with "quotes", \\ and \u2028 漢字 🙂',
  '\ud800 a lone surrogate',
  '',
  0,
  -1.5,
  true,
  false,
  null,
  { cookie: { expires: '1970-01-01T00:00:00.000Z' }, expires: 0, ttl: 1, maxAge: -1 },
  { kind: 'item', version: 9, sessionId: 'another' },
];

/** Makes item stores on a backend, and closes them. */
class Items {
  readonly #backend: Backend;
  readonly #stores: SealedStore[] = [];

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  store<T = any>(options: SealedStoreConfig = {}): SealedStore<T> {
    const { tableName, dynamodbEndpoint, kmsEndpoint, local } = this.#backend.config;
    const store = new SealedStore<T>({ logger: quietLogger(), tableName, dynamodbEndpoint, kmsEndpoint, local, ...options });
    this.#stores.push(store);
    return store;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()));
    await this.#backend.stop();
  }
}

for (const { name, start } of backends) {
  describe(`SealedStore on ${name}`, { timeout: 300_000 }, () => {
    let backend: Backend;
    let items: Items;
    let store: SealedStore;
    before(async () => {
      backend = await start();
      items = new Items(backend);
    });
    after(() => items.stop());
    beforeEach(async () => {
      mock.timers.reset();
      store = items.store();
      await store.clear();
    });

    for (const options of [{}, { hashSessionIds: false }, { recordVersion: 1 }, { prefix: '', keyCache: false }] as const) {
      it(`gives back every kind of JSON value with ${JSON.stringify(options)}`, async () => {
        const own = items.store({ prefix: 'kinds:', ...options });
        for (const [at, value] of VALUES.entries()) {
          const id = `id ${at} "]`;
          await own.put(id, value);
          for (const reader of [own, items.store({ prefix: 'kinds:', ...options })]) {
            assert.deepStrictEqual(await reader.get(id), value);
          }
          assert.deepStrictEqual(await items.store({ prefix: 'kinds:', ...options }).take(id), value);
          assert.equal(await own.get(id), null);
        }
        await own.clear();
      });
    }

    it('gives what JSON.stringify makes of a value, and a new object each time', async () => {
      const value = { date: new Date(0), left: undefined, not: Number.NaN, toJSON: undefined };
      await store.put('id', value);
      const read = await store.get('id');
      assert.deepStrictEqual(read, { date: '1970-01-01T00:00:00.000Z', not: null });
      read.date = 'changed';
      assert.notDeepEqual(await store.get('id'), read);
    });

    it('put overwrites, delete removes, and the writes of an id are in order', async () => {
      const results = await Promise.all([
        store.put('id', 1),
        store.put('id', 2),
        store.take('id'),
        store.put('id', 3),
        store.delete('id'),
        store.put('id', 4),
        store.get('id'),
      ]);
      assert.deepEqual(results, [undefined, undefined, 2, undefined, undefined, undefined, 4]);
      await store.delete('id');
      await store.delete('id');
      assert.equal(await store.get('id'), null);
    });

    it('an item ends after the ttlSeconds of its put, else of its store, else seven days', async () => {
      mock.timers.enable({ apis: ['Date'], now: NOW });
      const short = items.store({ ttlSeconds: 600 });
      await short.put('by put', 1, { ttlSeconds: 60 });
      await short.put('by store', 1);
      await store.put('by default', 1);
      const left = async () => {
        const all = ['by put', 'by store', 'by default'];
        const values = await Promise.all(all.map((id) => store.get(id)));
        return all.filter((_, at) => values[at] === 1);
      };
      mock.timers.tick(59_000);
      assert.deepEqual(await left(), ['by put', 'by store', 'by default']);
      mock.timers.tick(1_000);
      assert.deepEqual(await left(), ['by store', 'by default']);
      assert.equal(await items.store().take('by put'), null);
      assert.equal(await store.update('by put', () => 2), null);
      assert.equal(await store.length(), 2);
      mock.timers.tick(540_000);
      assert.deepEqual(await left(), ['by default']);
      mock.timers.tick(604_800_000 - 601_000);
      assert.deepEqual(await left(), ['by default']);
      mock.timers.tick(1_000);
      assert.deepEqual(await left(), []);
    });

    it('of several takes, one gets the value', async () => {
      const stores = [items.store(), items.store(), items.store()];
      for (let round = 0; round < 50; round++) {
        await store.put(`code ${round}`, { round });
        const won = await Promise.all([...stores, ...stores].map((taker) => taker.take(`code ${round}`)));
        assert.deepEqual(
          won.filter((value) => value !== null),
          [{ round }],
        );
      }
      const taken = stores.map((taker) => taker.stats().items.taken);
      assert.equal(
        taken.reduce((sum, count) => sum + count),
        50,
      );
    });

    describe('update', () => {
      it('writes what the function has changed or returned, and gives it', async () => {
        await store.put('id', { count: 1 });
        assert.deepEqual(await store.update('id', (value) => void value.count++), { count: 2 });
        assert.deepEqual(await store.update('id', async (value) => ({ ...value, more: true })), { count: 2, more: true });
        assert.deepEqual(await items.store().get('id'), { count: 2, more: true });
        for (const value of VALUES) {
          assert.deepStrictEqual(await store.update('id', () => value), value);
          assert.deepStrictEqual(await items.store().get('id'), value);
        }
      });

      it('is null without an item, and makes none', async () => {
        assert.equal(await store.update('id', () => assert.fail('it ran')), null);
        assert.equal(await store.get('id'), null);
      });

      it('loses no change of several stores', async () => {
        await store.put('id', 0);
        const stores = [items.store(), items.store()];
        const adding = stores.flatMap((own) => Array.from({ length: 10 }, () => own.update('id', (count) => count + 1)));
        await Promise.all(adding);
        assert.equal(await store.get('id'), 20);
        assert.equal(
          stores.reduce((sum, own) => sum + own.stats().items.written, 0),
          20,
        );
      });

      it('keeps the end', async () => {
        mock.timers.enable({ apis: ['Date'], now: NOW });
        await store.put('id', 1, { ttlSeconds: 60 });
        mock.timers.tick(50_000);
        assert.equal(await store.update('id', () => 2), 2);
        mock.timers.tick(9_000);
        assert.equal(await items.store().get('id'), 2);
        mock.timers.tick(1_000);
        assert.equal(await items.store().get('id'), null);
      });

      it('gives null for an item that ends while the function runs, as if it had ended before', async () => {
        mock.timers.enable({ apis: ['Date'], now: NOW });
        await store.put('id', 1, { ttlSeconds: 60 });
        const during = (millis: number) =>
          store.update('id', async (value) => {
            mock.timers.tick(millis);
            return value + 1;
          });
        assert.equal(await during(59_000), 2);
        assert.equal(await during(1_000), null);
        assert.equal(store.stats().items.written, 2);
      });

      it('refuses a function that changes the value and returns something else, and writes nothing', async () => {
        await store.put('id', { count: 1 });
        await failing(
          store.update('id', (value) => (value.count = 2)),
          'ERR_CONFIG',
        );
        await failing(
          store.update('id', () => 1n),
          'ERR_SERIALIZATION',
        );
        await failing(store.update('id', 7 as any), 'ERR_CONFIG');
        await failing(
          store.update('id', () => {}, { seconds: 1 } as any),
          'ERR_CONFIG',
        );
        const mine = new Error('of the function');
        await assert.rejects(
          store.update('id', () => {
            throw mine;
          }),
          mine,
        );
        assert.deepEqual(await store.get('id'), { count: 1 });
      });

      it('fails at its deadline if somebody always writes first', async () => {
        await store.put('id', 0);
        const other = items.store();
        const late = async (value: number) => {
          await other.put('id', value + 1);
          return -1;
        };
        const outcome = store.update('id', late, { deadlineSeconds: 0 });
        await assert.rejects(outcome, { code: 'ERR_CONFLICT', retryable: true });
        assert.equal(await store.get('id'), 1);
        assert.equal(store.stats().items.conflicts, 1);
      });
    });

    it('withLock runs one task of an id at a time, whether or not there is an item', async () => {
      const stores = [store, items.store()];
      let running = 0;
      const task = async () => {
        assert.equal(++running, 1);
        await pause(5);
        running--;
        return 'done';
      };
      const done = await Promise.all([...stores, ...stores].map((own) => own.withLock('id', task)));
      assert.deepEqual(done, ['done', 'done', 'done', 'done']);
      assert.equal(await store.length(), 0, 'a lease was left or counted');
    });

    it('refuses what is no JSON value, no id and no option', async () => {
      const cycle: any = {};
      cycle.self = cycle;
      for (const value of [undefined, () => {}, Symbol('s'), 1n, cycle, { toJSON: () => undefined }, { n: 1n }]) {
        await failing(store.put('id', value), 'ERR_SERIALIZATION');
      }
      for (const id of [undefined, null, 7, '', {}, '\ud800', 'x'.repeat(2048)] as any[]) {
        for (const call of [
          () => store.put(id, 1),
          () => store.get(id),
          () => store.take(id),
          () => store.delete(id),
          () => store.update(id, () => {}),
          () => store.withLock(id, () => {}),
        ]) {
          await failing(call(), 'ERR_CONFIG');
        }
      }
      for (const options of [{ ttlSeconds: '60' }, { ttlSeconds: 0 }, { ttlSeconds: Number.NaN }, { ttl: 60 }, null, 7] as any[])
        await failing(store.put('id', 1, options), 'ERR_CONFIG');
      await failing(store.put('id', 'x'.repeat(410_000)), 'ERR_SESSION_TOO_LARGE');
      assert.equal(await store.length(), 0);
    });

    it('a value that just fits is stored', async () => {
      const own = items.store({ prefix: 'size:' });
      let [fits, not] = [300_000, 410_000];
      while (not - fits > 1) {
        const middle = Math.floor((fits + not) / 2);
        const put = own.put('id', 'x'.repeat(middle)).then(
          () => true,
          (error) => assert.equal(error.code, 'ERR_SESSION_TOO_LARGE'),
        );
        if (await put) fits = middle;
        else not = middle;
      }
      assert.equal((await own.get('id')).length, fits);
      await own.clear();
    });

    it('methods work when they are taken out of the store, and do not show among its properties', async () => {
      const own = items.store({ prefix: 'detached:' });
      assert.deepEqual(Object.keys(own), []);
      const { put, get, take, delete: remove, update, withLock, ids, length, clear, ping, stats, close } = own;
      await put('id', 1);
      assert.equal(await get('id'), 1);
      assert.equal(await update('id', () => 2), 2);
      assert.deepEqual([await ids(), await length()], [['id'], 1]);
      assert.equal(await take('id'), 2);
      await put('id', 3);
      await remove('id');
      await clear();
      await ping();
      assert.equal(await withLock('id', () => 4), 4);
      assert.deepEqual(stats().items, { written: 3, taken: 1, conflicts: 0 });
      await close();
      await failing(get('id'), 'ERR_CLOSED');
      await close();
    });

    it('close waits for what was asked for before', async () => {
      const own = items.store();
      const put = own.put('id', 'before close');
      await own.close();
      await put;
      assert.equal(await store.get('id'), 'before close');
    });

    for (const hashSessionIds of [true, false]) {
      it(`and session stores leave each other's records alone (hashSessionIds: ${hashSessionIds})`, async () => {
        const sessions = [
          backend.store(),
          backend.store({ prefix: 'item:', hashSessionIds, recordVersion: 2 }),
          backend.store({ prefix: 'app:', recordVersion: 2 }),
        ];
        const stores = [items.store({ hashSessionIds }), items.store({ prefix: 'code:', hashSessionIds })];
        for (const [at, own] of sessions.entries()) await own.set(`session ${at}`, { user: at });
        for (const [at, own] of stores.entries()) await own.put(`item ${at}`, { user: at });
        const [all, same, app] = sessions as [DynamoDBSessionStore, DynamoDBSessionStore, DynamoDBSessionStore];
        assert.equal(await all.length(), 3);
        assert.equal((await all.ids()).length, 3);
        assert.equal((await all.all()).length, 3);
        assert.deepEqual([await same.ids(), await same.length()], [['session 1'], 1]);
        for (const [at, own] of stores.entries()) assert.deepEqual([await own.ids(), await own.length()], [[`item ${at}`], 1]);
        // The same prefix and the same id, so the same key.
        for (const call of [same.get('item 0'), same.take('item 0'), stores[0]!.get('session 1'), stores[0]!.take('session 1')])
          await failing(call, 'ERR_INTEGRITY');
        await failing(
          stores[0]!.update('session 1', () => 7),
          'ERR_INTEGRITY',
        );
        await backend.store({ prefix: 'item:', hashSessionIds, onIntegrityFailure: 'destroy' }).get('item 0');
        await items.store({ hashSessionIds, onIntegrityFailure: 'destroy' }).get('session 1');
        await all.clear();
        assert.deepEqual(await Promise.all(stores.map((own) => own.length())), [1, 1]);
        await app.set('session', { user: 'Ada' });
        await stores[0]!.clear();
        assert.deepEqual(await Promise.all(stores.map((own) => own.length())), [0, 1]);
        assert.deepEqual(await app.get('session'), { user: 'Ada' });
        assert.deepEqual(await stores[1]!.get('item 1'), { user: 1 });
        await stores[1]!.clear();
        await app.clear();
      });
    }
  });
}

describe('SealedStore on DynamoDB', { timeout: 300_000 }, () => {
  let backend: AwsBackend;
  let items: Items;
  let table: TableItems;
  before(async () => {
    backend = await startAws();
    items = new Items(backend);
    table = new TableItems(backend.aws);
  });
  after(async () => {
    table.close();
    await items.stop();
  });

  it('the table shows nothing of ids and values', async () => {
    const id = 'an id of a pending login';
    await items.store().put(id, { secret: 'a value nobody may read' });
    const all = await table.all();
    assert.equal(Object.keys(all).length, 1);
    const [[key, item]] = Object.entries(all) as [[string, any]];
    assert.match(key, /^item:[\w-]{43}$/);
    assert.deepEqual([item.version, item.kind], [{ N: '2' }, { S: 'item' }]);
    const bytes = Object.values(item).map((value: any) =>
      value.B ? Buffer.from(value.B).toString('latin1') : JSON.stringify(value),
    );
    assertNothingOf([id, 'secret', 'a value nobody may read', 'pending'], bytes.join('\n'));
    await items.store().clear();
  });

  it('the calls to AWS are those of a session', async () => {
    const store = items.store();
    const calls = async (work: () => Promise<unknown>) => {
      await backend.aws.reset();
      await work();
      return backend.aws.calls();
    };
    assert.deepEqual(await calls(() => store.put('id', 1)), { 'kms:GenerateDataKey': 1, 'dynamodb:PutItem': 1 });
    assert.deepEqual(await calls(() => store.put('id', 2)), { 'dynamodb:PutItem': 1 });
    assert.deepEqual(await calls(() => store.get('id')), { 'dynamodb:GetItem': 1 });
    const update = () => store.update('id', () => 3);
    assert.deepEqual(await calls(update), { 'dynamodb:GetItem': 1, 'dynamodb:PutItem': 1 });
    assert.deepEqual(await calls(update), { 'dynamodb:GetItem': 1 });
    assert.deepEqual(await calls(() => store.take('id')), { 'dynamodb:GetItem': 1, 'dynamodb:DeleteItem': 1 });
    assert.equal(store.stats().keyCache.entries, 0, 'the data key is still cached');
  });

  it('an outage of KMS leaves the item for the next take, and a forged one goes to nobody', async () => {
    await items.store().put('id', 'value');
    await backend.aws.fault({ action: 'kms:Decrypt', status: 500, code: 'KMSInternalException' });
    await failing(items.store().take('id'), 'ERR_KMS_UNAVAILABLE');
    await backend.aws.clearFaults();
    const [key] = Object.keys(await table.all());
    const item = await table.get(key!);
    await table.change(key!, { authTag: { B: Buffer.alloc(16) } });
    await failing(items.store().take('id'), 'ERR_INTEGRITY');
    assert.equal(await items.store({ onIntegrityFailure: 'missing' }).take('id'), null);
    assert.equal(await items.store({ onIntegrityFailure: 'missing' }).get('id'), null);
    await table.put(item!);
    assert.equal(await items.store().take('id'), 'value');
  });

  it('a session that somebody relabels as an item is none, and the other way round', async (t) => {
    const plain = new PlainStore(backend.aws);
    t.after(() => plain.close());
    const options = { prefix: '', hashSessionIds: false, recordVersion: 1 } as const;
    await plain.set('session', { user: 'Ada' });
    await table.change('session', { kind: { S: 'item' } });
    await items.store(options).put('item', { user: 'Ada' });
    await table.change('item', { kind: undefined });
    const errors = [
      await failing(items.store(options).get('session'), 'ERR_SERIALIZATION'),
      await failing(items.store(options).take('session'), 'ERR_SERIALIZATION'),
      await failing(backend.store().get('item'), 'ERR_SERIALIZATION'),
      await failing(backend.store().take('item'), 'ERR_SERIALIZATION'),
    ];
    assert.equal(errors.length, 4);
    assert.deepEqual(Object.keys(await table.all()).sort(), ['item', 'session']);
    for (const id of ['item', 'session']) await backend.store().destroy(id);
  });

  it('by default, records of version 1 are not accepted', async () => {
    const old = items.store({ recordVersion: 1 });
    await old.put('id', 1);
    await failing(items.store().get('id'), 'ERR_VERSION');
    assert.equal(await items.store({ acceptVersions: [1, 2] }).get('id'), 1);
    assert.equal(await items.store({ recordVersion: 1 }).get('id'), 1);
    await old.clear();
  });

  it('a value that is changed between the read and the removal is taken as it is then', async (t) => {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    await items.store().put('id', 'old');
    const removal = proxy.hold('DeleteItem', 'request');
    const taking = items.store({ dynamodbEndpoint: proxy.url }).take('id');
    await removal.reached;
    await items.store().update('id', () => 'new');
    removal.pass();
    assert.equal(await taking, 'new');
  });

  it('failures are counted, and logged as of an item whose id does not show', async () => {
    const logger = quietLogger();
    const store = items.store({ logger });
    await failing(store.put('the-whole-id', undefined), 'ERR_SERIALIZATION');
    assert.deepEqual(store.stats().errors, { ERR_SERIALIZATION: 1 });
    assert.equal(logger.lines.length, 1);
    assert.match(logger.lines[0]!, /put of item [0-9a-f]{8} failed: ERR_SERIALIZATION/);
    assertNothingOf(['the-whole-id'], logger.lines[0]!);
  });

  it('calls beyond maxCallsInFlight are refused', async () => {
    const store = items.store({ maxCallsInFlight: 2 });
    const outcomes = await Promise.allSettled([store.get('a'), store.get('b'), store.get('c')]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    );
    assert.equal((outcomes[2] as PromiseRejectedResult).reason.code, 'ERR_OVERLOADED');
  });
});

describe('the options of SealedStore', () => {
  const refused = (config: any, ...says: string[]) => {
    let error: any;
    try {
      new SealedStore(config);
    } catch (thrown) {
      error = thrown;
    }
    assert.equal(error?.code, 'ERR_CONFIG', `not refused: ${inspect(config)}`);
    for (const text of says) assert.ok(error.detail.includes(text), error.detail);
  };

  it('refuse those that make sense for sessions alone, by name', () => {
    const foreign = { touchAfter: 60, onConflict: 'error', maxRecentSessions: 10, guardReplies: false };
    for (const [option, value] of Object.entries(foreign)) {
      refused({ [option]: value }, option, 'SealedStore');
      new SealedStore({ [option]: undefined } as object);
    }
    refused({ ttlSeconds: () => 60 }, 'ttlSeconds', 'put');
  });

  it('are checked as those of a session store are', () => {
    refused({ tablename: 'sessions' }, 'tablename', 'see SealedStoreConfig in index.d.ts');
    refused({ recordVersion: 3 }, 'recordVersion');
    refused({ recordVersion: 2, acceptVersions: [1] }, 'acceptVersions');
    refused({ ttlSeconds: 0 }, 'ttlSeconds');
    refused({ onIntegrityFailure: 'ignore' }, 'onIntegrityFailure');
    refused({ kind: 'item' }, 'kind');
    for (const config of [null, [], 'x', 7, new Map()]) refused(config);
    class Config {
      get ttlSeconds() {
        return -1;
      }
    }
    for (const config of [new Config(), Object.create({ ttlSeconds: 60 })]) refused(config, 'plain object');
    const throwing = Object.defineProperty({}, 'prefix', {
      enumerable: true,
      get() {
        throw new Error('prefix');
      },
    });
    refused(throwing);
    assert.throws(() => new DynamoDBSessionStore({ kind: 'item', recordVersion: 1 } as any), { code: 'ERR_CONFIG' });
  });

  it('with a secret, log lines name items by the hash under it', async () => {
    const logger = quietLogger();
    const secret = 'a secret of the tests';
    const store = new SealedStore({ logger, hashSessionIds: { secret } });
    await store.close();
    await failing(store.take('123456'), 'ERR_CLOSED');
    const hash = createHmac('sha256', secret).update('123456').digest('hex');
    assert.match(logger.lines.join(), new RegExp(`of item ${hash.slice(0, 8)} failed`));
  });

  it('of a call are those of a plain object alone', async (t) => {
    const store = new SealedStore({ logger: quietLogger() });
    t.after(() => store.close());
    class Options {
      get ttlSeconds() {
        return 60;
      }
    }
    for (const options of [new Options(), Object.create({ ttlSeconds: 60 }), [], new Map(), null] as any[]) {
      await failing(store.put('an id', 1, options), 'ERR_CONFIG');
      await failing(
        store.update('an id', () => 1, options),
        'ERR_CONFIG',
      );
      await failing(
        store.withLock('an id', () => 1, options),
        'ERR_CONFIG',
      );
    }
  });

  it('have defaults of their own, also where they are given as undefined', async () => {
    const logger = quietLogger();
    const stores = [
      new SealedStore({ logger }),
      new SealedStore({ logger, prefix: undefined, hashSessionIds: undefined, recordVersion: undefined }),
    ];
    assert.deepEqual(logger.lines, [], 'no warning of recordVersion');
    await Promise.all(stores.map((store) => store.close()));
  });
});
