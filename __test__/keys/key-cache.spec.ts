import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { KMS_KEY_ARN } from 'connect-dynamodb-kms';
import { type AwsBackend, backends, startAws } from '../support/backends.ts';
import { byCallback } from '../support/calls.ts';
import { assertFailure, failing } from '../support/failures.ts';
import { startHttp } from '../support/http-server.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { TableItems } from '../support/table-items.ts';

describe('data keys', () => {
  let backend: AwsBackend;
  beforeEach(async () => {
    backend = await startAws();
  });
  afterEach(() => backend.stop());

  /** The bodies of the requests of one action since the last reset. */
  async function bodies(action: string): Promise<any[]> {
    return (await backend.aws.requests()).filter((request) => request.action === action).map(({ body }) => body);
  }

  it('one is made for a session and serves all its saves and reads in the same store', async () => {
    const store = backend.store();
    await store.set('sid', { visit: 0 });
    const { encryptedKey } = (await store.record('sid'))!;
    for (let visit = 1; visit <= 10; visit++) {
      assert.deepStrictEqual(await store.get('sid'), { visit: visit - 1 });
      await store.set('sid', { visit });
      await store.touch('sid', { visit });
    }
    assert.equal((await store.record('sid'))!.encryptedKey, encryptedKey);
    assert.deepEqual(await backend.aws.calls(), {
      'kms:GenerateDataKey': 1,
      'dynamodb:PutItem': 11,
      'dynamodb:UpdateItem': 10,
      'dynamodb:GetItem': 12,
    });
  });

  it('a store that starts cold unwraps once for many reads, and takes the same key for later saves', async () => {
    await backend.store().set('sid', { visit: 0 });
    const store = backend.store();
    const { encryptedKey } = (await store.record('sid'))!;
    await backend.aws.reset();
    for (let read = 0; read < 10; read++) assert.deepStrictEqual(await store.get('sid'), { visit: 0 });
    for (let visit = 1; visit <= 5; visit++) await store.set('sid', { visit });
    assert.deepStrictEqual(await store.get('sid'), { visit: 5 });
    assert.deepEqual(await backend.aws.calls(), { 'kms:Decrypt': 1, 'dynamodb:GetItem': 11, 'dynamodb:PutItem': 5 });
    assert.equal((await store.record('sid'))!.encryptedKey, encryptedKey);
    assert.deepStrictEqual(await backend.store().get('sid'), { visit: 5 });
  });

  it('all unwraps each key once, and leaves them for the reads that follow', async () => {
    const writer = backend.store();
    for (const sid of ['a', 'b', 'c']) await writer.set(sid, {});
    const store = backend.store();
    await backend.aws.reset();
    await store.all();
    await store.all();
    for (const sid of ['a', 'b', 'c']) await store.get(sid);
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:Scan': 2, 'kms:Decrypt': 3, 'dynamodb:GetItem': 3 });
  });

  it('with keyCache false, one is made at every save and unwrapped at every read', async () => {
    const store = backend.store({ keyCache: false });
    const wrapped = new Set<string>();
    for (let visit = 0; visit < 3; visit++) {
      await store.set('sid', { visit });
      wrapped.add((await store.record('sid'))!.encryptedKey);
    }
    for (let read = 0; read < 4; read++) assert.deepStrictEqual(await store.get('sid'), { visit: 2 });
    await store.touch('sid', {});
    assert.equal(wrapped.size, 3);
    assert.deepEqual(await backend.aws.calls(), {
      'kms:GenerateDataKey': 3,
      'kms:Decrypt': 4,
      'dynamodb:PutItem': 3,
      'dynamodb:GetItem': 7,
      'dynamodb:UpdateItem': 1,
    });
  });

  it('a hundred reads of one cold session at a time unwrap its key once', async () => {
    await backend.store().set('sid', { user: 'Ada' });
    const store = backend.store();
    await backend.aws.reset();
    const sessions = await Promise.all(Array.from({ length: 100 }, () => store.get('sid')));
    for (const session of sessions) assert.deepStrictEqual(session, { user: 'Ada' });
    assert.equal(new Set(sessions).size, 100);
    const { 'kms:Decrypt': unwrapped, ...reads } = await backend.aws.calls();
    assert.equal(unwrapped, 1);
    const requests = Object.values(reads).reduce((sum, count) => sum + count, 0);
    assert(requests <= 100, `${requests} requests`);
  });

  it('a hundred first saves of one session at a time make one key', async () => {
    const store = backend.store();
    await Promise.all(Array.from({ length: 100 }, (_, number) => store.set('sid', { number })));
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:PutItem': 100, 'kms:GenerateDataKey': 1 });
    assert.equal(typeof (await backend.store().get('sid'))!.number, 'number');
  });

  it('when KMS refuses, every one of a hundred reads fails, and the next ones work once KMS does', async () => {
    await backend.store().set('sid', { user: 'Ada' });
    const store = backend.store();
    await backend.aws.fault({ action: 'kms:Decrypt', status: 400, code: 'DisabledException', message: 'disabled' });
    await Promise.all(Array.from({ length: 100 }, () => failing(store.get('sid'), 'ERR_KMS_KEY_UNUSABLE')));
    await backend.aws.clearFaults();
    await backend.aws.reset();
    const sessions = await Promise.all(Array.from({ length: 100 }, () => store.get('sid')));
    for (const session of sessions) assert.deepStrictEqual(session, { user: 'Ada' });
    assert.equal((await backend.aws.calls())['kms:Decrypt'], 1);
  });

  it('when KMS makes no key, every first save fails and nothing is written, and the next one works once KMS does', async () => {
    const store = backend.store();
    await backend.aws.fault({ action: 'kms:GenerateDataKey', status: 400, code: 'DisabledException', message: 'disabled' });
    await Promise.all(Array.from({ length: 20 }, () => failing(store.set('sid', { user: 'Ada' }), 'ERR_KMS_KEY_UNUSABLE')));
    assert.equal((await backend.aws.calls())['dynamodb:PutItem'], undefined);
    await backend.aws.clearFaults();
    await store.set('sid', { user: 'Ada' });
    assert.deepStrictEqual(await store.get('sid'), { user: 'Ada' });
  });

  it('sessions whose keys are cached work while KMS does not', async () => {
    const store = backend.store();
    await store.set('sid', { user: 'Ada' });
    await backend.aws.fault({ action: 'kms:*', status: 400, code: 'DisabledException', message: 'disabled' });
    await store.set('sid', { user: 'Bob' });
    assert.deepStrictEqual(await store.get('sid'), { user: 'Bob' });
  });

  it('destroy wipes it: a record put back must be unwrapped again', async (t) => {
    const table = new TableItems(backend.aws);
    t.after(() => table.close());
    const store = backend.store();
    await store.set('sid', { user: 'Ada' });
    await store.set('other', { user: 'Bob' });
    const item = (await table.get('sid'))!;
    await store.destroy('sid');
    await table.put(item);
    await backend.aws.reset();
    assert.deepStrictEqual(await store.get('sid'), { user: 'Ada' });
    assert.equal((await backend.aws.calls())['kms:Decrypt'], 1);
    await store.get('other');
    assert.equal((await backend.aws.calls())['kms:Decrypt'], 1, 'the key of another session went with it');
  });

  it('a read that overlaps destroy does not bring it back, wherever the read is when the session goes', async (t) => {
    const [table, kms] = [await StoppingProxy.start(backend.aws.dynamodb), await StoppingProxy.start(backend.aws.kms)];
    t.after(() => Promise.all([table.close(), kms.close()]));
    for (const [stops, operation] of [
      [table, 'GetItem'],
      [kms, 'Decrypt'],
    ] as const) {
      await backend.store().set('sid', { user: 'Ada' });
      const store = backend.store({ dynamodbEndpoint: table.url, kmsEndpoint: kms.url });
      const held = stops.hold(operation, 'answer');
      const reading = store.get('sid');
      await held.reached;
      await store.destroy('sid');
      held.pass();
      assert.deepStrictEqual(await reading, { user: 'Ada' });
      assert.equal(store.stats().keyCache.loads, 1);
      assert.equal(store.stats().keyCache.entries, 0, `held at ${operation}`);
    }
  });

  it('a read between the wiping and the delete does not bring it back', async (t) => {
    const table = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => table.close());
    await backend.store().set('sid', { user: 'Ada' });
    const store = backend.store({ dynamodbEndpoint: table.url });
    const read = table.hold('GetItem', 'request');
    const reading = store.get('sid');
    await read.reached;
    const removal = table.hold('DeleteItem', 'request');
    const destroyed = store.destroy('sid');
    await removal.reached;
    read.pass();
    assert.deepStrictEqual(await reading, { user: 'Ada' });
    removal.pass();
    await destroyed;
    assert.deepEqual([store.stats().keyCache.loads, store.stats().keyCache.entries], [1, 0]);
  });

  it('while KMS hangs, calls that end begin no other load, and share its failure', async (t) => {
    await backend.store().set('sid', { user: 'Ada' });
    let decrypts = 0;
    const silent = await startHttp(() => void decrypts++);
    t.after(() => silent.close());
    const store = backend.store({ kmsEndpoint: silent.url, timeouts: { attemptMillis: 4000, callMillis: 4000 } });
    const first = failing(store.get('sid'), 'ERR_KMS_UNAVAILABLE');
    await delay(1500); // of the 4,000 that a call has
    const others = Array.from({ length: 300 }, () => failing(store.get('sid'), 'ERR_KMS_UNAVAILABLE'));
    await Promise.all([first, ...others]);
    assert.equal(decrypts, 1);
    assert.deepEqual([store.stats().keyCache.loads, store.stats().keyCache.loadFailures], [0, 1]);
  });

  it('while KMS hangs, calls that wait for an earlier one of their session do not blame DynamoDB', async (t) => {
    const silent = await startHttp(() => {});
    t.after(() => silent.close());
    const store = backend.store({ kmsEndpoint: silent.url, timeouts: { attemptMillis: 1000, callMillis: 1000 } });
    await failing(store.set('another', { user: 'Ada' }), 'ERR_KMS_UNAVAILABLE'); // which makes the clients
    const calls = Array.from({ length: 5 }, () => store.set('sid', { user: 'Ada' }));
    const errors = await Promise.all(
      calls.map((call) =>
        call.then(
          () => assert.fail('stored'),
          (error) => error,
        ),
      ),
    );
    assert.equal(errors[0].code, 'ERR_KMS_UNAVAILABLE');
    for (const { code, detail } of errors.slice(1)) {
      if (code === 'ERR_DYNAMODB_UNAVAILABLE') assert.match(detail, /calls of the same session/);
      else assert.equal(code, 'ERR_KMS_UNAVAILABLE');
      assert.doesNotMatch(detail, /DynamoDB/);
    }
    assert.equal(store.stats().requests.dynamodb.sent, 0);
  });

  it('an idle store wipes them at their age', async () => {
    const store = backend.store({ keyCache: { maxAgeSeconds: 1 } });
    await store.set('sid', { user: 'Ada' });
    assert.equal(store.stats().keyCache.entries, 1);
    const until = performance.now() + 10_000;
    while (store.stats().keyCache.entries > 0 && performance.now() < until) await new Promise(setImmediate);
    assert.equal(store.stats().keyCache.entries, 0);
    assert.equal(store.stats().keyCache.evictions, 1);
  });

  it('a session saved again after destroy gets a new one', async () => {
    const store = backend.store();
    await store.set('sid', { user: 'Ada' });
    const before = (await store.record('sid'))!;
    await store.destroy('sid');
    await store.set('sid', { user: 'Ada' });
    assert.notEqual((await store.record('sid'))!.encryptedKey, before.encryptedKey);
    assert.equal((await backend.aws.calls())['kms:GenerateDataKey'], 2);
  });

  it('clear wipes them all', async (t) => {
    const table = new TableItems(backend.aws);
    t.after(() => table.close());
    const store = backend.store();
    await store.set('sid', { user: 'Ada' });
    const item = (await table.get('sid'))!;
    await store.clear();
    await table.put(item);
    await backend.aws.reset();
    assert.deepStrictEqual(await store.get('sid'), { user: 'Ada' });
    assert.equal((await backend.aws.calls())['kms:Decrypt'], 1);
  });

  it('two stores do not share cached keys', async () => {
    const [first, second] = [backend.store(), backend.store()];
    await first.set('sid', { user: 'Ada' });
    await first.close();
    await backend.aws.reset();
    await second.get('sid');
    assert.equal((await backend.aws.calls())['kms:Decrypt'], 1);
  });

  it('two sessions have different ones', async () => {
    const store = backend.store();
    const wrapped = new Set<string>();
    for (let number = 0; number < 10; number++) {
      await store.set(`sid-${number}`, { same: 'content' });
      wrapped.add((await store.record(`sid-${number}`))!.encryptedKey);
    }
    assert.equal(wrapped.size, 10);
    assert.equal((await backend.aws.calls())['kms:GenerateDataKey'], 10);
  });

  it('iv, authTag and ciphertext differ at each save of the same content', async () => {
    const store = backend.store();
    const seen = { iv: new Set<string>(), authTag: new Set<string>(), encryptedData: new Set<string>() };
    for (let save = 0; save < 20; save++) {
      await store.set('sid', { same: 'content' });
      const record = (await store.record('sid'))!;
      for (const name of ['iv', 'authTag', 'encryptedData'] as const) seen[name].add(record[name]);
    }
    assert.deepEqual([seen.iv.size, seen.authTag.size, seen.encryptedData.size], [20, 20, 20]);
  });

  it('KMS is asked for AES-256 data keys, and told which key unwraps them', async () => {
    await backend.store().set('sid', { user: 'Ada' });
    const store = backend.store();
    const { encryptedKey } = (await store.record('sid'))!;
    await store.get('sid');
    assert.deepEqual(await bodies('kms:GenerateDataKey'), [{ KeyId: KMS_KEY_ARN, KeySpec: 'AES_256' }]);
    assert.deepEqual(await bodies('kms:Decrypt'), [{ KeyId: KMS_KEY_ARN, CiphertextBlob: encryptedKey }]);
    assert.equal((await backend.aws.calls())['kms:Encrypt'], undefined);
  });

  it('reads are consistent', async () => {
    const store = backend.store();
    await store.set('sid', {});
    await store.get('sid');
    await store.record('sid');
    const reads = await bodies('dynamodb:GetItem');
    assert.equal(reads.length, 2);
    for (const body of reads) assert.deepEqual([body.ConsistentRead, body.Key], [true, { sessionId: { S: 'sid' } }]);
  });

  it('a ping makes and unwraps one and looks at the table', async () => {
    await backend.store().ping();
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:DescribeTable': 1, 'kms:GenerateDataKey': 1, 'kms:Decrypt': 1 });
  });
});

