// take(): a session is read and removed by one caller of all, and by none twice.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { byCallback } from '../support/calls.ts';
import { failing } from '../support/failures.ts';
import { fastify } from '../support/framework-apps.ts';
import { calls } from '../support/outcomes.ts';
import { PlainStore } from '../support/plain-store.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { TableItems } from '../support/table-items.ts';

const VERSIONS = [1, 2] as const;
const NOW = Date.UTC(2030, 0, 15, 12, 0, 0, 250);
/** Races for one session each, on both backends and in both versions: 10,000 in all. */
const RACES = 2500;
/** How many of them run at a time. */
const AT_ONCE = 100;

for (const { name, start } of backends) {
  for (const recordVersion of VERSIONS) {
    describe(`take of records of version ${recordVersion} on ${name}`, { timeout: 300_000 }, () => {
      let backend: Backend;
      let store: DynamoDBSessionStore;
      before(async () => {
        backend = await start();
      });
      after(() => backend.stop());
      beforeEach(async () => {
        store = backend.store({ recordVersion });
        await store.clear();
      });
      afterEach(() => mock.timers.reset());
      const another = () => backend.store({ recordVersion });

      it('gives the session that get would give, and removes it', async () => {
        const session = { cookie: { path: '/', expires: new Date(Date.now() + 60_000) }, user: { name: 'Ada', tags: [1, null] } };
        await store.set('sid', session);
        const read = await another().get('sid');
        const taker = another();
        assert.deepStrictEqual(await taker.take('sid'), read);
        assert.equal(await store.record('sid'), null);
        assert.equal(await taker.take('sid'), null);
        assert.deepEqual(taker.stats().sessions, { written: 0, extended: 0, unchanged: 0, gone: 0, taken: 1, conflicts: 0 });
        assert.equal(taker.stats().keyCache.entries, 0, 'the data key is still cached');
      });

      it('calls back once, later, with the session or with null', async () => {
        await store.set('sid', { user: 'Ada' });
        assert.deepEqual(await byCallback((callback) => store.take('sid', callback)), [null, { user: 'Ada' }]);
        assert.deepEqual(await byCallback((callback) => store.take('sid', callback)), [null, null]);
        const [error] = await byCallback((callback) => store.take(7 as any, callback));
        assert.equal(error.code, 'ERR_CONFIG');
        const { take } = store;
        await store.set('sid', { user: 'Bob' });
        assert.deepEqual(await take('sid'), { user: 'Bob' });
      });

      it('an ended session is none, to the store that saved it and to others', async () => {
        mock.timers.enable({ apis: ['Date'], now: NOW });
        await store.set('sid', { user: 'Ada', cookie: { expires: new Date(NOW + 10_000) } });
        mock.timers.tick(9_999);
        assert.notEqual(await another().get('sid'), null, 'the session lives until then');
        mock.timers.tick(1_001);
        for (const taker of [another(), store]) {
          assert.equal(await taker.take('sid'), null);
          assert.equal(taker.stats().sessions.taken, 0);
        }
      });

      it(`has one winner in each of ${RACES} races of two stores`, async (t) => {
        const stores = [another(), another()];
        const race = async (id: string) => {
          await store.set(id, { id });
          const contenders = stores.map((contender) => contender.take(id));
          const won = (await Promise.all(contenders)).filter((session) => session !== null);
          assert.deepEqual(won, [{ id }]);
        };
        for (let first = 0; first < RACES; first += AT_ONCE)
          await Promise.all(Array.from({ length: Math.min(AT_ONCE, RACES - first) }, (_, at) => race(`race-${first + at}`)));
        const [one, other] = stores.map((contender) => contender.stats().sessions.taken);
        assert.equal(one! + other!, RACES);
        assert.equal(await store.length(), 0);
        t.diagnostic(`${one} and ${other} won`);
      });

      it('counts every update that succeeded before it, and no update succeeds after it', async () => {
        const updater = another();
        for (let round = 0; round < 20; round++) {
          await store.set('sid', { count: 0 });
          let counted = 0;
          const updates = async () => {
            while (await updater.update('sid', (session) => void session.count++)) counted++;
          };
          const updating = updates();
          while (counted < 2) await updater.get('sid');
          const taken = await store.take('sid');
          await updating;
          assert.equal(taken?.count, counted);
        }
      });

      it('runs after the calls of its session that were made before it, and before those made later', async () => {
        const session = { user: 'Ada' };
        const saved = store.set('sid', session);
        assert.deepEqual(await store.take('sid'), session);
        await saved;
        const results = await Promise.all([
          store.set('sid', { user: 'Bob' }),
          store.take('sid'),
          store.take('sid'),
          store.set('sid', { user: 'Eve' }),
        ]);
        assert.deepEqual(results, [undefined, { user: 'Bob' }, null, undefined]);
        assert.deepEqual(await store.get('sid'), { user: 'Eve' });
      });

      it('a late save of a taken session brings nothing back, in its own store and in others', async () => {
        for (const taker of [store, another()]) {
          const late = another();
          await late.set('sid', { user: 'Ada' });
          const [held, own] = [await late.get('sid'), await taker.get('sid')];
          const taken = await taker.take('sid');
          await late.set('sid', Object.assign(held!, { note: 'late' }));
          await late.touch('sid', held!);
          await taker.set('sid', Object.assign(own!, { note: 'late' }));
          assert.ok(taken);
          assert.equal(await taker.record('sid'), null);
        }
      });
    });
  }
}

