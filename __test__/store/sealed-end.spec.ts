// The sealed end of version 2 holds against somebody who can write the table: `ttl` is not authenticated, and nothing that a save makes of it outlives that end.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { SealedStore, type SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, quietLogger, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { TableItems } from '../support/table-items.ts';
import { listKey, USERS } from '../support/user-lists.ts';

const HOUR = 3600;
const KEYS = ['1', '2'].map((digit) => `arn:aws:kms:us-east-1:232282424912:key/${digit.repeat(8)}-2222-3333-4444-555555555555`);

describe('a session whose ttl somebody has moved on', () => {
  let backend: AwsBackend;
  let items: TableItems;
  let number = 0;
  before(async () => {
    backend = await startAws(KEYS.flatMap((key) => ['--key-arn', key]));
    items = new TableItems(backend.aws);
  });
  after(async () => {
    items.close();
    await backend.stop();
  });

  const now = () => Math.floor(Date.now() / 1000);
  const v2 = { recordVersion: 2, acceptVersions: [2], kmsKeyArn: KEYS[0] } as const satisfies SessionStoreConfig;
  const ends = async (key: string) => {
    const { ttl, notAfter } = (await items.get(key))!;
    return { ttl: Number(ttl.N), notAfter: Number(notAfter.N) };
  };

  /** Where somebody moves it: to the sealed end, past it, and as far as a Date goes. */
  const TARGETS: Record<string, (notAfter: number) => number> = {
    'to its sealed end': (notAfter) => notAfter,
    'by ten years': () => now() + 315_360_000,
    'as far as a Date goes': () => 8_640_000_000_000,
  };

  /** What an application does with a session without asking for another end. */
  const WRITES: Record<string, (sid: string, round: number) => Promise<unknown>> = {
    update: (sid, round) =>
      backend.store(v2).update(sid, (session: any) => {
        session.round = round;
      }),
    'update that is repeated': async (sid, round) => {
      let conflicts = 0;
      await backend.store(v2).update(sid, async (session: any) => {
        if (conflicts++ === 0)
          await backend.store(v2).update(sid, (other: any) => {
            other.of = round;
          });
        session.round = round;
      });
      assert.equal(conflicts, 2);
    },
    refresh: (sid, round) =>
      backend.store(v2).refresh(sid, {
        isFresh: (session: any) => session.round === round,
        refresh: (session: any) => ({ ...session, round }),
      }),
    'a changed session': async (sid, round) => {
      const store = backend.store(v2);
      const session: any = await store.get(sid);
      session.round = round;
      await store.set(sid, session);
    },
    'a changed session, although others have written it': async (sid, round) => {
      const store = backend.store({ ...v2, onConflict: 'overwrite' });
      const session: any = await store.get(sid);
      await backend.store(v2).update(sid, (other: any) => {
        other.of = round;
      });
      session.round = round;
      await store.set(sid, session);
    },
    'an unchanged session, under another KMS key': async (sid, round) => {
      const store = backend.store({ ...v2, kmsKeyArn: round % 2 === 0 ? [...KEYS].reverse() : KEYS });
      const before = await items.get(sid);
      await store.set(sid, (await store.get(sid))!);
      assert.notDeepEqual((await items.get(sid))!.encryptedKey, before!.encryptedKey);
    },
  };

  for (const [where, target] of Object.entries(TARGETS)) {
    for (const [what, write] of Object.entries(WRITES)) {
      it(`${where} ends when it was to end at the latest, with ${what}`, async () => {
        const sid = `moved-${++number}`;
        const cookie = { expires: new Date(Date.now() + HOUR * 1000), originalMaxAge: HOUR * 1000 };
        await backend.store(v2).set(sid, { cookie });
        const sealed = await ends(sid);
        for (let round = 0; round < 3; round++) {
          await items.change(sid, { ttl: { N: String(target((await ends(sid)).notAfter)) } });
          await write(sid, round);
          const after = await ends(sid);
          assert.ok(after.notAfter <= sealed.notAfter, `notAfter moved on by ${after.notAfter - sealed.notAfter} s`);
          assert.ok(after.ttl <= sealed.notAfter);
          const session: any = await backend.store({ ...v2, kmsKeyArn: KEYS }).get(sid);
          if (what !== 'an unchanged session, under another KMS key') assert.equal(session.round, round);
        }
      });
    }

    it(`${where} shows no later end in its cookie`, async () => {
      const sid = `moved-${++number}`;
      const store = backend.store({ ...v2, prefix: `p${number}:`, users: USERS });
      await store.set(sid, { cookie: { expires: new Date(Date.now() + HOUR * 1000) }, user: 'ada' });
      const key = `p${number}:${sid}`;
      const { notAfter } = await ends(key);
      await items.change(key, { ttl: { N: String(target(notAfter)) } });
      const expires = new Date(notAfter * 1000).toISOString();
      const shown = (session: any) => assert.equal(session.cookie.expires, expires);
      shown(await store.get(sid));
      for (const session of [...(await store.all()), ...(await store.sessionsOf('ada'))]) shown(session);
      for await (const session of store.sessions()) shown(session);
      await store.update(sid, shown);
      await items.change(key, { ttl: { N: String(target(notAfter)) } });
      shown(await store.take(sid));
    });
  }

  it('goes on as its application says, if that asks for a later end', async () => {
    const [sid, store] = [`moved-${++number}`, backend.store(v2)];
    await store.set(sid, { cookie: { expires: new Date(Date.now() + HOUR * 1000) } });
    const { notAfter } = await ends(sid);
    await items.change(sid, { ttl: { N: String(notAfter) } });
    const session: any = await store.get(sid);
    session.cookie.expires = new Date(Date.now() + 3 * HOUR * 1000);
    session.changed = true;
    await store.set(sid, session);
    assert.ok((await ends(sid)).notAfter > notAfter + HOUR);
  });

  it('can be taken and touched, and then ends when the touch says', async () => {
    const [sid, store] = [`moved-${++number}`, backend.store({ ...v2, ttlSeconds: HOUR })];
    await store.set(sid, {});
    await items.change(sid, { ttl: { N: String(now() + 315_360_000) } });
    const session = (await store.get(sid))!;
    await store.touch(sid, session);
    assert.ok((await ends(sid)).ttl <= now() + HOUR);
    await items.change(sid, { ttl: { N: String(now() + 315_360_000) } });
    assert.deepEqual(await store.take(sid), {});
    assert.equal(await items.get(sid), undefined);
  });

  it('keeps its sealed end as an item of a SealedStore as well', async () => {
    const { tableName, dynamodbEndpoint, kmsEndpoint } = backend.config;
    const aws = { tableName, dynamodbEndpoint, kmsEndpoint, kmsKeyArn: KEYS[0] };
    const store = new SealedStore<{ n: number }>({ ...aws, hashSessionIds: false, logger: quietLogger() });
    await store.put('code', { n: 0 }, { ttlSeconds: HOUR });
    const { notAfter } = await ends('item:code');
    for (const target of Object.values(TARGETS)) {
      await items.change('item:code', { ttl: { N: String(target(notAfter)) } });
      await store.update('code', (value) => void value.n++);
      assert.ok((await ends('item:code')).notAfter <= notAfter);
    }
    await items.change('item:code', { ttl: { N: String(notAfter + HOUR) } });
    assert.deepEqual(await store.take('code'), { n: 3 });
    await store.close();
  });

  for (const recordVersion of [1, 2] as const) {
    it(`further than a Date goes is ERR_INTEGRITY; version ${recordVersion}`, async () => {
      const store = backend.store({ recordVersion, prefix: `far${recordVersion}:`, users: USERS, kmsKeyArn: KEYS[0] });
      await store.set('session-of-ada', { cookie: { expires: new Date(Date.now() + HOUR * 1000) }, user: 'ada' });
      for (const ttl of ['8640000000001', '9223372036854775807']) {
        await items.change(`far${recordVersion}:session-of-ada`, { ttl: { N: ttl } });
        const calls = [
          () => store.get('session-of-ada'),
          () => store.take('session-of-ada'),
          () => store.all(),
          () => store.sessionsOf('ada'),
          () => store.update('session-of-ada', () => {}),
          () => store.record('session-of-ada'),
        ];
        for (const call of calls) await failing(call(), 'ERR_INTEGRITY', ['session-of-ada']);
      }
    });
  }

  it('is found by a login and ended with the others, whatever the number of its list is', async () => {
    const store = backend.store({ ...v2, prefix: 'wrap:', users: USERS });
    await store.set('a', { user: 'ada' });
    await items.change(listKey('ada', 'wrap:'), { generation: { N: '18446744073709551615' } });
    assert.equal((await store.sessionsOf('ada')).length, 1);
    await store.set('b', { user: 'ada' });
    assert.deepEqual((await store.sessionsOf('ada')).map(({ id }) => id).sort(), ['a', 'b']);
    assert.equal(await store.destroyAllOf('ada'), 2);
  });
});
