// hashSessionIds: the table tells nobody a session id, and everything works as it does without.

import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { after, before, beforeEach, describe, it, mock } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, quietLogger, startAws } from '../support/backends.ts';
import { assertNothingOf, failing } from '../support/failures.ts';
import { RecordReader } from '../support/record-reader.ts';

const SECRET = 'a secret of the tests, ünï';
const NOW = Date.UTC(2030, 0, 15, 12, 0, 0, 250);

/** Ids that JSON, DynamoDB or a careless concatenation could trip over. */
const IDS = [
  'a',
  '7',
  'null',
  'id with "quotes" and \\backslashes\\',
  '["id",{"user":"Mallory"}]',
  'id","{}',
  ']]}}',
  'ünï © 漢字 🙂 \u0000\u2028\ufeff',
  'x'.repeat(2000),
  ' leading and trailing ',
  '../../etc',
  '__proto__',
];

const HASHES: Array<{ what: string; hashSessionIds: SessionStoreConfig['hashSessionIds']; hash: (sid: string) => string }> = [
  { what: 'SHA-256', hashSessionIds: true, hash: (sid) => createHash('sha256').update(sid).digest('base64url') },
  {
    what: 'a secret',
    hashSessionIds: { secret: SECRET },
    hash: (sid) => createHmac('sha256', Buffer.from(SECRET)).update(sid).digest('base64url'),
  },
];

