// Record version 2: bound to its table, session and end, committed to its data key, and readable by a second implementation.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock, type TestContext } from 'node:test';
import { CreateTableCommand } from '@aws-sdk/client-dynamodb';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { expressApp, listen as listenExpress } from '../support/express-app.ts';
import { failing } from '../support/failures.ts';
import { fastifyApp, listen as listenFastify } from '../support/fastify-app.ts';
import { startHttp } from '../support/http-server.ts';
import {
  additionalData,
  bytes,
  deriveKeys,
  encrypt,
  type RecordItem,
  RecordReader,
  seconds,
  type Version,
} from '../support/record-reader.ts';
import { SESSIONS } from '../support/sample-sessions.ts';

/** Not on a whole second, so that rounding shows. */
const NOW = Date.UTC(2030, 0, 15, 12, 0, 0, 250);
const NOW_SECONDS = Math.floor(NOW / 1000);
const V2: SessionStoreConfig = { recordVersion: 2 };

/** Turns the clock to this many seconds after the start. */
function turn(secondsLater: number): void {
  mock.timers.setTime(NOW + secondsLater * 1000);
}

beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
afterEach(() => mock.timers.reset());

describe('the example of docs/record-format.md', () => {
  const upTo = (first: number, length: number) => Buffer.from(Array.from({ length }, (_, index) => first + index));

  it('follows from its inputs', () => {
    const aad = additionalData({ notAfter: 1_800_000_000, table: 'sessions', key: 'app:a' });
    assert.equal(
      aad.toString('hex'),
      `0000001c${'636f6e6e6563742d64796e616d6f64622d6b6d732073657373696f6e'}0000000200020000000200010000000800000000` +
        '6b49d2000000000873657373696f6e73000000056170703a61',
    );
    const { encryptionKey, commit } = deriveKeys(upTo(0, 32), upTo(0x10, 16));
    assert.equal(encryptionKey.toString('hex'), '56409d50971c4060da3059ba86ea78baf6f115cf2cee26eb5bc908b7565cdfcf');
    assert.equal(commit.toString('hex'), '741d52788a5d9fe61fc569a40545d2bbecf41fa9469e5dc22372d26ae15591c5');
    const sealed = encrypt(encryptionKey, upTo(0x20, 12), Buffer.from('{"user":"ada"}'), aad);
    assert.equal(sealed.encryptedData.toString('hex'), '53bd0515011352d677434fd048bd');
    assert.equal(sealed.authTag.toString('hex'), 'f30a2a6e76e22f5f176ac35428091d28');
  });
});