describe('take on DynamoDB', { timeout: 300_000 }, () => {
  let backend: AwsBackend;
  let items: TableItems;
  let plain: PlainStore;
  let proxy: StoppingProxy;
  before(async () => {
    backend = await startAws();
    items = new TableItems(backend.aws);
    plain = new PlainStore(backend.aws);
  });
  after(async () => {
    items.close();
    plain.close();
    await backend.stop();
  });
  beforeEach(async () => {
    proxy = await StoppingProxy.start(backend.aws.dynamodb);
  });
  afterEach(async () => {
    await backend.aws.clearFaults();
    await proxy.close();
  });
  const stopped = (options = {}) => backend.store({ dynamodbEndpoint: proxy.url, ...options });

  it('is one GetItem, one Decrypt and one DeleteItem', async () => {
    await backend.store().set('sid', { user: 'Ada' });
    await backend.aws.reset();
    await backend.store().take('sid');
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 1, 'kms:Decrypt': 1, 'dynamodb:DeleteItem': 1 });
  });

  it('removes nothing where there is no session, or one that has ended', async () => {
    await backend.store().set('ended', { user: 'Ada' });
    await items.change('ended', { ttl: { N: `${Math.floor(Date.now() / 1000) - 1}` } });
    await backend.aws.reset();
    for (const id of ['ended', 'missing']) assert.equal(await backend.store().take(id), null);
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 2 });
    assert.ok(await items.get('ended'), 'Time to Live removes it');
  });

  it('items of others are not taken', async () => {
    const later = { N: `${Math.floor(Date.now() / 1000) + 3600}` };
    const foreign = {
      token: { sessionId: { S: 'token' }, ttl: later, secret: { S: 'of somebody else' } },
      plain: { sessionId: { S: 'plain' }, encryptedData: { S: 'AAAA' }, ttl: later },
      empty: { sessionId: { S: 'empty' } },
    };
    for (const item of Object.values(foreign)) await items.put(item);
    for (const [id, item] of Object.entries(foreign)) {
      await failing(backend.store().take(id), 'ERR_INTEGRITY');
      for (const onIntegrityFailure of ['missing', 'destroy'] as const)
        assert.equal(await backend.store({ onIntegrityFailure }).take(id), null);
      assert.deepEqual(await items.get(id), item);
    }
  });

  for (const recordVersion of VERSIONS) {
    for (const { what, fault, code } of [
      { what: 'an outage', fault: { status: 500, code: 'KMSInternalException' }, code: 'ERR_KMS_UNAVAILABLE' },
      { what: 'throttling', fault: { status: 400, code: 'ThrottlingException' }, code: 'ERR_KMS_THROTTLED' },
      { what: 'a lost permission', fault: { status: 400, code: 'AccessDeniedException' }, code: 'ERR_ACCESS_DENIED' },
      { what: 'a disabled key', fault: { status: 400, code: 'DisabledException' }, code: 'ERR_KMS_KEY_UNUSABLE' },
    ] as const) {
      it(`${what} of KMS leaves a record of version ${recordVersion} as it is, for the next caller`, async () => {
        const store = () => backend.store({ recordVersion });
        await store().set('sid', { user: 'Ada' });
        const item = await items.get('sid');
        await backend.aws.fault({ action: 'kms:Decrypt', ...fault });
        await failing(store().take('sid'), code);
        assert.deepEqual(await items.get('sid'), item);
        await backend.aws.clearFaults();
        assert.deepEqual(await store().take('sid'), { user: 'Ada' });
      });
    }

    it(`a forged record of version ${recordVersion} is given to nobody, and onIntegrityFailure decides whether it stays`, async () => {
      await backend.store({ recordVersion }).set('sid', { user: 'Ada' });
      await backend.store({ recordVersion }).set('other', { user: 'Mallory' });
      const other = await items.get('other');
      await items.change('sid', { encryptedData: other!.encryptedData, authTag: other!.authTag });
      const forged = await items.get('sid');
      await failing(backend.store({ recordVersion }).take('sid'), 'ERR_INTEGRITY');
      assert.deepEqual(await items.get('sid'), forged);
      const taking = async (onIntegrityFailure: 'missing' | 'destroy') => {
        const store = backend.store({ recordVersion, onIntegrityFailure });
        assert.equal(await store.take('sid'), null);
        assert.deepEqual([store.stats().errors, store.stats().sessions.taken], [{ ERR_INTEGRITY: 1 }, 0]);
        return items.get('sid');
      };
      assert.deepEqual(await taking('missing'), forged);
      assert.equal(await taking('destroy'), undefined);
    });
  }

  it('a record of a version that is not accepted stays', async () => {
    await backend.store({ recordVersion: 1 }).set('sid', { user: 'Ada' });
    await failing(backend.store({ recordVersion: 2, acceptVersions: [2] }).take('sid'), 'ERR_VERSION');
    assert.deepEqual(await backend.store().take('sid'), { user: 'Ada' });
  });

  it('what another program has sealed that is no session stays', async () => {
    for (const text of ['"text"', '[1]', 'null', '7']) {
      await plain.put(await plain.record('sid', text));
      await failing(backend.store().take('sid'), 'ERR_SERIALIZATION');
      assert.equal(await plain.open((await backend.store().record('sid'))!), text);
    }
  });

  it('a session that is changed between the read and the removal is taken as it is then', async () => {
    await backend.store().set('sid', { user: 'Ada' });
    const removal = proxy.hold('DeleteItem', 'request');
    const taking = stopped().take('sid');
    await removal.reached;
    await backend.store().update('sid', (session) => ({ ...session, user: 'Bob' }));
    removal.pass();
    assert.deepEqual(await taking, { user: 'Bob' });
    assert.equal(await items.get('sid'), undefined);
  });

  it('a session that is ended between the read and the removal is not taken', async () => {
    await backend.store().set('sid', { user: 'Ada' });
    const removal = proxy.hold('DeleteItem', 'request');
    const taking = stopped().take('sid');
    await removal.reached;
    await items.change('sid', { ttl: { N: `${Math.floor(Date.now() / 1000) - 1}` } });
    removal.pass();
    assert.equal(await taking, null);
  });

  it('a session that is destroyed while KMS does not answer does not come back', async () => {
    await backend.store().set('sid', { user: 'Ada' });
    await backend.aws.fault({ action: 'kms:Decrypt', status: 500, code: 'KMSInternalException' });
    const read = proxy.hold('GetItem', 'answer');
    const taking = stopped().take('sid');
    await read.reached;
    await backend.store().destroy('sid');
    read.pass();
    await failing(taking, 'ERR_KMS_UNAVAILABLE');
    assert.equal(await items.get('sid'), undefined);
  });

  it('a slow request of Fastify, whose session was taken meanwhile in its own process, sends nothing', async (t) => {
    const store = backend.store({ prefix: 'fastify:' });
    const { origin, gate } = await fastify.serve(t, store);
    const browser = new Browser(origin);
    await browser.post('/login/ada');
    const [sid] = await store.ids();
    const answer = browser.post('/slow/change');
    await gate.reached;
    assert.ok(await store.take(sid!));
    const sent = await calls(backend, async () => {
      gate.open();
      assert.equal((await answer).status, 200);
    });
    assert.deepEqual(sent, {});
    assert.equal(await store.length(), 0);
  });

  it('a removal whose reply is lost gives the session to nobody', async () => {
    await backend.store().set('sid', { user: 'Ada' });
    const store = stopped();
    await backend.aws.reset();
    proxy.lose('DeleteItem');
    assert.equal(await store.take('sid'), null);
    assert.equal((await backend.aws.calls())['dynamodb:DeleteItem'], 2);
    assert.equal(store.stats().sessions.taken, 0);
    assert.equal(await items.get('sid'), undefined);
    await backend.store().set('sid', { user: 'Ada' });
    proxy.lose('DeleteItem', 1000);
    await failing(store.take('sid'), 'ERR_DYNAMODB_UNAVAILABLE');
    proxy.lose('DeleteItem', 0);
    assert.equal(await store.take('sid'), null);
  });
});
