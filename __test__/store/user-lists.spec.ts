// The lists of users beside sessions: they are never taken for one, and many sessions of a user work. USER_LOGINS says how often the user logs in who has
// more sessions than may be.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { TableItems } from '../support/table-items.ts';
import { entriesOf, hashOf, listKey, USERS } from '../support/user-lists.ts';

const LOGINS = Number(process.env.USER_LOGINS ?? 1015);
const AT_ONCE = 16;

async function inLanes(count: number, work: (number: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

for (const { name, start } of backends) {
  describe(`lists of users on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    for (const hashSessionIds of [false, true]) {
      it(`are no sessions to all, ids, length and clear, whatever the prefix; ids ${hashSessionIds ? 'hashed' : 'plain'}`, async () => {
        const prefixes = ['user:', 'app:', 'app:user:', 'user', 'user:user:', 'user#', hashOf('ada')];
        const stores = prefixes.map((prefix) => backend.store({ users: USERS, prefix, hashSessionIds }));
        const own = [hashOf('ada'), `user:${hashOf('ada')}`, `user:${hashOf('ada')}%`, `app:user:${hashOf('ada')}`, 's:x'];
        for (const [at, store] of stores.entries()) {
          for (const sid of own) await store.set(sid, { user: 'ada', at });
        }
        for (const [at, store] of stores.entries()) {
          const mine = (await store.sessionsOf('ada')).filter((session: any) => session.at === at).map(({ id }) => id);
          assert.deepEqual(mine.sort(), [...own].sort(), `the prefix ${prefixes[at]}`);
          for (const sid of own) assert.equal(((await store.get(sid)) as any).at, at);
          assert.equal(await store.length(), own.length);
          assert.deepEqual((await store.ids()).sort(), [...own].sort());
          assert.equal((await store.all()).length, own.length);
        }
        // A store of plain ids without a prefix has the whole table.
        const whole = backend.store({ users: USERS });
        assert.equal(await whole.length(), prefixes.length * own.length);
        for (const [at, store] of [...stores.entries()].reverse()) {
          await store.clear();
          assert.equal(await store.length(), 0);
          assert.deepEqual(await store.sessionsOf('ada'), []);
          // The lists of the others are theirs.
          if (at > 0) for (const sid of own) assert.equal(((await stores[at - 1].get(sid)) as any).at, at - 1);
          await store.set('again', { user: 'ada', at });
          assert.equal(await store.destroyAllOf('ada'), 1);
        }
      });
    }

    it('are none of a store without a prefix, whose ids may look like theirs', async () => {
      const whole = backend.store({ users: USERS });
      await whole.clear();
      for (const sid of [hashOf('ada'), listKey('ada'), `${listKey('ada')}%`, listKey('ada', 'app:')]) {
        await whole.set(sid, { user: 'ada', sid });
        assert.equal(((await whole.get(sid)) as any).sid, sid);
      }
      assert.deepEqual((await whole.sessionsOf('ada')).map(({ id }) => id).sort(), (await whole.ids()).sort());
      assert.equal(await whole.length(), 4);
      await whole.destroy(listKey('ada'));
      assert.equal(await whole.destroyAllOf('ada'), 3);
      assert.deepEqual([await whole.length(), await whole.ids(), await whole.all()], [0, [], []]);
    });

    it('are of the sessions of one prefix alone', async () => {
      const [app, admin] = ['app:', 'app:admin:'].map((prefix) => backend.store({ users: USERS, prefix }));
      await app.set('a', { user: 'ada' });
      await admin.set('a', { user: 'ada' });
      assert.equal(await app.destroyAllOf('ada'), 1);
      assert.equal((await admin.sessionsOf('ada')).length, 1);
      assert.equal(await admin.destroyAllOf('ada'), 1);
    });
  });
}

describe('a user with many sessions', { timeout: 300_000 }, () => {
  let backend: AwsBackend;
  let items: TableItems;
  before(async () => {
    backend = await startAws();
    items = new TableItems(backend.aws);
  });
  after(async () => {
    items.close();
    await backend.stop();
  });
  const store = (options: SessionStoreConfig = {}) =>
    backend.store({ users: USERS, timeouts: { callMillis: 60_000 }, ...options });
  const took = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

  /** Puts sessions into the table and on the list as logins would, which take longer. */
  async function seeded(own: DynamoDBSessionStore, user: string, count: number): Promise<string[]> {
    const sids = Array.from({ length: count }, (_, number) => `${user}-${number}`);
    await own.set(sids[0], { user, number: 0 });
    const list = (await items.get(listKey(user)))!;
    const first = Number(list.generation.N);
    const plain = backend.store();
    await inLanes(count - 1, (number) => plain.set(sids[number + 1], { user, number: number + 1 }));
    const more: typeof list = {};
    for (const [number, sid] of sids.entries()) more[`s:${sid}`] = { N: String(first + number) };
    await items.change(listKey(user), { ...more, generation: { N: String(first + count) } });
    return sids;
  }

  it('has 1,000, which can be listed, added to, and ended', async (t) => {
    const own = store();
    const sids = await seeded(own, 'thousand', 999);
    const began = performance.now();
    await own.set('last', { user: 'thousand', number: 999 });
    const login = took(began);
    const sessions: any[] = await own.sessionsOf('thousand');
    assert.deepEqual(
      sessions.map(({ number }) => number),
      Array.from({ length: 1000 }, (_, at) => 999 - at),
    );
    const listed = took(began);
    await own.set('one more', { user: 'thousand' });
    assert.equal(await own.get(sids[0]), null, 'the oldest has made room');
    assert.ok(await own.get(sids[1]));
    assert.equal(await own.destroyAllOf('thousand', { except: 'last' }), 999);
    assert.deepEqual(entriesOf(await items.get(listKey('thousand'))), { last: (await items.get('last'))!.userEntry.N });
    t.diagnostic(`login ${login}, listed after ${listed}, all after ${took(began)}`);
  });

  it('has 2,000 at most', async (t) => {
    const own = store({ users: { ...USERS, maxSessions: 2000 } });
    const sids = await seeded(own, 'most', 2000);
    const began = performance.now();
    await own.set('new', { user: 'most' });
    t.diagnostic(`login beyond 2,000: ${took(began)}`);
    assert.equal(await own.get(sids[0]), null);
    const list = (await items.get(listKey('most')))!;
    assert.equal(Object.keys(entriesOf(list)).length, 2000);
    assert.equal(await own.destroyAllOf('most'), 2000);
    t.diagnostic(`and all ended: ${took(began)}`);
  });

  it(`who logs in ${LOGINS} times has the newest 1,000`, async (t) => {
    const own = store();
    const before = Math.min(LOGINS, 990);
    await seeded(own, 'eager', before);
    const began = performance.now();
    const lives = (number: number) => own.get(`eager-${number}`).then((session) => session !== null);
    let last = before;
    for (; last < LOGINS; last++) await own.set(`eager-${last}`, { user: 'eager', number: last });
    const numbers = (await own.sessionsOf('eager')).map((session: any) => session.number);
    assert.deepEqual(
      numbers,
      Array.from({ length: 1000 }, (_, at) => last - 1 - at),
    );
    assert.deepEqual([await lives(last - 1001), await lives(last - 1000)], [false, true]);
    t.diagnostic(`${last - before} logins ${took(began)}`);
  });

  it('has room where one is gone, then where one has ended, before the oldest makes room', async () => {
    const own = store({ users: { ...USERS, maxSessions: 3 } });
    const ids = async () => (await own.sessionsOf('few')).map(({ id }) => id);
    for (const sid of ['a', 'b', 'c']) await own.set(sid, { user: 'few' });
    await items.remove('c'); // as Time to Live does
    await own.set('d', { user: 'few' });
    assert.deepEqual(await ids(), ['d', 'b', 'a']);
    await items.change('b', { ttl: { N: String(Math.floor(Date.now() / 1000) - 1) } });
    await own.set('e', { user: 'few' });
    assert.deepEqual(await ids(), ['e', 'd', 'a']);
    await own.set('f', { user: 'few' });
    assert.deepEqual(await ids(), ['f', 'e', 'd']);
    assert.equal(await items.get('a'), undefined);
    assert.equal(await own.destroyAllOf('few'), 3);
  });

  it('loses none to a login that fails', async () => {
    const own = store({ users: { ...USERS, maxSessions: 1 } });
    await own.set('oldest', { user: 'poor' });
    const lives = async () =>
      assert.deepEqual(
        (await own.sessionsOf('poor')).map(({ id }) => id),
        ['oldest'],
      );
    await backend.aws.fault({ action: 'kms:GenerateDataKey', status: 500, code: 'KMSInternalException' });
    await failing(own.set('new', { user: 'poor' }), 'ERR_KMS_UNAVAILABLE');
    await backend.aws.clearFaults();
    await lives();
    await failing(own.set('new', { user: 'poor', text: 'x'.repeat(500_000) }), 'ERR_SESSION_TOO_LARGE');
    await lives();
    // Too large only with what the item says of its user.
    let [fits, large] = [0, 500_000];
    const save = (length: number) => backend.store({ users: USERS }).set('size', { text: 'x'.repeat(length) });
    while (large - fits > 1) {
      const length = Math.floor((fits + large) / 2);
      const fitted = await save(length).then(
        () => true,
        (error) => assert.equal(error.code, 'ERR_SESSION_TOO_LARGE'),
      );
      if (fitted) fits = length;
      else large = length;
    }
    const rest = fits - ',"user":"poor"'.length;
    await failing(own.set('new', { user: 'poor', text: 'x'.repeat(rest + 1) }), 'ERR_SESSION_TOO_LARGE');
    await lives();
    await own.set('new', { user: 'poor', text: 'x'.repeat(rest) });
    assert.deepEqual(
      (await own.sessionsOf('poor')).map(({ id }) => id),
      ['new'],
    );
    await own.clear();
  });
});