for (const { name, start } of backends) {
  describe(`a closed store on ${name}`, () => {
    it('refuses every method, and may be closed again', async (t) => {
      const backend = await start();
      t.after(() => backend.stop());
      const store: any = backend.store();
      await store.set('sid', { user: 'Ada' });
      await Promise.all([store.close(), store.close()]);
      assert.equal(await store.close(), undefined);
      assert.equal((await byCallback((callback) => store.close(callback)))[0], null);
      const calls: [string, ...unknown[]][] = [
        ['get', 'sid'],
        ['set', 'sid', {}],
        ['touch', 'sid', {}],
        ['destroy', 'sid'],
        ['all'],
        ['ids'],
        ['length'],
        ['clear'],
        ['ping'],
        ['record', 'sid'],
      ];
      for (const [method, ...args] of calls) {
        await failing(store[method](...args), 'ERR_CLOSED');
        const [given] = await byCallback((callback) => store[method](...args, callback));
        assertFailure(given, 'ERR_CLOSED');
      }
      assert.deepStrictEqual(await backend.store().get('sid'), { user: 'Ada' });
    });

    it('has finished the calls that were under way', async (t) => {
      const backend = await start();
      t.after(() => backend.stop());
      const reader = backend.store();
      for (let round = 0; round < 10; round++) {
        const store = backend.store();
        const sids = Array.from({ length: 20 }, (_, number) => `${round}-${number}`);
        const saves = sids.map((sid) => store.set(sid, { sid }));
        const closed = store.close();
        const read = closed.then(() => Promise.all(sids.map((sid) => reader.record(sid))));
        await Promise.all(saves);
        for (const record of await read) assert.notEqual(record, null);
      }
    });

    it('leaves other stores on the same table open', async (t) => {
      const backend = await start();
      t.after(() => backend.stop());
      const [first, second] = [backend.store(), backend.store()];
      await first.set('sid', { user: 'Ada' });
      await first.close();
      assert.deepStrictEqual(await second.get('sid'), { user: 'Ada' });
      await second.set('sid', { user: 'Bob' });
      assert.deepStrictEqual(await second.get('sid'), { user: 'Bob' });
    });
  });
}
