// refresh: a token in a session is renewed once, by one of all who need it, and everybody gets the new one.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type DynamoDBSessionStore, SessionStoreError } from 'connect-dynamodb-kms';
import { type Backend, backends } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { hold } from '../support/lease-holder.ts';
import { OauthProvider, renewing } from '../support/oauth-provider.ts';
import { Stops } from '../support/stops.ts';

const COOKIE = { originalMaxAge: null, expires: null, path: '/' };
const LIMIT = { timeout: 300_000 };
const never = () => assert.fail('the function ran');
const isFresh = (session: any) => session.token === 'new';
const both = { isFresh, refresh: never };

for (const { name, start } of backends) {
  describe(`refresh on ${name}`, LIMIT, () => {
    let backend: Backend;
    let store: DynamoDBSessionStore;
    let other: DynamoDBSessionStore;
    let sids = 0;
    before(async () => {
      backend = await start();
      [store, other] = [backend.store(), backend.store()];
    });
    after(() => backend.stop());

    async function saved(session: object = {}): Promise<string> {
      const sid = `session-${++sids}`;
      await backend.stores[0].set(sid, { cookie: COOKIE, token: 'old', ...session });
      return sid;
    }

    it('gives back the object that it got, while its token is fresh, and sends nothing', async () => {
      const sid = await saved({ token: 'new' });
      const session = (await store.get(sid))!;
      const { requests } = store.stats();
      assert.equal(await store.refresh(session, both), session);
      assert.deepEqual(store.stats().requests, requests);
    });

    it('reads the session of an id, and gives it if its token is fresh', async () => {
      const sid = await saved({ token: 'new' });
      assert.deepEqual(await other.refresh(sid, both), { cookie: COOKIE, token: 'new' });
    });

    it('renews a token that is stale, stores what the function changed, and gives the session as it is stored', async () => {
      const sid = await saved({ list: [1, 2], tokens: { google: { access: 'a', scope: 's' } }, gone: 1 });
      const session = await store.refresh(sid, {
        isFresh,
        refresh: async (inner: any, signal) => {
          assert.equal(signal.aborted, false);
          inner.token = 'new';
          inner.tokens.google.access = 'b';
          inner.list.push(3);
          delete inner.gone;
        },
      });
      const expected = { cookie: COOKIE, token: 'new', list: [1, 2, 3], tokens: { google: { access: 'b', scope: 's' } } };
      assert.deepEqual(session, expected);
      assert.deepEqual(await other.get(sid), expected);
    });

    it('takes a whole session that the function returns, and refuses one that it also changed', async () => {
      const sid = await saved();
      const wrong = (session: any) => {
        session.token = 'new';
        return 'new' as any;
      };
      const { detail } = await failing(store.refresh(sid, { isFresh, refresh: wrong }), 'ERR_CONFIG');
      assert.match(detail, /the function given to refresh changed the session and returned something else/);
      const without = () => ({ token: 'new' }) as any;
      await failing(store.refresh(sid, { isFresh, refresh: without }), 'ERR_CONFIG');
      await store.refresh(sid, { isFresh, refresh: (session) => ({ ...session, token: 'new' }) });
      assert.deepEqual(await other.get(sid), { cookie: COOKIE, token: 'new' });
    });

    it('is null if there is no session, and the function does not run', async () => {
      assert.equal(await store.refresh('nobody', both), null);
      const sid = await saved();
      const session = (await store.get(sid))!;
      await other.destroy(sid);
      assert.equal(await store.refresh(session, both), null);
    });

    it('brings back nothing if the session goes while the function runs', async () => {
      const sid = await saved();
      const session = (await store.get(sid))!;
      const refresh = async (inner: any) => {
        await other.destroy(sid);
        inner.token = 'new';
      };
      assert.equal(await store.refresh(session, { isFresh, refresh }), null);
      assert.equal(await other.record(sid), null);
      await store.set(sid, session);
      assert.equal(await other.record(sid), null);
    });

    it('is once for all who need it in a process, by object and by id; each object is up to date', async () => {
      const sid = await saved();
      const objects = await Promise.all(Array.from({ length: 5 }, () => store.get(sid)));
      let runs = 0;
      const refresh = async (session: any) => {
        // A call that reads the session only after this has been stored joins nobody.
        while (store.stats().refreshes.joined - counted.joined < 6) await new Promise((resolve) => setImmediate(resolve));
        session.token = 'new';
        session.runs = ++runs;
      };
      const counted = store.stats().refreshes;
      const results = await Promise.all([...objects, sid, sid].map((target) => store.refresh(target!, { isFresh, refresh })));
      assert.equal(runs, 1);
      for (const [index, object] of objects.entries()) assert.equal(results[index], object);
      for (const result of results) assert.deepEqual(result, { cookie: COOKIE, token: 'new', runs: 1 });
      const { run, joined, failed } = store.stats().refreshes;
      assert.deepEqual([run - counted.run, joined - counted.joined, failed - counted.failed], [1, 6, 0]);
      const { sessions } = store.stats();
      for (const object of objects) await store.set(sid, object!);
      assert.equal(store.stats().sessions.written, sessions.written, 'the save at the end of the request has nothing to write');
      assert.equal(store.stats().sessions.unchanged, sessions.unchanged + 5);
    });

    it('fails for all who joined with the very error, and the next call tries again', async () => {
      const sid = await saved();
      const reason = new Error('the provider is down');
      let runs = 0;
      const refresh = async () => {
        runs++;
        throw reason;
      };
      const results = await Promise.allSettled([1, 2, 3].map(() => store.refresh(sid, { isFresh, refresh })));
      for (const result of results) assert.equal((result as PromiseRejectedResult).reason, reason);
      assert.equal(runs, 1);
      const session = await store.refresh(sid, { isFresh, refresh: (inner) => void Object.assign(inner, { token: 'new' }) });
      assert.equal(session!.token, 'new');
      assert.equal(store.stats().refreshes.unsaved, 0);
    });

    it('adopts what another store has renewed, into the object of the request, and runs nothing', async () => {
      const sid = await saved({ visits: 1 });
      const session: any = await store.get(sid);
      await other.update(sid, (inner) => void Object.assign(inner, { token: 'new', visits: 2, more: true }));
      const { adopted } = store.stats().refreshes;
      assert.equal(await store.refresh(session, both), session);
      assert.deepEqual(session, { cookie: COOKIE, token: 'new', visits: 2, more: true });
      assert.equal(store.stats().refreshes.adopted, adopted + 1);
      const { written, conflicts } = store.stats().sessions;
      await store.set(sid, session);
      session.more = false;
      await store.set(sid, session);
      assert.deepEqual([store.stats().sessions.written, store.stats().sessions.conflicts], [written + 1, conflicts]);
    });

    it('takes over the end that others have moved, and the save at the end of the request does not move it back', async () => {
      const now = Math.floor(Date.now() / 1000) * 1000; // ttl has whole seconds
      const cookie = { originalMaxAge: 600_000, expires: new Date(now + 600_000).toISOString(), path: '/' };
      const sid = await saved({ cookie });
      const session: any = await store.get(sid);
      const later = new Date(now + 1_200_000).toISOString();
      await other.update(sid, (inner: any) => {
        inner.token = 'new';
        inner.cookie.expires = later;
      });
      await store.refresh(session, both);
      assert.equal(new Date(session.cookie.expires).toISOString(), later);
      await store.set(sid, session);
      assert.equal((await other.record(sid))!.ttl, (now + 1_200_000) / 1000);
    });

    it('waits for another store that renews the token, and takes over what it wrote', async () => {
      const sid = await saved();
      const stops = new Stops();
      const slow = async (session: any) => {
        await stops.stop('provider');
        session.token = 'new';
      };
      const first = store.refresh(sid, { isFresh, refresh: slow });
      await stops.reached('provider');
      const object = (await other.get(sid))!;
      const second = other.refresh(object, both);
      assert.equal(await Promise.race([second, other.length().then(() => 'waits')]), 'waits');
      stops.pass('provider');
      await first;
      assert.equal(await second, object);
      assert.equal(object.token, 'new');
    });

    it('is handed over by a store whose function failed, without waiting for the end of the lease', async () => {
      const sid = await saved();
      const stops = new Stops();
      const failingOne = async () => {
        await stops.stop('provider');
        throw new Error('no');
      };
      const first = store.refresh(sid, { isFresh, refresh: failingOne, leaseSeconds: 3600 });
      await stops.reached('provider');
      const watches = new Stops();
      let looks = 0;
      const looking = (session: any) => {
        if (++looks === 4) watches.stop('at the session');
        return isFresh(session);
      };
      const second = other.refresh(sid, {
        isFresh: looking,
        refresh: (session) => void Object.assign(session, { token: 'new' }),
      });
      await watches.reached('at the session');
      stops.pass('provider');
      await assert.rejects(first, /no/);
      assert.equal((await second)!.token, 'new');
    });

    it('looks at the session again when it has the lease', async () => {
      const sid = await saved();
      const holder = await hold(store, sid);
      const seen = new Stops();
      const looking = (session: any) => {
        seen.stop('once');
        return isFresh(session);
      };
      const refreshed = store.refresh(sid, { isFresh: looking, refresh: never });
      await seen.reached('once');
      await other.update(sid, (session) => void Object.assign(session, { token: 'new' }));
      await holder.end();
      assert.equal((await refreshed)!.token, 'new');
    });

    it('takes its turn with the tasks of withLock', async () => {
      const sid = await saved();
      const holder = await hold(store, sid);
      let [running, refreshing] = [true, false];
      let after: Promise<unknown> | undefined;
      const refresh = async (session: any) => {
        assert.equal(running, false);
        refreshing = true;
        after = store.withLock(sid, () => refreshing);
        await other.get(sid); // long enough for a task that does not wait
        session.token = 'new';
        refreshing = false;
      };
      const refreshed = store.refresh(sid, { isFresh, refresh });
      await other.get(sid);
      running = false;
      await holder.end();
      assert.equal((await refreshed)!.token, 'new');
      assert.equal(await after, false);
    });

    it('keeps the tokens of a session apart by name', async () => {
      const sid = await saved({ token: undefined, google: 'old', slack: 'old' });
      const of = (token: string) => ({
        name: token,
        isFresh: (session: any) => session[token] === 'new',
        refresh: async (session: any) => {
          session[token] = 'new';
        },
      });
      const object: any = await store.get(sid);
      await Promise.all(['google', 'slack', 'google'].map((token) => store.refresh(object, of(token))));
      assert.deepEqual([object.google, object.slack], ['new', 'new']);
      const { google, slack } = (await other.get(sid))!;
      assert.deepEqual([google, slack], ['new', 'new']);
    });

    it('refuses an object with unsaved changes before it asks anybody, and one that was never saved', async () => {
      const sid = await saved();
      const session: any = await store.get(sid);
      session.note = 'unsaved';
      const { detail } = await failing(store.refresh(session, both), 'ERR_CONFLICT', [sid]);
      assert.match(detail, /function given to refresh/);
      assert.equal(session.note, 'unsaved');
      await failing(store.refresh({ id: 'never saved', cookie: COOKIE } as any, both), 'ERR_NOT_SAVED');
    });

    it('stores a token that is stale when it is new, resolves with it for all, and says so once', async () => {
      const lines: string[] = [];
      const logger = { warn: (line: string) => void lines.push(line), debug() {} };
      const logging = backend.store({ logger });
      lines.length = 0;
      const sid = await saved();
      let runs = 0;
      const refresh = (session: any) => {
        session.token = `stale ${++runs}`;
      };
      const results = await Promise.all([1, 2, 3].map(() => logging.refresh(sid, { isFresh, refresh })));
      assert.deepEqual(
        results.map((session) => session!.token),
        ['stale 1', 'stale 1', 'stale 1'],
      );
      assert.equal((await other.get(sid))!.token, 'stale 1');
      await logging.refresh(sid, { isFresh, refresh });
      assert.deepEqual(
        lines.map((line) => /not fresh/.test(line)),
        [true],
      );
      assert.ok(!lines[0].includes(sid));
    });

    it('calls back, and takes no other options than its own', async () => {
      const sid = await saved({ token: 'new' });
      const called = await new Promise((resolve) => store.refresh(sid, both, (...args) => resolve(args)));
      assert.deepEqual(called, [null, { cookie: COOKIE, token: 'new' }]);
      const refresh = never;
      const expiresAt = () => 0;
      const wrong: any[] = [
        ...[undefined, null, 1, {}, { refresh }, { isFresh }, { isFresh, expiresAt, refresh }, { ...both, other: 1 }],
        ...[
          { ...both, isFresh: 1 },
          { ...both, refresh: 1 },
          { ...both, name: 1 },
          { ...both, leaseSeconds: 0 },
        ],
        ...[
          { ...both, waitSeconds: -1 },
          { ...both, signal: {} },
          { ...both, earlySeconds: 1 },
        ],
        ...[
          { expiresAt, refresh, earlySeconds: -1 },
          { expiresAt: 1, refresh },
        ],
      ];
      for (const options of wrong) {
        const { detail } = await failing(store.refresh(sid, options), 'ERR_CONFIG');
        assert.match(detail, /refresh/, JSON.stringify(options));
      }
      for (const target of [undefined, null, 7, {}] as any[]) await failing(store.refresh(target, both), 'ERR_CONFIG');
    });

    it('refuses what isFresh and expiresAt must not be or give', async () => {
      const sid = await saved();
      const secret = new Error('the secret of the application');
      const throws = () => {
        throw secret;
      };
      for (const answer of [undefined, null, 1, 'yes', Promise.resolve(true)]) {
        await failing(store.refresh(sid, { isFresh: (): any => answer, refresh: never }), 'ERR_CONFIG');
      }
      const rejects = async (): Promise<any> => throws();
      await failing(store.refresh(sid, { isFresh: rejects as any, refresh: never }), 'ERR_CONFIG', ['the secret of']);
      for (const answer of [undefined, null, Number.NaN, '2030-01-01', new Date('x'), Promise.resolve(1), {}]) {
        await failing(store.refresh(sid, { expiresAt: (): any => answer, refresh: never }), 'ERR_CONFIG');
      }
      for (const options of [{ isFresh: throws }, { expiresAt: throws }]) {
        const error = await store.refresh(sid, { ...options, refresh: never }).catch((reason) => reason);
        assert.ok(error instanceof SessionStoreError);
        assert.deepEqual([error.code, error.cause], ['ERR_CONFIG', secret]);
      }
    });

    it('asks a provider with rotating tokens once for twelve requests on each of two stores, fifty times', async (t) => {
      const provider = await OauthProvider.start(t);
      for (let round = 1; round <= 50; round++) {
        const sid = await saved({ tokens: provider.login() });
        const objects = await Promise.all(
          Array.from({ length: 24 }, (_, number) => (number % 2 ? store : other).get(sid) as Promise<any>),
        );
        const options = renewing(provider.url);
        await Promise.all(objects.map((object, number) => (number % 2 ? store : other).refresh(object, options)));
        const accesses = new Set(objects.map(({ tokens }) => tokens.access));
        assert.equal(accesses.size, 1);
        assert.equal(provider.refreshes, round);
        assert.ok(provider.takes((await store.get(sid))!.tokens.refresh));
      }
      assert.deepEqual([provider.requests, provider.revoked], [50, 0]);
    });
  });
}
