// Several KMS keys: the first seals, all open, for a change of the key, the region or the account.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  CreateAliasCommand,
  DisableKeyCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { type Listening, startHttp } from '../support/http-server.ts';
import { turnKeys } from '../support/key-clock.ts';
import { RecordReader } from '../support/record-reader.ts';
import '../support/stage.ts'; // one attempt a call

const arn = (first: string, region = 'us-east-1') =>
  `arn:aws:kms:${region}:232282424912:key/${first.repeat(8)}-0000-0000-0000-000000000000`;
const [OLD, NEW, THIRD, UNKNOWN] = [arn('a'), arn('b'), arn('c'), arn('d')];
const ABROAD = arn('e', 'eu-central-1');

for (const recordVersion of [1, 2] as const) {
  describe(`a list of KMS keys, with records of version ${recordVersion}`, () => {
    let backend: AwsBackend;
    beforeEach(async () => {
      backend = await startAws([OLD, NEW, THIRD, ABROAD].flatMap((key) => ['--key-arn', key]));
      await store(OLD).set('sid', { user: 'Ada' });
      await backend.aws.reset();
    });
    afterEach(() => backend.stop());

    function store(kmsKeyArn: string | string[], options: SessionStoreConfig = {}): DynamoDBSessionStore {
      return backend.store({ kmsKeyArn, recordVersion, ...options });
    }
    /** The KMS calls since the last reset: operation, key and region. */
    async function kmsCalls(): Promise<string[][]> {
      const all = await backend.aws.requests();
      const requests = all.filter(({ action, accessKeyId }) => action.startsWith('kms:') && accessKeyId === 'local');
      return requests.map(({ action, body, region }) => [action.slice(4), body.KeyId, region]);
    }
    /** The key that a session's data key is wrapped by: the servers' ciphertext begins with its id. */
    async function sealer(sid = 'sid'): Promise<string> {
      const { encryptedKey } = (await store([NEW, OLD]).record(sid))!;
      const id = Buffer.from(encryptedKey, 'base64').subarray(0, 36).toString();
      return [OLD, NEW, THIRD, ABROAD].find((key) => key.endsWith(id)) ?? assert.fail(id);
    }
    async function sendKms(command: any, region = 'us-east-1'): Promise<void> {
      const kms = new KMSClient({
        endpoint: backend.aws.kms,
        region,
        credentials: { accessKeyId: 'operator', secretAccessKey: 'local' },
      });
      await kms.send(command);
      kms.destroy();
    }
    const decrypt = (key: string) => ['Decrypt', key, key.split(':')[3]];
    const generate = (key: string) => ['GenerateDataKey', key, key.split(':')[3]];

    it('opens what an older key sealed, naming one key in each Decrypt, the first of the list first', async () => {
      const own = store([NEW, OLD]);
      for (let read = 0; read < 3; read++) assert.deepStrictEqual(await own.get('sid'), { user: 'Ada' });
      assert.deepEqual(await kmsCalls(), [decrypt(NEW), decrypt(OLD)]);
      await backend.aws.reset();
      assert.deepStrictEqual(await store([THIRD, NEW, OLD]).get('sid'), { user: 'Ada' });
      assert.deepEqual(await kmsCalls(), [decrypt(THIRD), decrypt(NEW), decrypt(OLD)]);
    });

    it('opens with the first key in one call, however many others there are', async () => {
      assert.deepStrictEqual(await store([OLD, NEW, UNKNOWN, ABROAD]).get('sid'), { user: 'Ada' });
      assert.deepEqual(await kmsCalls(), [decrypt(OLD)]);
    });

    it('a list of one key is that key', async () => {
      assert.deepStrictEqual(await store([OLD]).get('sid'), { user: 'Ada' });
      await store([OLD]).set('another', {});
      assert.deepEqual(await kmsCalls(), [decrypt(OLD), generate(OLD)]);
    });

    it('seals new sessions with the first key alone', async () => {
      await store([NEW, OLD]).set('new', { user: 'Bob' });
      assert.deepEqual(await kmsCalls(), [generate(NEW)]);
      assert.equal(await sealer('new'), NEW);
      await failing(store(OLD).get('new'), 'ERR_INTEGRITY');
      assert.deepStrictEqual(await store(NEW).get('new'), { user: 'Bob' });
    });

    it('seals a session with the first key at the first save of a store that has no data key of it', async () => {
      await store([NEW, OLD]).set('sid', { user: 'Bob' });
      assert.deepEqual(await kmsCalls(), [generate(NEW)]);
      assert.equal(await sealer(), NEW);
      assert.deepStrictEqual(await store(NEW).get('sid'), { user: 'Bob' });
    });

    it('a session whose data key is cached moves to the first key with its next save', async () => {
      const own = store([NEW, OLD]);
      await own.get('sid');
      await backend.aws.reset();
      await own.set('sid', { user: 'Bob' });
      assert.deepEqual(
        (await kmsCalls()).map(([operation, key]) => [operation, key]),
        [['GenerateDataKey', NEW]],
      );
      assert.equal(await sealer(), NEW);
      assert.deepStrictEqual(await store([NEW]).get('sid'), { user: 'Bob' });
      await backend.aws.reset();
      await own.set('sid', { user: 'Carol' });
      assert.deepEqual(await kmsCalls(), []);
    });

    it('a session that is saved unchanged moves to the first key as well, once', async () => {
      const own = store([NEW, OLD]);
      for (let save = 0; save < 3; save++) await own.set('sid', (await own.get('sid'))!);
      const { written, unchanged } = own.stats().sessions;
      assert.deepEqual([written, unchanged], [1, 2]);
      assert.equal(await sealer(), NEW);
    });

    it('without the key cache, every save moves its session to the first key', async () => {
      const own = store([NEW, OLD], { keyCache: false });
      await own.get('sid');
      await own.set('sid', { user: 'Bob' });
      assert.equal(await sealer(), NEW);
      await backend.aws.reset();
      await own.get('sid');
      assert.deepEqual(await kmsCalls(), [decrypt(NEW)]);
    });

    it('a touch leaves a session with its key', async () => {
      await store([NEW, OLD]).touch('sid', {});
      assert.deepEqual(await kmsCalls(), []);
      assert.equal(await sealer(), OLD);
    });

    it('all opens sessions of every key in the list', async () => {
      await store(NEW).set('of the new key', { user: 'Bob' });
      const all = await store([THIRD, NEW, OLD]).all();
      assert.deepStrictEqual(
        all.sort((a, b) => a.id.localeCompare(b.id)),
        [
          { user: 'Bob', id: 'of the new key' },
          { user: 'Ada', id: 'sid' },
        ],
      );
    });

    it('a record that none of the keys sealed is ERR_INTEGRITY, and stays', async () => {
      for (const keys of [NEW, [NEW], [NEW, THIRD], [NEW, ABROAD]]) {
        const error = await failing(store(keys).get('sid'), 'ERR_INTEGRITY');
        assert.match(error.detail, /nothing was deleted/);
      }
      assert.deepStrictEqual(await store(OLD).get('sid'), { user: 'Ada' });
    });

    it('the removal of the old key locks its sessions, and its return opens them again', async () => {
      assert.deepStrictEqual(await store([NEW, OLD]).get('sid'), { user: 'Ada' });
      await failing(store([NEW]).get('sid'), 'ERR_INTEGRITY');
      assert.deepStrictEqual(await store([NEW, OLD]).get('sid'), { user: 'Ada' });
    });

    for (const [what, command] of [
      ['disabled', new DisableKeyCommand({ KeyId: NEW })],
      ['pending deletion', new ScheduleKeyDeletionCommand({ KeyId: NEW, PendingWindowInDays: 7 })],
    ] as const) {
      it(`a first key that is ${what} does not keep sessions of the second from being opened, but seals nothing`, async () => {
        await sendKms(command);
        assert.deepStrictEqual(await store([NEW, OLD]).get('sid'), { user: 'Ada' });
        const error = await failing(store([NEW, OLD]).set('new', {}), 'ERR_KMS_KEY_UNUSABLE');
        assert.ok(error.detail.includes(NEW), error.detail);
        assert.equal(await store([OLD]).get('new'), null);
      });
    }

    it('a first key that does not exist does not keep sessions of the second from being opened', async () => {
      assert.deepStrictEqual(await store([UNKNOWN, OLD]).get('sid'), { user: 'Ada' });
      await failing(store([UNKNOWN, OLD]).set('new', {}), 'ERR_KMS_KEY_UNUSABLE');
    });

    it('a first key that the credentials may not use does not keep sessions of the second from being opened', async () => {
      await backend.aws.fault({ action: 'kms:Decrypt', status: 400, code: 'AccessDeniedException', times: 1 });
      assert.deepStrictEqual(await store([NEW, OLD]).get('sid'), { user: 'Ada' });
    });

    it('a first key of which KMS says nothing leaves it open whether the record is good: never ERR_INTEGRITY', async () => {
      await backend.aws.fault({ action: 'kms:Decrypt', status: 500, code: 'KMSInternalException', times: 1 });
      const error = await failing(store([NEW, THIRD]).get('sid'), 'ERR_KMS_UNAVAILABLE');
      assert.ok(error.retryable);
    });

    it('a session of a disabled key is ERR_KMS_KEY_UNUSABLE, not ERR_INTEGRITY, whatever other keys there are', async () => {
      await sendKms(new DisableKeyCommand({ KeyId: OLD }));
      for (const keys of [[OLD], [NEW, OLD], [OLD, NEW]]) await failing(store(keys).get('sid'), 'ERR_KMS_KEY_UNUSABLE');
    });

    it('keys of two regions are each called in their own', async () => {
      await store([ABROAD, OLD]).set('abroad', { user: 'Eve' });
      assert.deepStrictEqual(await store([ABROAD, OLD]).get('abroad'), { user: 'Eve' });
      assert.deepStrictEqual(await store([OLD, ABROAD]).get('abroad'), { user: 'Eve' });
      assert.deepStrictEqual(await store([ABROAD, OLD]).get('sid'), { user: 'Ada' });
      assert.deepEqual(await kmsCalls(), [
        generate(ABROAD),
        decrypt(ABROAD),
        decrypt(OLD),
        decrypt(ABROAD),
        decrypt(ABROAD),
        decrypt(OLD),
      ]);
    });

    it('aliases seal and open, alone and in a list, also when they move to another key', async () => {
      const alias = 'arn:aws:kms:us-east-1:232282424912:alias/sessions';
      await sendKms(new CreateAliasCommand({ AliasName: 'alias/sessions', TargetKeyId: NEW }));
      await store(alias).set('by alias', { user: 'Bob' });
      assert.equal(await sealer('by alias'), NEW);
      for (const keys of [alias, NEW, [alias], [OLD, alias], [alias, OLD]]) {
        assert.deepStrictEqual(await store(keys).get('by alias'), { user: 'Bob' });
      }
      assert.deepStrictEqual(await store([alias, OLD]).get('sid'), { user: 'Ada' });
      await failing(store(alias).get('sid'), 'ERR_INTEGRITY');
      await sendKms(new UpdateAliasCommand({ AliasName: 'alias/sessions', TargetKeyId: THIRD }));
      await failing(store(alias).get('by alias'), 'ERR_INTEGRITY');
      const moved = store([alias, NEW]);
      assert.deepStrictEqual(await moved.get('by alias'), { user: 'Bob' });
      await moved.set('by alias, later', { user: 'Eve' });
      assert.equal(await sealer('by alias, later'), THIRD);
      const named = (await kmsCalls()).map(([, key]) => key);
      assert.ok(named.includes(alias));
      assert.ok(named.every(Boolean), 'a call named no key');
    });

    for (const [what, change] of [
      ['of another key', { KeyId: NEW }],
      ['of no key', { KeyId: undefined }],
      ['with a data key of 31 bytes', { Plaintext: Buffer.alloc(31, 7).toString('base64') }],
      ['with no data key', { Plaintext: undefined }],
    ] as const) {
      it(`an answer ${what} opens nothing`, async (t) => {
        const proxy = await startHttp(async (request, response) => {
          const body = Buffer.concat(await request.toArray());
          const { host, connection, ...headers } = request.headers as Record<string, string>;
          const reply = await fetch(backend.aws.kms, { method: 'POST', headers, body });
          const answer = Buffer.from(JSON.stringify({ ...((await reply.json()) as object), ...change }));
          response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
        });
        t.after(() => proxy.close());
        const error = await store([OLD, NEW], { kmsEndpoint: proxy.url })
          .get('sid')
          .then(
            () => assert.fail('opened'),
            (error) => error,
          );
        assert.ok(['ERR_INTEGRITY', 'ERR_KMS_UNAVAILABLE'].includes(error.code), String(error));
      });
    }

    describe('whose first key does not answer', () => {
      let proxy: Listening;
      beforeEach(async () => {
        proxy = await startHttp(async (request, response) => {
          const body = Buffer.concat(await request.toArray());
          if (JSON.parse(String(body)).KeyId === NEW && hangs) return;
          const { host, connection, ...headers } = request.headers as Record<string, string>;
          const reply = await fetch(backend.aws.kms, { method: 'POST', headers, body });
          const answer = Buffer.from(await reply.arrayBuffer());
          response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
        });
      });
      let hangs = true;
      afterEach(() => {
        hangs = true;
        return proxy.close();
      });
      const timeouts = { attemptMillis: 2000, callMillis: 2000 };
      const hanging = (keys: string[], options: SessionStoreConfig = {}) =>
        store(keys, { kmsEndpoint: proxy.url, timeouts, ...options });

      it('sessions of the others open within the deadline, with the cache and without', async () => {
        for (const keyCache of [true, false]) {
          assert.deepStrictEqual(await hanging([NEW, OLD], { keyCache }).get('sid'), { user: 'Ada' });
          assert.deepStrictEqual(await hanging([NEW, THIRD, ABROAD, OLD], { keyCache }).get('sid'), { user: 'Ada' });
        }
      });

      it('a session that the others cannot open is ERR_KMS_UNAVAILABLE: the first may be its key', async () => {
        const error = await failing(hanging([NEW, THIRD]).get('sid'), 'ERR_KMS_UNAVAILABLE');
        assert.ok(error.retryable);
      });

      it('the revocation check sees that another is disabled', async () => {
        const own = hanging([NEW, OLD]);
        hangs = false;
        await own.set('new', { user: 'Bob' });
        await own.get('sid');
        hangs = true;
        await sendKms(new DisableKeyCommand({ KeyId: OLD }));
        turnKeys(60);
        await own.get('new').catch(() => {});
        const until = performance.now() + 10_000;
        while (own.stats().keyCache.checksRevoked === 0 && performance.now() < until) await new Promise(setImmediate);
        assert.equal(own.stats().keyCache.checksRevoked, 1);
        hangs = false;
        await failing(own.get('sid'), 'ERR_KMS_KEY_UNUSABLE');
      });
    });

    it('ping succeeds with the first key alone, and fails with it', async () => {
      await store([NEW, UNKNOWN]).ping();
      assert.deepEqual(await kmsCalls(), [generate(NEW), decrypt(NEW)]);
      await failing(store([UNKNOWN, NEW]).ping(), 'ERR_KMS_KEY_UNUSABLE');
    });

    it('a hundred reads of one cold session try each key once', async () => {
      const own = store([NEW, OLD]);
      const found = await Promise.all(Array.from({ length: 100 }, () => own.get('sid')));
      for (const session of found) assert.deepStrictEqual(session, { user: 'Ada' });
      assert.deepEqual(await kmsCalls(), [decrypt(NEW), decrypt(OLD)]);
    });

    it('the second implementation reads what each key sealed', async () => {
      await store([NEW, OLD]).set('new', { user: 'Bob' });
      for (const [keyArn, sid, user] of [
        [OLD, 'sid', 'Ada'],
        [NEW, 'new', 'Bob'],
      ] as const) {
        const reader = new RecordReader(backend.aws, { keyArn });
        assert.deepStrictEqual(await reader.get(sid), { user });
        reader.close();
      }
    });
  });
}
