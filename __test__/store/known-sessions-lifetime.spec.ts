// When the end of a known session moves, and what that costs: touchAfter, short lifetimes, ends that come earlier.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { earlierFastify, expressWith, fastify } from '../support/framework-apps.ts';
import { calls, outcomes } from '../support/outcomes.ts';

/** Not on a whole second, so that rounding shows. */
const NOW = Date.UTC(2030, 0, 1) + 250;

/** The two ways in which frameworks move the end of a session that has not changed. */
const ways = ['set', 'touch'] as const;

interface Window {
  config: SessionStoreConfig;
  /** The last second after a move at which nothing is sent, and the first one at which the end moves again. */
  nothing: number;
  moves: number;
}

const windows: Record<string, Window> = {
  'by default': { config: {}, nothing: 6047, moves: 6048 },
  'with touchAfter 60': { config: { touchAfter: 60 }, nothing: 59, moves: 60 },
  'with touchAfter 5': { config: { touchAfter: 5 }, nothing: 4, moves: 5 },
  'with touchAfter 3600': { config: { touchAfter: 3600 }, nothing: 3599, moves: 3600 },
  'with touchAfter 3600 and a lifetime of 10 minutes': {
    config: { touchAfter: 3600, ttlSeconds: 600 },
    nothing: 59,
    moves: 60,
  },
  'with a lifetime of 30 minutes': { config: { ttlSeconds: 1800 }, nothing: 17, moves: 18 },
  'with touchAfter 60 and a lifetime of 5 minutes': { config: { touchAfter: 60, ttlSeconds: 300 }, nothing: 29, moves: 30 },
  'with a lifetime of 200 seconds': { config: { ttlSeconds: 200 }, nothing: 1, moves: 2 },
  'with a lifetime of 10 seconds': { config: { ttlSeconds: 10 }, nothing: 0, moves: 1 },
  'with touchAfter 0': { config: { touchAfter: 0 }, nothing: 0, moves: 1 },
  'with touchAfter 0.5': { config: { touchAfter: 0.5 }, nothing: 0, moves: 1 },
  'with a function ttlSeconds that gives 5 minutes': { config: { ttlSeconds: () => 300 }, nothing: 2, moves: 3 },
};