describe('records of version 2', () => {
  let backend: AwsBackend;
  let reader: RecordReader;
  before(async () => {
    backend = await startAws();
    reader = new RecordReader(backend.aws);
  });
  after(async () => {
    reader.close();
    await backend.stop();
  });

  let count = 0;
  /** An id that no other test has. */
  const fresh = () => `sid-${++count}`;

  for (const [name, session] of Object.entries(SESSIONS)) {
    it(`a session ${name}, written by the store, is read by the second implementation`, async () => {
      const sid = fresh();
      await backend.store(V2).set(sid, session);
      assert.deepStrictEqual(await reader.get(sid), session);
    });

    it(`a session ${name}, written by the second implementation, is read by the store`, async () => {
      const sid = fresh();
      await reader.set(sid, session);
      assert.deepStrictEqual(await backend.store(V2).get(sid), session);
      assert.deepStrictEqual(await backend.store().get(sid), session, 'with the default recordVersion');
    });
  }

  it("a session goes on in either's hands", async () => {
    const [sid, store] = [fresh(), backend.store(V2)];
    await store.set(sid, { count: 1 });
    await reader.set(sid, { ...(await reader.get(sid)), count: 2 });
    assert.deepStrictEqual(await store.get(sid), { count: 2 });
    await store.set(sid, { count: 3 });
    assert.deepStrictEqual(await reader.get(sid), { count: 3 });
    await store.destroy(sid);
    assert.equal(await reader.get(sid), null);
  });

  it('the item has exactly the documented attributes, of the documented types and lengths', async () => {
    const sid = fresh();
    await backend.store({ ...V2, ttlSeconds: 1000 }).set(sid, { token: 'abc' });
    const item = (await reader.item(sid))!;
    assert.deepEqual(
      Object.entries(item)
        .map(([name, value]) => [name, ...Object.keys(value)].join(' '))
        .sort(),
      [
        'authTag B',
        'commit B',
        'encryptedData B',
        'encryptedKey B',
        'iv B',
        'notAfter N',
        'salt B',
        'sessionId S',
        'ttl N',
        'version N',
      ],
    );
    assert.deepEqual(
      ['authTag', 'commit', 'encryptedData', 'iv', 'salt'].map((name) => item[name]!.B!.length),
      [16, 32, '{"token":"abc"}'.length, 12, 16],
    );
    assert.deepEqual(item.version, { N: '2' });
    assert.deepEqual(item.sessionId, { S: sid });
    assert.equal(seconds(item, 'ttl'), NOW_SECONDS + 1000);
    assert.equal(seconds(item, 'notAfter'), NOW_SECONDS + 2000);
    assert.equal((await reader.dataKey(item)).length, 32);
  });

  it('record() shows the item with its bytes as base64', async () => {
    const [sid, store] = [fresh(), backend.store(V2)];
    await store.set(sid, {});
    const item = (await reader.item(sid))!;
    const binary = ['encryptedData', 'encryptedKey', 'iv', 'authTag', 'salt', 'commit'];
    assert.deepEqual(await store.record(sid), {
      sessionId: sid,
      ttl: seconds(item, 'ttl'),
      version: 2,
      notAfter: seconds(item, 'notAfter'),
      ...Object.fromEntries(binary.map((name) => [name, bytes(item, name).toString('base64')])),
    });
  });

  it('both KMS calls carry the encryption context, and nothing that names the session', async () => {
    const [sid, options] = [fresh(), { ...V2, encryptionContext: { app: 'gateway', stage: 'prüfung' } }];
    await backend.aws.reset();
    await backend.store(options).set(sid, { user: 'Ada' });
    await backend.store(options).get(sid);
    const item = (await reader.item(sid))!;
    const requests = (await backend.aws.requests()).filter(({ action }) => action.startsWith('kms:'));
    const EncryptionContext = { purpose: 'session-store', table: 'sessions', v: '2', app: 'gateway', stage: 'prüfung' };
    assert.deepEqual(
      requests.map(({ action, body }) => [action, body]),
      [
        ['kms:GenerateDataKey', { KeyId: reader.keyArn, KeySpec: 'AES_256', EncryptionContext }],
        [
          'kms:Decrypt',
          { KeyId: reader.keyArn, CiphertextBlob: bytes(item, 'encryptedKey').toString('base64'), EncryptionContext },
        ],
      ],
    );
    const other = new RecordReader(backend.aws, { encryptionContext: options.encryptionContext });
    assert.deepStrictEqual(await other.get(sid), { user: 'Ada' });
    other.close();
  });

  it('without the option, the encryption context has the three documented pairs; ping asks with it as well', async () => {
    const sid = fresh();
    await backend.aws.reset();
    await backend.store(V2).set(sid, {});
    await backend.store(V2).get(sid);
    await backend.store(V2).ping();
    const requests = (await backend.aws.requests()).filter(({ action }) => action.startsWith('kms:'));
    assert.equal(requests.length, 4);
    for (const { body } of requests) {
      assert.deepEqual(body.EncryptionContext, { purpose: 'session-store', table: 'sessions', v: '2' });
    }
  });

  it('a store with another encryption context opens nothing', async () => {
    const sid = fresh();
    await backend.store({ ...V2, encryptionContext: { app: 'one' } }).set(sid, { user: 'Ada' });
    const others: Array<SessionStoreConfig['encryptionContext']> = [
      undefined,
      {},
      { app: 'two' },
      { App: 'one' },
      { app: 'one', more: 'x' },
    ];
    for (const encryptionContext of others) {
      await failing(backend.store({ ...V2, encryptionContext }).get(sid), 'ERR_INTEGRITY');
    }
    assert.deepStrictEqual(await backend.store({ ...V2, encryptionContext: { app: 'one' } }).get(sid), { user: 'Ada' });
  });

  it('version 1 never carries an encryption context, whatever is configured', async () => {
    const sid = fresh();
    await backend.aws.reset();
    const options = { encryptionContext: { app: 'gateway' } };
    await backend.store(options).set(sid, {});
    await backend.store(options).get(sid);
    for (const { body } of await backend.aws.requests()) assert.equal(body.EncryptionContext, undefined);
    assert.deepEqual(await backend.aws.calls(), {
      'kms:GenerateDataKey': 1,
      'kms:Decrypt': 1,
      'dynamodb:PutItem': 1,
      'dynamodb:GetItem': 1,
    });
  });

  it('every save has a new IV, tag and ciphertext, under the same data key and salt', async () => {
    const [sid, store] = [fresh(), backend.store(V2)];
    const records: Array<Record<string, unknown>> = [];
    for (let save = 0; save < 20; save++) {
      await store.set(sid, { same: 'content' });
      records.push({ ...(await store.record(sid)) });
    }
    const values = (name: string) => new Set(records.map((record) => record[name])).size;
    for (const name of ['iv', 'authTag', 'encryptedData']) assert.equal(values(name), 20, name);
    for (const name of ['encryptedKey', 'salt', 'commit']) assert.equal(values(name), 1, name);
  });

  describe('notAfter', () => {
    it("is the end and once more the lifetime, of ttlSeconds as of the cookie's expires", async () => {
      const [sid, store] = [fresh(), backend.store({ ...V2, ttlSeconds: 1000 })];
      const ends = async () => {
        const item = (await reader.item(sid))!;
        return [seconds(item, 'ttl') - NOW_SECONDS, seconds(item, 'notAfter') - NOW_SECONDS];
      };
      await store.set(sid, {});
      assert.deepEqual(await ends(), [1000, 2000]);
      await store.set(sid, { cookie: { expires: new Date((NOW_SECONDS + 60) * 1000) } });
      assert.deepEqual(await ends(), [60, 120]);
      await store.set(sid, { cookie: { expires: new Date((NOW_SECONDS + 9999) * 1000) } });
      assert.deepEqual(await ends(), [1000, 2000]);
      turn(500);
      await store.set(sid, {});
      assert.deepEqual(await ends(), [1500, 2500]);
    });

    it('ends a session whose ttl a writer of the table has raised, in every method', async () => {
      const own = backend.store({ ...V2, prefix: 'raised:', ttlSeconds: 100 });
      const table = new RecordReader(backend.aws, { prefix: 'raised:' });
      await own.set('sid', { user: 'Ada' });
      await table.change('sid', 'ttl', { N: String(NOW_SECONDS + 1_000_000) });
      const alive = async () => [await own.get('sid'), await own.ids(), await own.length(), await own.all()];
      for (const later of [0, 101, 199]) {
        turn(later);
        assert.deepStrictEqual(await alive(), [{ user: 'Ada' }, ['sid'], 1, [{ user: 'Ada', id: 'sid' }]], `${later} s later`);
      }
      for (const later of [200, 201, 100_000]) {
        turn(later);
        assert.deepStrictEqual(await alive(), [null, [], 0, []], `${later} s later`);
      }
      const item = await table.item('sid');
      await own.touch('sid', {});
      assert.deepEqual(await table.item('sid'), item, 'a touch changed a session that is over');
      table.close();
    });

    it('does not prolong a session: ttl ends it earlier', async () => {
      const [sid, store] = [fresh(), backend.store({ ...V2, ttlSeconds: 100 })];
      await store.set(sid, {});
      turn(99);
      assert.deepStrictEqual(await store.get(sid), {});
      turn(100);
      assert.equal(await store.get(sid), null);
    });

    it('raised by a writer of the table is refused', async () => {
      const sid = fresh();
      await backend.store({ ...V2, ttlSeconds: 100 }).set(sid, {});
      await reader.change(sid, 'notAfter', { N: String(NOW_SECONDS + 201) });
      await failing(backend.store(V2).get(sid), 'ERR_INTEGRITY');
    });
  });

  describe('a touch', () => {
    /** A session of 100 seconds whose data key is in the store's cache. */
    async function saved() {
      const [sid, store] = [fresh(), backend.store({ ...V2, ttlSeconds: 100 })];
      await store.set(sid, { user: 'Ada', text: 'ünï 🙂' });
      const item = (await reader.item(sid))!;
      await backend.aws.reset();
      return { sid, store, item };
    }
    /** The store's own calls since the session was saved. */
    async function calls() {
      const own = (await backend.aws.requests()).filter(({ accessKeyId }) => accessKeyId === 'local');
      return own.map(({ action }) => action);
    }

    it('inside notAfter is one UpdateItem of ttl', async () => {
      const { sid, store, item } = await saved();
      turn(60);
      await store.touch(sid, {});
      turn(100);
      await store.touch(sid, {}); // to notAfter exactly
      assert.deepEqual(await calls(), ['dynamodb:UpdateItem', 'dynamodb:UpdateItem']);
      assert.deepEqual(await reader.item(sid), { ...item, ttl: { N: String(NOW_SECONDS + 200) } });
    });

    it('past notAfter seals again, with the same content and a later notAfter', async () => {
      const { sid, store, item } = await saved();
      turn(60);
      await store.touch(sid, {});
      turn(101);
      await backend.aws.reset();
      await store.touch(sid, { user: 'Mallory' });
      const requests = await backend.aws.requests();
      const later = (await reader.item(sid))!;
      assert.deepEqual(
        requests.map(({ action }) => action).filter((action) => action.startsWith('dynamodb:')),
        ['dynamodb:UpdateItem', 'dynamodb:PutItem'],
      );
      assert.equal(seconds(later, 'ttl'), NOW_SECONDS + 201);
      assert.equal(seconds(later, 'notAfter'), NOW_SECONDS + 301);
      for (const name of ['iv', 'authTag', 'encryptedData']) {
        assert.notDeepEqual(later[name], item[name], `${name} is the old one`);
      }
      assert.deepEqual(later.encryptedKey, item.encryptedKey);
      assert.deepStrictEqual(await reader.get(sid), { user: 'Ada', text: 'ünï 🙂' });
      const { body } = requests.find(({ action }) => action === 'dynamodb:PutItem')!;
      assert.match(body.ConditionExpression, /#authTag = :\w+/);
      assert.ok(Object.values(body.ExpressionAttributeNames).includes('authTag'));
      const revision = bytes(item, 'authTag').toString('base64');
      assert.ok(
        Object.values(body.ExpressionAttributeValues).some((value: any) => value.B === revision),
        'the condition is not on the revision that was read',
      );
    });

    it('past notAfter unwraps the key first where it is not cached', async () => {
      const { sid } = await saved();
      turn(99);
      await reader.change(sid, 'ttl', { N: String(NOW_SECONDS + 150) });
      turn(120);
      await backend.aws.reset();
      await backend.store({ ...V2, ttlSeconds: 100 }).touch(sid, {});
      const own = await calls();
      assert.deepEqual(own.sort(), ['dynamodb:PutItem', 'dynamodb:UpdateItem', 'kms:Decrypt']);
      assert.equal(seconds((await reader.item(sid))!, 'ttl'), NOW_SECONDS + 220);
      assert.deepStrictEqual(await reader.get(sid), { user: 'Ada', text: 'ünï 🙂' });
    });

    it('keeps a session alive for as long as there are touches', async () => {
      const { sid, store } = await saved();
      for (let later = 60; later < 1500; later += 60) {
        turn(later);
        await store.touch(sid, {});
      }
      turn(1599 - 60);
      assert.deepStrictEqual(await store.get(sid), { user: 'Ada', text: 'ünï 🙂' });
      assert.deepStrictEqual(await backend.store(V2).get(sid), { user: 'Ada', text: 'ünï 🙂' });
    });

    it('past notAfter does not seal again what was tampered with', async () => {
      const { sid, store } = await saved();
      turn(60);
      await store.touch(sid, {});
      await reader.change(sid, 'notAfter', { N: String(NOW_SECONDS + 199) });
      turn(101);
      const item = await reader.item(sid);
      await failing(store.touch(sid, {}), 'ERR_INTEGRITY');
      assert.deepEqual(await reader.item(sid), item);
    });

    /** The AWS servers' DynamoDB, with something done just before a conditional PutItem goes through. */
    async function withInterference(t: TestContext, interfere: () => Promise<void>): Promise<string> {
      const proxy = await startHttp(async (request, response) => {
        const body = Buffer.concat(await request.toArray());
        const operation = String(request.headers['x-amz-target']);
        if (operation.endsWith('.PutItem') && JSON.parse(body.toString()).ConditionExpression) await interfere();
        const { host, connection, ...headers } = request.headers as Record<string, string>;
        const reply = await fetch(backend.aws.dynamodb, { method: 'POST', headers, body });
        const answer = Buffer.from(await reply.arrayBuffer());
        response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
      });
      t.after(() => proxy.close());
      return proxy.url;
    }

    for (const [what, interfere, expected] of [
      ['a write', (sid: string) => reader.set(sid, { user: 'Bob' }, { lifetime: 1000 }), { user: 'Bob' }],
      ['a destroy', (sid: string) => reader.remove(sid), null],
    ] as const) {
      it(`past notAfter loses against ${what} that comes in between, and is a success`, async (t) => {
        const { sid } = await saved();
        await reader.change(sid, 'ttl', { N: String(NOW_SECONDS + 150) });
        turn(120);
        let times = 0;
        const dynamodbEndpoint = await withInterference(t, async () => {
          times += 1;
          await interfere(sid);
        });
        await backend.store({ ...V2, ttlSeconds: 100, dynamodbEndpoint }).touch(sid, {});
        assert.ok(times > 0, 'nothing was sealed again');
        assert.deepStrictEqual(await reader.get(sid), expected);
      });
    }

    it('of a session that is gone creates nothing', async () => {
      const sid = fresh();
      await backend.store(V2).touch(sid, {});
      assert.equal(await reader.item(sid), undefined);
    });

    it('of a record of version 1 keeps its version', async () => {
      const sid = fresh();
      await reader.set(sid, { user: 'Ada' }, { version: 1, lifetime: 100 });
      const item = (await reader.item(sid))!;
      await backend.store({ ...V2, ttlSeconds: 1000 }).touch(sid, {});
      assert.deepEqual(await reader.item(sid), { ...item, ttl: { N: String(NOW_SECONDS + 1000) } });
    });
  });

  describe('beside version 1', () => {
    it('a save upgrades a record, in a cold store as in one that has read it', async () => {
      for (const reads of [false, true]) {
        const [sid, store] = [fresh(), backend.store(V2)];
        await reader.set(sid, { count: 1 }, { version: 1 });
        if (reads) assert.deepStrictEqual(await store.get(sid), { count: 1 });
        await store.set(sid, { count: 2 });
        const item = (await reader.item(sid))!;
        assert.deepEqual(item.version, { N: '2' });
        assert.deepStrictEqual(await reader.get(sid), { count: 2 });
        assert.deepStrictEqual(await backend.store().get(sid), { count: 2 });
      }
    });

    it('a save with recordVersion 1 goes back, with no attribute of version 2 left', async () => {
      const [sid, store] = [fresh(), backend.store()];
      await reader.set(sid, { count: 1 });
      assert.deepStrictEqual(await store.get(sid), { count: 1 });
      await store.set(sid, { count: 2 });
      const item = (await reader.item(sid))!;
      assert.deepEqual(item.version, { N: '1' });
      assert.deepEqual([item.salt, item.commit, item.notAfter], [undefined, undefined, undefined]);
      assert.deepStrictEqual(await reader.get(sid), { count: 2 });
    });

    it('all gives sessions of both versions', async () => {
      const table = new RecordReader(backend.aws, { prefix: 'both:' });
      await table.set('one', { version: 1 }, { version: 1 });
      await table.set('two', { version: 2 }, { version: 2 });
      const all = await backend.store({ ...V2, prefix: 'both:' }).all();
      assert.deepStrictEqual(
        all.sort((a, b) => a.id.localeCompare(b.id)),
        [
          { version: 1, id: 'one' },
          { version: 2, id: 'two' },
        ],
      );
      table.close();
    });

    it('acceptVersions refuses the other version before anything is asked of KMS', async () => {
      const pairs: Array<[Version, SessionStoreConfig]> = [
        [1, { recordVersion: 2, acceptVersions: [2] }],
        [2, { recordVersion: 1, acceptVersions: [1] }],
      ];
      for (const [version, config] of pairs) {
        const table = new RecordReader(backend.aws, { prefix: `only ${config.recordVersion}:` });
        const store = backend.store({ ...config, prefix: `only ${config.recordVersion}:` });
        await table.set('sid', { user: 'Ada' }, { version });
        await backend.aws.reset();
        for (const call of [() => store.get('sid'), () => store.record('sid'), () => store.all()]) {
          const error = await failing(call(), 'ERR_VERSION');
          assert.match(error.detail, /acceptVersions/);
        }
        assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 2, 'dynamodb:Scan': 1 });
        await store.set('sid', { user: 'Bob' });
        assert.deepStrictEqual(await store.get('sid'), { user: 'Bob' });
        table.close();
      }
    });

    it('an ended record of a version that is not accepted is no session to any call', async () => {
      const prefix = 'ended before the upgrade:';
      const options = { prefix, ttlSeconds: 60 };
      await backend.store({ ...options, recordVersion: 1 }).set('sid', { user: 'Ada' });
      const store = backend.store({ ...options, recordVersion: 2, acceptVersions: [2] });
      await failing(store.get('sid'), 'ERR_VERSION');
      mock.timers.setTime(NOW + 60_000);
      assert.equal(await store.get('sid'), null);
      assert.equal(await store.update('sid', () => assert.fail('there is no session')), null);
      await store.touch('sid', {});
      await failing(store.record('sid'), 'ERR_VERSION');
      await store.set('sid', { user: 'Bob' });
      assert.deepStrictEqual(await store.get('sid'), { user: 'Bob' });
    });

    it('version 3 is refused, whatever else the record has', async () => {
      for (const version of [1, 2] as const) {
        const sid = fresh();
        await reader.set(sid, {}, { version });
        await reader.change(sid, 'version', { N: '3' });
        const error = await failing(backend.store(V2).get(sid), 'ERR_VERSION');
        assert.match(error.detail, /upgrade/);
      }
    });
  });

  describe('against a writer of the table', () => {
    const MEDDLING: Record<string, (item: RecordItem, other: RecordItem) => RecordItem> = {
      'moved here from another session': (item, other) => ({ ...other, sessionId: item.sessionId! }),
      'with the sealed parts of another session': (item, other) => ({
        ...item,
        ...Object.fromEntries(
          ['encryptedKey', 'encryptedData', 'iv', 'authTag', 'salt', 'commit', 'notAfter'].map((name) => [name, other[name]!]),
        ),
      }),
      'with the wrapped key of another session': (item, other) => ({ ...item, encryptedKey: other.encryptedKey! }),
      'with the wrapped key, salt and commitment of another session': (item, { encryptedKey, salt, commit }) => ({
        ...item,
        encryptedKey: encryptedKey!,
        salt: salt!,
        commit: commit!,
      }),
      'with the commitment of another session': (item, other) => ({ ...item, commit: other.commit! }),
      'with the salt of another session': (item, other) => ({ ...item, salt: other.salt! }),
      'with notAfter moved a second ahead': (item) => ({ ...item, notAfter: { N: String(seconds(item, 'notAfter') + 1) } }),
      'with notAfter moved a second back': (item) => ({ ...item, notAfter: { N: String(seconds(item, 'notAfter') - 1) } }),
      'relabelled as version 1': (item) => ({ ...item, version: { N: '1' } }),
      'rewritten as version 1': ({ sessionId, ttl, ...item }) => ({
        sessionId: sessionId!,
        ttl: ttl!,
        version: { N: '1' },
        ...Object.fromEntries(
          ['encryptedKey', 'encryptedData', 'iv', 'authTag'].map((name) => [
            name,
            { S: bytes({ version: { N: '2' }, ...item }, name).toString('base64') },
          ]),
        ),
      }),
      'without its commitment': ({ commit, ...item }) => item,
      'without notAfter': ({ notAfter, ...item }) => item,
      'with base64 text in the place of bytes': (item) => ({ ...item, iv: { S: bytes(item, 'iv').toString('base64') } }),
    };
    for (const [what, meddle] of Object.entries(MEDDLING)) {
      it(`a record ${what} is refused, with a cold and a warm cache`, async () => {
        const [sid, sid2, warm] = [fresh(), fresh(), backend.store(V2)];
        await warm.set(sid, { user: 'Ada' });
        await warm.set(sid2, { user: 'Mallory' });
        await reader.put(meddle((await reader.item(sid))!, (await reader.item(sid2))!));
        const errors = [
          await failing(warm.get(sid), 'ERR_INTEGRITY'),
          await failing(backend.store(V2).get(sid), 'ERR_INTEGRITY'),
        ];
        assert.equal(errors[0]!.detail, errors[1]!.detail);
      });
    }

    it('a record of version 1 relabelled as version 2 is refused', async () => {
      const sid = fresh();
      await reader.set(sid, {}, { version: 1 });
      await reader.change(sid, 'version', { N: '2' });
      await failing(backend.store(V2).get(sid), 'ERR_INTEGRITY');
    });

    it('a record of another table is refused', async () => {
      const sid = fresh();
      await reader.dynamodb.send(
        new CreateTableCommand({
          TableName: 'elsewhere',
          BillingMode: 'PAY_PER_REQUEST',
          KeySchema: [{ AttributeName: 'sessionId', KeyType: 'HASH' }],
          AttributeDefinitions: [{ AttributeName: 'sessionId', AttributeType: 'S' }],
        }),
      );
      const elsewhere = new RecordReader(backend.aws, { tableName: 'elsewhere' });
      await reader.set(sid, { user: 'Ada' });
      await elsewhere.put((await reader.item(sid))!);
      await failing(backend.store({ ...V2, tableName: 'elsewhere' }).get(sid), 'ERR_INTEGRITY');
      await elsewhere.set(sid, { user: 'Ada' });
      assert.deepStrictEqual(await backend.store({ ...V2, tableName: 'elsewhere' }).get(sid), { user: 'Ada' });
      elsewhere.close();
    });

    it('a good record under a failing KMS key of another record is still read', async () => {
      const [good, bad, store] = [fresh(), fresh(), backend.store(V2)];
      await store.set(good, { user: 'Ada' });
      await store.set(bad, { user: 'Bob' });
      await reader.change(bad, 'encryptedKey', { B: Buffer.alloc(96, 7) });
      await failing(store.get(bad), 'ERR_INTEGRITY');
      assert.deepStrictEqual(await store.get(good), { user: 'Ada' });
    });

    it('in version 1, the parts of one record exchanged together open at another session, as the page says', async () => {
      const [sid, sid2] = [fresh(), fresh()];
      await reader.set(sid, { user: 'Ada' }, { version: 1 });
      await reader.set(sid2, { user: 'Mallory' }, { version: 1 });
      await reader.put({ ...(await reader.item(sid2))!, sessionId: { S: sid } });
      assert.deepStrictEqual(await backend.store(V2).get(sid), { user: 'Mallory' });
    });
  });
});

