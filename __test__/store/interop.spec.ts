// Record version 1 is what a plain implementation on AWS SDK v3 and node:crypto writes: either reads the other's records.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it, mock } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { PlainStore } from '../support/plain-store.ts';
import { SESSIONS } from '../support/sample-sessions.ts';

const NOW = Date.UTC(2030, 0, 15, 12, 0, 0, 250);

describe('records of version 1', () => {
  let backend: AwsBackend;
  let plain: PlainStore;
  let store: DynamoDBSessionStore;
  before(async () => {
    backend = await startAws();
    plain = new PlainStore(backend.aws);
    store = backend.store({ prefix: 'app:' });
    mock.timers.enable({ apis: ['Date'], now: NOW });
  });
  afterEach(() => mock.timers.setTime(NOW));
  after(async () => {
    mock.timers.reset();
    plain.close();
    await backend.stop();
  });

  for (const [name, session] of Object.entries(SESSIONS)) {
    it(`a session ${name}, written by the plain implementation, is read by the store`, async () => {
      await plain.set(`app:plain ${name}`, session);
      assert.deepEqual(await store.get(`plain ${name}`), session);
    });

    it(`a session ${name}, written by the store, is read by the plain implementation`, async () => {
      await store.set(`store ${name}`, session);
      assert.deepEqual(await plain.get(`app:store ${name}`), session);
    });
  }

  it("a session goes on in either's hands", async () => {
    await store.set('handed over', { cookie: {}, count: 1 });
    await plain.set('app:handed over', { ...(await plain.get('app:handed over')), count: 2 });
    assert.deepEqual(await store.get('handed over'), { cookie: {}, count: 2 });
    await store.set('handed over', { cookie: {}, count: 3 });
    assert.deepEqual(await plain.get('app:handed over'), { cookie: {}, count: 3 });
    await store.destroy('handed over');
    assert.equal(await plain.get('app:handed over'), null);
  });

  it('the item has exactly the documented attributes, of the documented types', async () => {
    await store.set('shape', { cookie: {}, token: 'abc' });
    const item = (await plain.item('app:shape'))!;
    const types = Object.entries(item).map(([name, value]) => [name, ...Object.keys(value)].join(' '));
    assert.deepEqual(types.sort(), [
      'authTag S',
      'encryptedData S',
      'encryptedKey S',
      'iv S',
      'sessionId S',
      'ttl N',
      'version N',
    ]);
    assert.equal(item.sessionId!.S, 'app:shape');
    assert.equal(item.version!.N, '1');
    assert.equal(item.ttl!.N, String(Math.floor(NOW / 1000) + 604_800));
    const bytes = Object.fromEntries(
      ['encryptedData', 'encryptedKey', 'iv', 'authTag'].map((name) => [name, Buffer.from(item[name]!.S!, 'base64')]),
    );
    for (const [name, decoded] of Object.entries(bytes)) {
      assert.equal(decoded.toString('base64'), item[name]!.S, `${name} is no canonical base64`);
    }
    assert.equal(bytes.iv!.length, 12);
    assert.equal(bytes.authTag!.length, 16);
    assert.equal(bytes.encryptedData!.length, '{"cookie":{},"token":"abc"}'.length);
    assert.equal((await plain.dataKey(item.encryptedKey!.S!)).length, 32);
  });

  it('the store writes with the calls and parameters of the plain implementation', async () => {
    await backend.aws.reset();
    await backend.store().set('calls', { cookie: {} });
    await backend.store().get('calls');
    const requests = await backend.aws.requests();
    assert.deepEqual(
      requests.map(({ action }) => action),
      ['kms:GenerateDataKey', 'dynamodb:PutItem', 'dynamodb:GetItem', 'kms:Decrypt'],
    );
    const [generate, put, get, decrypt] = requests.map(({ body }) => body);
    assert.deepEqual(generate, { KeyId: plain.keyArn, KeySpec: 'AES_256' });
    assert.deepEqual(Object.keys(put).sort(), ['Item', 'TableName']);
    assert.equal(put.TableName, 'sessions');
    assert.deepEqual(get, { TableName: 'sessions', Key: { sessionId: { S: 'calls' } }, ConsistentRead: true });
    assert.deepEqual(decrypt, { KeyId: plain.keyArn, CiphertextBlob: put.Item.encryptedKey.S });
  });

  it('what the table holds gives nothing of the session away', async () => {
    const session = { cookie: { path: '/' }, user: 'ada@example.org', token: 'ya29.a0AfB_secret' };
    await store.set('sealed', session);
    const { sessionId, ttl, version, ...sealed } = (await plain.item('app:sealed'))!;
    const readable = Object.values(sealed)
      .map((value) => value.S! + Buffer.from(value.S!, 'base64').toString('latin1'))
      .join('\n');
    for (const text of ['cookie', 'user', 'ada@example.org', 'token', 'ya29']) assert.ok(!readable.includes(text), text);
  });

  it('every save has a new IV, tag and ciphertext, even of the same session', async () => {
    const seen = { iv: new Set<string>(), authTag: new Set<string>(), encryptedData: new Set<string>() };
    for (let save = 0; save < 20; save += 1) {
      await store.set('again', { cookie: {}, same: true });
      const item = (await plain.item('app:again'))!;
      for (const [name, values] of Object.entries(seen)) values.add(item[name]!.S!);
    }
    for (const [name, values] of Object.entries(seen)) assert.equal(values.size, 20, name);
  });

  it('attributes that are not of the record do not disturb', async () => {
    const record = await plain.record('app:extra', '{"cookie":{},"a":1}');
    await plain.put({
      ...record,
      owner: 'ops',
      tags: new Set(['a']),
      createdAt: 1_700_000_000,
      blob: Buffer.from('x'),
      deep: { list: [null, true] },
    });
    assert.deepEqual(await store.get('extra'), { cookie: {}, a: 1 });
    assert.deepEqual(await store.record('extra'), record);
    assert.deepEqual(
      (await store.all()).find(({ id }) => id === 'extra'),
      { cookie: {}, a: 1, id: 'extra' },
    );
  });

  it('a touch keeps what is not its business', async () => {
    const record = await plain.record('app:touched', '{"cookie":{}}', 60);
    await plain.put({ ...record, owner: 'ops' });
    await store.touch('touched', { cookie: {} });
    const item = (await plain.item('app:touched'))!;
    assert.equal(item.ttl!.N, String(Math.floor(NOW / 1000) + 604_800));
    assert.equal(item.owner!.S, 'ops');
    assert.equal(item.encryptedData!.S, record.encryptedData);
    assert.deepEqual(await plain.get('app:touched'), { cookie: {} });
  });

  it('both agree on when a session has ended', async () => {
    await plain.set('app:ends', { cookie: {} }, 60);
    await store.set('ends too', { cookie: { expires: new Date(NOW + 60_000) } });
    mock.timers.setTime(NOW + 59_000);
    assert.notEqual(await store.get('ends'), null);
    assert.notEqual(await plain.get('app:ends too'), null);
    mock.timers.setTime(NOW + 61_000);
    assert.equal(await store.get('ends'), null);
    assert.equal(await plain.get('app:ends too'), null);
  });

  it('text that no JavaScript wrote, such as JSON with spaces or escapes, is read as what it says', async () => {
    await plain.put(await plain.record('app:foreign', '\n { "cookie" : { } ,\t"text" : "\\u00e9\\/" , "n" : 1E2 } \r\n'));
    assert.deepEqual(await store.get('foreign'), { cookie: {}, text: 'é/', n: 100 });
  });

  it('record() shows the item as it lies in the table', async () => {
    await store.set('shown', { cookie: {} });
    const item = (await plain.item('app:shown'))!;
    assert.deepEqual(await store.record('shown'), {
      sessionId: item.sessionId!.S,
      encryptedData: item.encryptedData!.S,
      encryptedKey: item.encryptedKey!.S,
      iv: item.iv!.S,
      authTag: item.authTag!.S,
      ttl: Number(item.ttl!.N),
      version: 1,
    });
  });

  it('nobody called Encrypt, and no request carried an encryption context', async () => {
    const requests = await backend.aws.requests();
    const operations = new Set(requests.map(({ action }) => action).filter((action) => action.startsWith('kms:')));
    assert.deepEqual([...operations].sort(), ['kms:Decrypt', 'kms:GenerateDataKey']);
    for (const { body } of requests) assert.equal(body.EncryptionContext, undefined);
  });
});