for (const { name, start } of backends) {
  for (const recordVersion of [1, 2] as const) {
    for (const { what, hashSessionIds, hash } of HASHES) {
      describe(`ids hashed with ${what}, in records of version ${recordVersion} on ${name}`, () => {
        let backend: Backend;
        let store: DynamoDBSessionStore;
        before(async () => {
          backend = await start();
        });
        after(() => backend.stop());
        beforeEach(async () => {
          store = backend.store({ hashSessionIds, recordVersion });
          await store.clear();
        });
        const another = () => backend.store({ hashSessionIds, recordVersion });

        it('the record lies under the hash and shows no id', async () => {
          for (const sid of [...IDS, 'a-session-id-of-its-own']) {
            await store.set(sid, { user: 'Ada' });
            const record = (await store.record(sid))!;
            assert.equal(record.sessionId, hash(sid));
            assert.match(record.sessionId, /^[\w-]{43}$/);
            assert.equal(record.version, recordVersion);
          }
          const { sessionId, ...rest } = (await store.record('a-session-id-of-its-own'))!;
          assertNothingOf(['a-session-id-of-its-own', 'Ada"'], JSON.stringify(rest));
        });

        it('log lines and conflicts name a session by the same hash, and by no other', async () => {
          const logger = quietLogger();
          const [sid, unkeyed] = ['the session id', createHash('sha256').update('the session id').digest('hex')];
          const whole = Buffer.from(hash(sid), 'base64url').toString('hex');
          const [logging, other] = [backend.store({ hashSessionIds, recordVersion, logger }), another()];
          const conflicts: string[] = [];
          logging.on('conflict', ({ session }) => conflicts.push(session));
          await other.set(sid, { user: 'Ada' });
          const [ours, theirs] = [(await logging.get(sid))!, (await other.get(sid))!];
          await other.set(sid, { ...theirs, user: 'Bob' });
          await logging.set(sid, Object.assign(ours, { user: 'Cyd' }));
          await new Promise(setImmediate);
          assert.deepEqual(conflicts, [whole]);
          mock.timers.enable({ apis: ['Date'], now: Date.now() + 100 * 86_400_000 });
          assert.equal(await logging.get(sid), null, 'it has expired');
          mock.timers.reset();
          await failing(logging.set(sid, { amount: 10n }), 'ERR_SERIALIZATION');
          const named = logger.lines.filter((line) => /session [0-9a-f]{8}/.test(line));
          assert.equal(named.length, 3, named.join('\n'));
          for (const line of named) assert.ok(line.includes(`session ${whole.slice(0, 8)}`), line);
          if (what !== 'SHA-256') assertNothingOf([unkeyed.slice(0, 8)], [...named, ...conflicts].join('\n'));
        });

        it('the prefix stands before the hash, readable, and is no part of it', async () => {
          const prefixed = backend.store({ hashSessionIds, recordVersion, prefix: 'app:' });
          await prefixed.set('sid', { user: 'Ada' });
          await store.set('sid', { user: 'Bob' });
          assert.equal((await prefixed.record('sid'))!.sessionId, `app:${hash('sid')}`);
          assert.deepStrictEqual(await prefixed.get('sid'), { user: 'Ada' });
          assert.deepEqual(await prefixed.ids(), ['sid']);
          await prefixed.clear();
          assert.deepStrictEqual(await store.get('sid'), { user: 'Bob' });
        });

        it('sessions come back under ids of every kind, to this store and the next', async () => {
          for (const [number, sid] of IDS.entries()) await store.set(sid, { number, text: '"],[' });
          for (const one of [store, another()]) {
            for (const [number, sid] of IDS.entries()) assert.deepStrictEqual(await one.get(sid), { number, text: '"],[' });
          }
        });

        it('ids and all give the ids that were saved, length counts them', async () => {
          for (const [number, sid] of IDS.entries()) await store.set(sid, { number });
          for (const one of [store, another()]) {
            assert.deepEqual((await one.ids()).sort(), [...IDS].sort());
            assert.equal(await one.length(), IDS.length);
            const all = await one.all();
            assert.deepEqual(
              all.sort((a, b) => a.number - b.number),
              IDS.map((id, number) => ({ number, id })),
            );
          }
        });

        it('a session that has an id of its own, or a list for its content, is not mistaken', async () => {
          const session = { id: 'mine', '0': 'zero', list: ['sid', {}] };
          await store.set('sid', session);
          assert.deepStrictEqual(await another().get('sid'), session);
          assert.deepEqual(await another().ids(), ['sid']);
        });

        it('saves, touches, destroy and clear work', async (t) => {
          mock.timers.enable({ apis: ['Date'], now: NOW });
          t.after(() => mock.timers.reset());
          const own = backend.store({ hashSessionIds, recordVersion, ttlSeconds: 100 });
          await own.set('sid', { visit: 1 });
          await own.set('sid', { visit: 2 });
          for (const later of [60, 120, 180, 240]) {
            mock.timers.setTime(NOW + later * 1000); // past notAfter as well
            await own.touch('sid', {});
          }
          assert.equal((await own.record('sid'))!.ttl, Math.floor(NOW / 1000) + 340);
          mock.timers.setTime(NOW + 339_000);
          assert.deepStrictEqual(await another().get('sid'), { visit: 2 });
          assert.deepEqual(await another().ids(), ['sid']);
          mock.timers.setTime(NOW + 340_000);
          assert.equal(await own.get('sid'), null);
          assert.deepEqual([await own.ids(), await own.all(), await own.length()], [[], [], 0]);
          await own.set('sid', {});
          await own.set('other', {});
          await own.destroy('sid');
          assert.equal(await another().get('sid'), null);
          assert.deepEqual(await another().ids(), ['other']);
          await own.clear();
          assert.equal(await another().length(), 0);
        });

        it('a store that hashes otherwise, or not at all, knows none of the sessions', async () => {
          await store.set('sid', { user: 'Ada' });
          const others: SessionStoreConfig[] = [
            {},
            { hashSessionIds: false },
            { hashSessionIds: { secret: 'another secret of the tests' } },
            { hashSessionIds: hashSessionIds === true ? { secret: SECRET } : true },
          ];
          for (const options of others) {
            const other = backend.store({ ...options, recordVersion });
            assert.equal(await other.get('sid'), null);
            await other.touch('sid', {});
            await other.destroy('sid');
          }
          assert.deepStrictEqual(await another().get('sid'), { user: 'Ada' });
          const secret = backend.store({ hashSessionIds: { secret: 'another secret of the tests' }, recordVersion });
          await failing(secret.all(), 'ERR_INTEGRITY', ['another secret', SECRET]);
          await failing(secret.ids(), 'ERR_INTEGRITY', ['another secret', SECRET]);
        });

        it('ids too long for the table are refused as without hashing', async () => {
          await failing(store.set('x'.repeat(2049), {}), 'ERR_CONFIG');
          await failing(store.get(''), 'ERR_CONFIG');
          await store.set('x'.repeat(2048), { user: 'Ada' });
          assert.deepStrictEqual(await another().get('x'.repeat(2048)), { user: 'Ada' });
        });
      });
    }
  }
}