for (const { name, start } of backends) {
  describe(`version 2 on ${name}`, () => {
    let backend: Backend;
    let store: DynamoDBSessionStore;
    before(async () => {
      backend = await start();
      store = backend.store(V2);
    });
    after(() => backend.stop());

    for (const [what, session] of Object.entries(SESSIONS)) {
      it(`gives a session ${what} back as it was saved, to this store and the next`, async () => {
        await store.set(`sid ${what}`, session);
        assert.equal((await store.record(`sid ${what}`))!.version, 2);
        for (const one of [store, backend.store(), backend.store(V2)]) {
          assert.deepStrictEqual(await one.get(`sid ${what}`), session);
        }
      });
    }

    it('has room for about 400,000 bytes of JSON: up to 409,600 bytes of item, and not one more', async () => {
      const own = backend.store(V2);
      const aws = 'aws' in backend ? (backend as AwsBackend).aws : undefined;
      await own.set('small', {}); // from now on the store knows how long wrapped keys are
      await aws?.reset();
      const text = (length: number) => ({ text: 'x'.repeat(length) });
      const sizes = (detail: string) => detail.match(/\d[\d,]*/g)!.map((number) => Number(number.replaceAll(',', '')));
      const [needed, limit] = sizes((await failing(own.set('large', text(500_000)), 'ERR_SESSION_TOO_LARGE')).detail);
      assert.equal(limit, 409_600);
      const most = 500_000 - (needed! - limit!);
      assert.ok(most > 400_000, `${most} bytes`);
      const error = await failing(own.set('large', text(most + 1)), 'ERR_SESSION_TOO_LARGE');
      assert.deepEqual(sizes(error.detail), [409_601, 409_600]);
      assert.equal(own.stats().keyCache.loads, 1, 'a data key was made');
      assert.deepEqual((await aws?.calls()) ?? {}, {});
      assert.equal(await own.record('large'), null);
      await own.set('large', text(most));
      assert.deepStrictEqual(await backend.store(V2).get('large'), text(most));
      await failing(own.set('large', text(most + 1)), 'ERR_SESSION_TOO_LARGE');
      assert.deepStrictEqual(await own.get('large'), text(most));
    });

    it('seals again at a touch past notAfter, and the session is what it was', async () => {
      const own = backend.store({ ...V2, ttlSeconds: 100 });
      await own.set('rolling', { user: 'Ada' });
      const before = (await own.record('rolling'))!;
      turn(60);
      await own.touch('rolling', {});
      turn(120);
      await own.touch('rolling', {});
      const after = (await own.record('rolling'))!;
      assert.deepEqual([after.ttl, after.notAfter], [NOW_SECONDS + 220, NOW_SECONDS + 320]);
      for (const part of ['iv', 'authTag'] as const) assert.notEqual(after[part], before[part], part);
      assert.deepStrictEqual(await backend.store(V2).get('rolling'), { user: 'Ada' });
      turn(220);
      assert.equal(await own.get('rolling'), null);
    });
  });

  describe(`a gateway with hashed ids and version 2 on ${name}`, () => {
    const OPTIONS: SessionStoreConfig = { recordVersion: 2, acceptVersions: [2], hashSessionIds: true };

    async function loginAndOut(store: DynamoDBSessionStore, browser: Browser): Promise<void> {
      assert.equal((await browser.post('/login/ada')).status, 200);
      for (const visits of [1, 2, 3]) assert.deepEqual((await browser.post('/visit')).body, { visits });
      const { status, body } = await browser.get('/me');
      assert.deepEqual([status, body.user, body.visits], [200, 'ada', 3]);
      assert.deepEqual(await store.ids(), [body.sid]);
      assert.equal((await store.record(body.sid))!.version, 2);
      assert.notEqual((await store.record(body.sid))!.sessionId, body.sid);
      assert.equal((await browser.post('/logout')).status, 200);
      assert.equal((await browser.get('/me')).status, 401);
      assert.equal(await store.length(), 0);
    }

    it('logs in and out on Express', async (t) => {
      mock.timers.reset();
      const backend = await start();
      t.after(() => backend.stop());
      const store = backend.store(OPTIONS);
      const { origin, close } = await listenExpress(expressApp(store));
      t.after(close);
      await loginAndOut(store, new Browser(origin));
    });

    it('logs in and out on Fastify', async (t) => {
      mock.timers.reset();
      const backend = await start();
      t.after(() => backend.stop());
      const store = backend.store(OPTIONS);
      const app = await fastifyApp(store);
      t.after(() => app.close());
      await loginAndOut(store, new Browser(await listenFastify(app)));
    });
  });
}