for (const { name, start } of backends) {
  describe(`the end of a known session on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
    afterEach(() => mock.timers.reset());

    /** A store with a session of its own, and the object of it that `get` gave. */
    async function saved(config: SessionStoreConfig, session: object = { user: 'ada' }) {
      const [sid, store] = [`sid-${++number}`, backend.store(config)];
      await store.set(sid, session);
      return { sid, store, session: (await store.get(sid))! };
    }

    async function ttl(store: DynamoDBSessionStore, sid: string): Promise<number> {
      return (await store.record(sid))!.ttl;
    }

    for (const [kind, { config, nothing, moves }] of Object.entries(windows)) {
      for (const way of ways) {
        it(`${kind}, ${way} moves it after ${moves} seconds and sends nothing before`, async () => {
          const { sid, store, session } = await saved(config);
          const first = await ttl(store, sid);
          for (const round of [0, 1]) {
            // Requests inside the window do not push the next move away.
            for (const second of new Set([0, nothing >> 1, nothing])) {
              mock.timers.setTime(NOW + (round * moves + second) * 1000);
              assert.deepEqual(await outcomes(store, () => store[way](sid, session)), { unchanged: 1 });
            }
            assert.equal(await ttl(store, sid), first + round * moves);
            mock.timers.setTime(NOW + (round + 1) * moves * 1000);
            assert.deepEqual(await outcomes(store, () => store[way](sid, session)), { extended: 1 });
            assert.equal(await ttl(store, sid), first + (round + 1) * moves);
          }
        });
      }
    }

    for (const way of ways) {
      it(`${way} moves it to an earlier second at once`, async () => {
        const cookie = { expires: new Date(NOW + 3_600_000), originalMaxAge: 3_600_000 };
        const { sid, store, session } = await saved({}, { cookie, user: 'ada' });
        const first = await ttl(store, sid);
        for (const seconds of [1, 3, 3000]) {
          session.cookie!.expires = new Date(NOW + 3_600_000 - seconds * 1000);
          assert.deepEqual(await outcomes(store, () => store[way](sid, session)), { extended: 1 });
          assert.equal(await ttl(store, sid), first - seconds);
        }
        mock.timers.setTime(NOW + 601_000);
        assert.equal(await backend.store().get(sid), null);
      });

      it(`${way} moves it to an earlier second at once if the function ttlSeconds says so, for this session`, async () => {
        let seconds = 3600;
        const seen: unknown[] = [];
        const { sid, store, session } = await saved({
          touchAfter: 60,
          ttlSeconds(given) {
            seen.push(given);
            return seconds;
          },
        });
        const first = await ttl(store, sid);
        seconds = 60;
        assert.deepEqual(await outcomes(store, () => store[way](sid, session)), { extended: 1 });
        assert.equal(await ttl(store, sid), first - 3540);
        assert.strictEqual(seen.at(-1), session);
        mock.timers.setTime(NOW + 5000);
        assert.deepEqual(await outcomes(store, () => store[way](sid, session)), { unchanged: 1 }); // a tenth of 60 seconds
        mock.timers.setTime(NOW + 6000);
        assert.deepEqual(await outcomes(store, () => store[way](sid, session)), { extended: 1 });
      });
    }

    it('the window counts from what get has read, not from what this store has written', async () => {
      const { sid, store, session } = await saved({ touchAfter: 60 });
      mock.timers.setTime(NOW + 60_000);
      const other = backend.store({ touchAfter: 60 });
      const theirs = (await other.get(sid))!;
      assert.deepEqual(await outcomes(other, () => other.set(sid, theirs)), { extended: 1 });
      // The first store reads again, as every request does, and has nothing to move.
      const again = (await store.get(sid))!;
      assert.deepEqual(await outcomes(store, () => store.touch(sid, again)), { unchanged: 1 });
      // The object of a request that began earlier moves it to the same end.
      const end = await ttl(store, sid);
      await store.touch(sid, session);
      assert.equal(await ttl(store, sid), end);
    });

    it('an object that was gone by its end is not brought back by a touch or by a save of the same content', async () => {
      const { sid, store, session } = await saved({ ttlSeconds: 600 });
      mock.timers.setTime(NOW + 600_000);
      assert.deepEqual(await outcomes(store, () => store.touch(sid, session)), { gone: 1 });
      const { sid: second, store: again, session: other } = await saved({ ttlSeconds: 600 });
      mock.timers.setTime(NOW + 1_200_000);
      assert.deepEqual(await outcomes(again, () => again.set(second, other)), { gone: 1 });
      for (const id of [sid, second]) assert.equal(await store.get(id), null);
    });

    for (const lifetime of [300, 999, 1000, 1500, 1999, 2000, 2500, 5000, 9999, 30_000]) {
      for (const way of ways) {
        it(`a lifetime of ${lifetime} ms rolls with every request that ends in ${way}`, async () => {
          const step = Math.ceil(lifetime / 20);
          // Early and late in a second: the rounding up of ttl hides much, and differently.
          for (const begin of [NOW, NOW + 751]) {
            const store = backend.store();
            const sid = `short-${++number}`;
            const cookie = () => ({ originalMaxAge: lifetime, expires: new Date(Date.now() + lifetime) });
            mock.timers.setTime(begin);
            await store.set(sid, { cookie: cookie(), user: 'ada' });
            for (let request = 1; request <= 30; request++) {
              mock.timers.setTime(begin + request * step);
              const session = await store.get(sid);
              assert.notEqual(session, null, `it was gone at request ${request}`);
              session!.cookie = cookie();
              await store[way](sid, session!);
              // The window is a tenth of the lifetime at most, so for nine tenths it is there, whatever of this request was sent.
              mock.timers.setTime(begin + request * step + Math.floor(lifetime * 0.9) - 1);
              assert.notEqual(await store.get(sid), null, `request ${request} did not roll it`);
            }
            // A save is exact below 2 seconds; beyond that, and after a touch, ttl counts, in whole seconds.
            const slack = way === 'set' && lifetime < 2000 ? 0 : 2000;
            mock.timers.setTime(begin + 30 * step + lifetime + slack);
            assert.equal(await store.get(sid), null, 'it lives longer than its last request let it');
          }
        });
      }
    }

    it('a lifetime under a second is written whole, on condition that nobody else has changed the session', async () => {
      const store = backend.store();
      const other = backend.store();
      const sid = 'short, and changed by two';
      const cookie = () => ({ originalMaxAge: 900, expires: new Date(Date.now() + 900) });
      await store.set(sid, { cookie: cookie(), user: 'ada' });
      const [stale, changed] = [(await store.get(sid))!, (await other.get(sid))!];
      mock.timers.setTime(NOW + 500);
      stale.cookie = cookie();
      changed.cookie = cookie();
      changed.user = 'bob';
      await other.set(sid, changed);
      assert.deepEqual(await outcomes(store, () => store.set(sid, stale)), { unchanged: 1 });
      assert.equal((await store.get(sid))!.user, 'bob');
      const again = (await store.get(sid))!;
      mock.timers.setTime(NOW + 700);
      again.cookie = cookie();
      assert.deepEqual(await outcomes(store, () => store.set(sid, again)), { written: 1 });
      await other.destroy(sid);
      mock.timers.setTime(NOW + 900);
      again.cookie = cookie();
      assert.deepEqual(await outcomes(store, () => store.set(sid, again)), { gone: 1 });
      assert.equal(await store.record(sid), null);
    });
  });
}

describe('the end of a known session on the wire', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
  afterEach(() => mock.timers.reset());

  for (const way of ways) {
    it(`${way} sends nothing inside the window, and one UpdateItem of ttl that holds for a live item alone`, async () => {
      const store = backend.store({ touchAfter: 60, ttlSeconds: 3600 });
      await store.set(way, { user: 'ada' });
      const session = (await store.get(way))!;
      mock.timers.setTime(NOW + 59_000);
      assert.deepEqual(await calls(backend, () => store[way](way, session)), {});
      mock.timers.setTime(NOW + 60_000);
      assert.deepEqual(await calls(backend, () => store[way](way, session)), { 'dynamodb:UpdateItem': 1 });
      const [{ body }] = await backend.aws.requests();
      assert.deepEqual(body.Key, { sessionId: { S: way } });
      assert.match(body.UpdateExpression, /^SET #?\w+ = :\w+$/);
      assert.ok(body.ConditionExpression);
      const values = Object.values<any>(body.ExpressionAttributeValues).map(({ N }) => Number(N));
      assert.ok(values.includes(Math.floor(NOW / 1000) + 3660)); // the new end
      assert.ok(!JSON.stringify(body).includes('encryptedData'));
    });
  }
});

for (const { name, serve } of [expressWith(false), fastify, earlierFastify]) {
  describe(`short sessions of ${name}`, () => {
    for (const maxAge of [500, 1000, 1500, 2500, 5000]) {
      it(`live on with a maxAge of ${maxAge} ms while they are used`, async (t) => {
        // Late in a second: Set-Cookie has whole seconds, and a browser would drop a shorter cookie at once.
        const begin = NOW + 501;
        mock.timers.enable({ apis: ['Date'], now: begin });
        t.after(() => mock.timers.reset());
        const backend = await backends[0]!.start();
        t.after(() => backend.stop());
        const { origin } = await serve(t, backend.store(), { cookie: { maxAge, secure: false, path: '/' }, rolling: true });
        const browser = new Browser(origin);
        await browser.post('/login/ada');
        // The browser forgets cookies by whole seconds, so it is the store alone that is tested here.
        const cookies = [...browser.cookies];
        for (let request = 1; request <= 30; request++) {
          mock.timers.setTime(begin + request * Math.ceil(maxAge * 0.3));
          for (const [key, value] of cookies) browser.cookies.set(key, value);
          assert.equal((await browser.get('/me')).status, 200, `request ${request}`);
        }
      });
    }
  });
}