for (const recordVersion of [1, 2] as const) {
  for (const { what, hashSessionIds } of HASHES) {
    describe(`ids hashed with ${what}, in records of version ${recordVersion}, on the wire`, () => {
      let backend: AwsBackend;
      let reader: RecordReader;
      let store: DynamoDBSessionStore;
      before(async () => {
        backend = await startAws();
        reader = new RecordReader(backend.aws, { hashed: hashSessionIds, prefix: 'app:' });
        store = backend.store({ hashSessionIds, recordVersion, prefix: 'app:' });
      });
      after(async () => {
        reader.close();
        await backend.stop();
      });

      it('no request shows an id or the secret', async () => {
        await backend.aws.reset();
        const sid = 'session-id-that-must-not-show';
        const text = 'content-that-must-not-show';
        const cold = backend.store({ hashSessionIds, recordVersion, prefix: 'app:' });
        for (const one of [store, cold]) {
          await one.get(sid);
          await one.set(sid, { text });
          await one.get(sid);
          await one.touch(sid, { text });
          await one.record(sid);
          await one.ids();
          await one.all();
          await one.length();
        }
        await store.destroy(sid);
        await store.set(sid, { text });
        await store.clear();
        await store.ping();
        const requests = await backend.aws.requests();
        assert.ok(requests.length > 20);
        const base64 = (secret: string) =>
          [0, 1, 2].map((shift) =>
            Buffer.from(' '.repeat(shift) + secret)
              .toString('base64')
              .slice(4, 20),
          );
        assertNothingOf([sid, text, SECRET, ...[sid, text, SECRET].flatMap(base64)], JSON.stringify(requests));
      });

      it('the second implementation reads what the store wrote, and the other way round', async () => {
        for (const [number, sid] of IDS.entries()) {
          await store.set(sid, { number });
          assert.deepStrictEqual(await reader.get(sid), { number });
          const item = (await reader.item(sid))!;
          assert.equal(await reader.open(item), `[${JSON.stringify(sid)},{"number":${number}}]`);
          await reader.set(sid, { number: number + 100 }, { version: recordVersion });
          assert.deepStrictEqual(await store.get(sid), { number: number + 100 });
        }
        assert.deepEqual((await store.ids()).sort(), [...IDS].sort());
        await store.clear();
      });

      it("a record moved under another session's key is refused, cold and warm", async () => {
        await store.set('mine', { user: 'Mallory' });
        await store.set('yours', { user: 'Ada' });
        const moved = { ...(await reader.item('mine'))!, sessionId: { S: reader.partitionKey('yours') } };
        await reader.put(moved);
        const cold = backend.store({ hashSessionIds, recordVersion, prefix: 'app:' });
        for (const one of [store, cold]) {
          for (const call of [() => one.get('yours'), () => one.all(), () => one.ids()]) await failing(call(), 'ERR_INTEGRITY');
          assert.deepStrictEqual(await one.get('mine'), { user: 'Mallory' });
        }
        assert.deepEqual(await reader.item('yours'), moved);
        await store.clear();
      });

      it('a record moved under another prefix is refused in version 2, and in version 1 as well', async () => {
        await store.set('sid', { user: 'Ada' });
        const other = backend.store({ hashSessionIds, recordVersion, prefix: 'other:' });
        const key = { S: reader.partitionKey('sid').replace('app:', 'other:') };
        await reader.put({ ...(await reader.item('sid'))!, sessionId: key });
        if (recordVersion === 2) await failing(other.get('sid'), 'ERR_INTEGRITY');
        else assert.deepStrictEqual(await other.get('sid'), { user: 'Ada' }, 'version 1 is bound to the id alone');
        await store.clear();
        await other.clear();
      });

      it('what is sealed without an id, or otherwise than the page says, is refused', async () => {
        const payloads = [
          '{"user":"Ada"}',
          '[{"user":"Ada"}]',
          '["sid"]',
          '[]',
          '["other",{"user":"Ada"}]',
          '[7,{"user":"Ada"}]',
          '["sid",{"user":"Ada"}',
          '"sid"',
          '',
        ];
        for (const payload of payloads) {
          await reader.put(await reader.record('sid', payload, { version: recordVersion }));
          for (const call of [() => store.get('sid'), () => store.all(), () => store.ids()]) {
            const error: any = await call().then(
              () => assert.fail(`taken: ${payload}`),
              (error) => error,
            );
            assert.ok(['ERR_INTEGRITY', 'ERR_SERIALIZATION'].includes(error.code), `${payload}: ${error}`);
          }
        }
        await store.clear();
      });

      it('length asks nothing of KMS, ids opens every session once', async () => {
        for (const sid of ['a', 'b', 'c']) await store.set(sid, {});
        const cold = backend.store({ hashSessionIds, recordVersion, prefix: 'app:' });
        await backend.aws.reset();
        assert.equal(await cold.length(), 3);
        assert.equal((await backend.aws.calls())['kms:Decrypt'], undefined);
        assert.deepEqual((await cold.ids()).sort(), ['a', 'b', 'c']);
        assert.equal((await backend.aws.calls())['kms:Decrypt'], 3);
        await cold.ids();
        assert.equal((await backend.aws.calls())['kms:Decrypt'], 3);
        await store.clear();
      });
    });
  }
}
