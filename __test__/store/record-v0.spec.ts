// Items without `version`, which an earlier implementation wrote with the attributes of version 1: nobody's by default, and records of a store that accepts 0.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import { DynamoDBSessionStore, type SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, quiet, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { PlainStore } from '../support/plain-store.ts';
import { TableItems } from '../support/table-items.ts';

const NOW = Date.UTC(2030, 0, 15, 12);
const SESSION = { cookie: { path: '/', originalMaxAge: 3_600_000 }, user: 'ada' };
const ACCEPTING = { acceptVersions: [0, 1, 2] } as const;

describe('an item without version', { timeout: 300_000 }, () => {
  let backend: AwsBackend;
  let plain: PlainStore;
  let items: TableItems;
  let count = 0;
  /** Its key in the table, `app:` and its id. */
  let key: string;
  let sid: string;
  before(async () => {
    backend = await startAws();
    plain = new PlainStore(backend.aws);
    items = new TableItems(backend.aws);
    mock.timers.enable({ apis: ['Date'], now: NOW });
  });
  beforeEach(async () => {
    sid = `session-${count++}`;
    key = `app:${sid}`;
    await write(key);
  });
  afterEach(async () => {
    mock.timers.setTime(NOW);
    await backend.store().clear();
    await backend.store(accepting()).clear();
  });
  after(async () => {
    mock.timers.reset();
    plain.close();
    items.close();
    await backend.stop();
  });

  const accepting = (options: SessionStoreConfig = {}): SessionStoreConfig => ({
    prefix: 'app:',
    ...ACCEPTING,
    acceptVersions: [...ACCEPTING.acceptVersions],
    ...options,
  });

  /** As the earlier implementation writes it: AWS SDK v3 and node:crypto. */
  async function write(sessionId: string, session: object = SESSION, lifetime = 3600): Promise<void> {
    const { version: _, ...item } = await plain.record(sessionId, JSON.stringify(session), lifetime);
    await plain.put(item);
  }

  const versionOf = async (sessionId: string) => (await plain.item(sessionId))?.version?.N;

  it('is read as version 1 where 0 is accepted, with one Decrypt for many reads', async () => {
    const store = backend.store(accepting());
    await backend.aws.reset();
    assert.deepEqual(await store.get(sid), SESSION);
    assert.deepEqual(await store.get(sid), SESSION);
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 2, 'kms:Decrypt': 1 });
    const record = await store.record(sid);
    assert.deepEqual([record?.version, record?.sessionId], [0, key]);
    assert.equal(await versionOf(key), undefined, 'a read writes nothing');
  });

  for (const recordVersion of [1, 2] as const) {
    it(`is written anew by the next save, as version ${recordVersion}, also of what has not changed`, async () => {
      const store = backend.store(accepting({ recordVersion }));
      const session = await store.get(sid);
      await store.set(sid, session!);
      await quiet(store);
      assert.equal(await versionOf(key), String(recordVersion));
      assert.deepEqual(await backend.store({ prefix: 'app:' }).get(sid), SESSION, 'for every store');
      await backend.aws.reset();
      await store.set(sid, session!);
      await quiet(store);
      assert.deepEqual(await backend.aws.calls(), {}, 'once');
    });

    it(`is written anew by the next touch, as version ${recordVersion}`, async () => {
      const store = backend.store(accepting({ recordVersion }));
      const session = await store.get(sid);
      await new Promise<void>((resolve, reject) => store.touch(sid, session!, (error) => (error ? reject(error) : resolve())));
      await quiet(store);
      assert.equal(await versionOf(key), String(recordVersion));
      assert.deepEqual(await store.get(sid), SESSION);
    });

    it(`is written anew by update, as version ${recordVersion}`, async () => {
      const store = backend.store(accepting({ recordVersion }));
      await store.update(sid, (session) => {
        session.user = 'grace';
      });
      assert.equal(await versionOf(key), String(recordVersion));
      assert.deepEqual(await store.get(sid), { ...SESSION, user: 'grace' });
    });
  }

  it('is not written over by a save of a session that was read before another wrote it', async () => {
    const store = backend.store(accepting({ onConflict: 'error' }));
    const session = await store.get(sid);
    await write(key, { ...SESSION, user: 'grace' });
    session!.user = 'eve';
    await failing(store.set(sid, session!), 'ERR_CONFLICT');
    assert.deepEqual(await backend.store(accepting()).get(sid), { ...SESSION, user: 'grace' });
  });

  it('is removed by destroy', async () => {
    const store = backend.store(accepting());
    await store.get(sid);
    await store.destroy(sid);
    assert.equal(await plain.item(key), undefined);
  });

  it('is listed, counted and cleared where 0 is accepted, beside records with a version', async () => {
    await backend.store({ prefix: 'app:' }).set('versioned', SESSION);
    const store = backend.store(accepting());
    assert.deepEqual((await store.ids()).toSorted(), [sid, 'versioned']);
    assert.equal(await store.length(), 2);
    const all = await store.all();
    assert.deepEqual(
      all.toSorted((a, b) => a.id.localeCompare(b.id)),
      [
        { ...SESSION, id: sid },
        { ...SESSION, id: 'versioned' },
      ],
    );
    await store.clear();
    assert.deepEqual(Object.keys(await items.all()), []);
  });

  it("is nobody's by default: read as unreadable, and neither listed, counted nor cleared", async () => {
    const store = backend.store({ prefix: 'app:' });
    await failing(store.get(sid), 'ERR_INTEGRITY');
    assert.deepEqual([await store.ids(), await store.length(), await store.all()], [[], 0, []]);
    await store.clear();
    assert.ok(await plain.item(key));
  });

  it('that has ended is no session, not listed, and cleared', async () => {
    const store = backend.store(accepting());
    mock.timers.setTime(NOW + 3_600_000);
    assert.equal(await store.get(sid), null);
    assert.deepEqual([await store.ids(), await store.length(), await store.all()], [[], 0, []]);
    await store.clear();
    assert.equal(await plain.item(key), undefined);
  });

  it('that was changed fails its integrity check, and is removed where that is asked for', async () => {
    const { authTag } = await plain.record('other', JSON.stringify(SESSION));
    await items.change(key, { authTag: { S: authTag } });
    await failing(backend.store(accepting()).get(sid), 'ERR_INTEGRITY');
    assert.equal(await backend.store({ prefix: 'app:', onIntegrityFailure: 'destroy' }).get(sid), null);
    assert.ok(await plain.item(key), 'it is not the store’s without 0');
    assert.equal(await backend.store(accepting({ onIntegrityFailure: 'destroy' })).get(sid), null);
    assert.equal(await plain.item(key), undefined);
  });

  it('of another application stays: with other attributes, with one that is missing, and leases', async () => {
    const whole = (await plain.item(key))!;
    const foreign: Record<string, any> = {
      'app:TOKEN-1': { token: { S: 'bearer' }, ttl: { N: String(NOW / 1000 + 60) } },
    };
    for (const name of ['encryptedData', 'encryptedKey', 'iv', 'authTag', 'ttl']) {
      const { [name]: _, sessionId: __, ...rest } = whole;
      foreign[`app:without-${name}`] = rest;
    }
    for (const [sessionId, item] of Object.entries(foreign)) await items.put({ ...item, sessionId: { S: sessionId } });
    const store = backend.store(accepting());
    let release = () => {};
    const held = store.withLock('leased', () => new Promise<void>((resolve) => (release = resolve)));
    while (Object.keys(await items.all()).length < 8) await new Promise(setImmediate);
    assert.deepEqual(await store.ids(), [sid]);
    assert.equal(await store.length(), 1);
    await store.clear();
    const left = Object.keys(await items.all());
    assert.equal(left.length, 7, left.join());
    assert.deepEqual(left.filter((id) => id in foreign).toSorted(), Object.keys(foreign).toSorted());
    release();
    await held;
    for (const id of Object.keys(foreign)) await failing(store.get(id.slice('app:'.length)), 'ERR_INTEGRITY');
    for (const id of Object.keys(foreign)) await store.destroy(id.slice('app:'.length));
  });

  it('is read where only it and version 2 are accepted, and version 1 is not', async () => {
    const store = backend.store(accepting({ recordVersion: 2, acceptVersions: [0, 2] }));
    assert.deepEqual(await store.get(sid), SESSION);
    await backend.store({ prefix: 'app:' }).set('first', SESSION);
    await failing(store.get('first'), 'ERR_VERSION');
  });

  it('is never what a store writes, nor all that it reads', () => {
    const refused = (options: object, detail: RegExp) =>
      assert.throws(
        () => new DynamoDBSessionStore(options),
        (error: any) => error.code === 'ERR_CONFIG' && detail.test(error.detail),
      );
    refused({ recordVersion: 0 }, /^recordVersion must be 1 or 2/);
    refused({ recordVersion: 0, acceptVersions: [0, 1, 2] }, /^recordVersion must be 1 or 2/);
    refused({ recordVersion: 1, acceptVersions: [0] }, /^acceptVersions must contain 1/);
    refused({ recordVersion: 1, acceptVersions: [0, 1, '0'] }, /^acceptVersions\[2\] must be 0, 1 or 2/);
    refused({ recordVersion: 1, acceptVersions: [0, 1, -1] }, /^acceptVersions\[2\] must be 0, 1 or 2/);
  });
});
