// What becomes of the tokens that a provider has given: they are stored whatever happens meanwhile, and the used refresh token never goes out again.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { LEASE, LeaseScene, SID } from '../support/lease-scene.ts';
import { OauthProvider, renewing } from '../support/oauth-provider.ts';
import { plain } from '../support/session-content.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

const LIMIT = { timeout: 300_000 };
const COOKIE = { originalMaxAge: null, expires: null, path: '/' };

for (const { name, start } of backends) {
  describe(`what others write while a token is renewed, on ${name}`, LIMIT, () => {
    let backend: Backend;
    let [store, other] = [] as unknown as [DynamoDBSessionStore, DynamoDBSessionStore];
    let sids = 0;
    before(async () => {
      backend = await start();
      [store, other] = [backend.store(), backend.store()];
    });
    after(() => backend.stop());

    /** Renews the tokens of a session while `meanwhile` changes it. */
    async function renewed(session: object, meanwhile: (sid: string) => Promise<unknown>, change: (session: any) => void) {
      const sid = `session-${++sids}`;
      await other.set(sid, { cookie: COOKIE, fresh: false, ...session });
      let runs = 0;
      const held: any = await store.get(sid);
      const result = await store.refresh(held, {
        isFresh: ({ fresh }) => fresh === true,
        refresh: async (inner: any) => {
          runs++;
          await meanwhile(sid);
          change(inner);
        },
      });
      assert.equal(runs, 1);
      const stored: any = await other.get(sid);
      assert.deepEqual(result && plain(result), stored);
      if (result) assert.equal(result, held);
      return { sid, stored, held };
    }

    it('stays, beside what the function changed, and neither runs the function again', async () => {
      const session = { tokens: { google: { access: 1, scope: 'a' }, slack: { access: 1 } }, note: 'n', list: [1], drop: 1 };
      const theirs = (sid: string) =>
        other.update(sid, (inner: any) => {
          inner.tokens.google.scope = 'b';
          inner.tokens.slack.access = 2;
          inner.visits = 7;
          delete inner.note;
        });
      const { sid, stored, held } = await renewed(session, theirs, (inner) => {
        inner.fresh = true;
        inner.tokens.google.access = 2;
        inner.list = [1, 2];
        delete inner.drop;
      });
      const tokens = { google: { access: 2, scope: 'b' }, slack: { access: 2 } };
      assert.deepEqual(stored, { cookie: COOKIE, fresh: true, tokens, list: [1, 2], visits: 7 });
      const { written } = store.stats().sessions;
      await store.set(sid, held);
      assert.equal(store.stats().sessions.written, written);
    });

    it('stays gone if they removed the part of the session that the token is in', async () => {
      const disconnect = (sid: string) => other.update(sid, (inner) => void delete inner.google);
      const { stored } = await renewed({ google: { access: 1 } }, disconnect, (inner) => {
        inner.fresh = true;
        inner.google.access = 2;
      });
      assert.deepEqual(stored, { cookie: COOKIE, fresh: false });
    });

    it('wins if it is a token that is fresh: another login must not be replaced by the earlier one', async () => {
      const login = (sid: string) => other.update(sid, (inner) => void Object.assign(inner, { fresh: true, user: 'bob' }));
      const { stored } = await renewed(
        { user: 'ada' },
        login,
        (inner) => void Object.assign(inner, { fresh: true, user: 'ada 2' }),
      );
      assert.deepEqual(stored, { cookie: COOKIE, fresh: true, user: 'bob' });
    });

    it('is not disturbed by properties with the names of an object', async () => {
      const sid = `session-${++sids}`;
      await other.set(sid, { cookie: COOKIE, constructor: 1 });
      const value = { access: 2 };
      const refresh = (inner: any) => {
        Object.defineProperty(inner, '__proto__', { value, enumerable: true, configurable: true, writable: true });
        inner.constructor = 2;
      };
      const session: any = await store.refresh(sid, { isFresh: (inner: any) => inner.constructor === 2, refresh });
      for (const one of [session, await other.get(sid)]) {
        assert.deepEqual(Object.getOwnPropertyDescriptor(one, '__proto__')?.value, value);
        assert.equal(one.access, undefined);
      }
    });

    it('keeps the end that others have moved meanwhile, unless the function changes the end', async () => {
      const now = Math.floor(Date.now() / 1000) * 1000; // ttl has whole seconds
      const [expires, later] = [600_000, 1_200_000].map((age) => new Date(now + age).toISOString());
      const cookie = { ...COOKIE, originalMaxAge: 600_000, expires };
      const move = (sid: string) =>
        other.update(sid, ({ cookie }) => {
          cookie!.expires = later;
        });
      const moved = await renewed({ cookie }, move, (inner) => void Object.assign(inner, { fresh: true }));
      assert.equal(moved.stored.cookie.expires, later);
      assert.equal((await other.record(moved.sid))!.ttl, Math.ceil(Date.parse(later) / 1000));
      assert.equal(new Date(moved.held.cookie.expires).toISOString(), later);
      const { stored, sid } = await renewed(
        { cookie },
        async () => {},
        (inner) => {
          inner.fresh = true;
          inner.cookie.expires = later;
        },
      );
      assert.equal(stored.cookie.expires, later);
      assert.equal((await other.record(sid))!.ttl, Math.ceil(Date.parse(later) / 1000));
    });
  });
}

describe('the write of new tokens', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  beforeEach(() => backend.aws.clearFaults());
  let sids = 0;

  async function scene(t: any, options = {}) {
    const provider = await OauthProvider.start(t);
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const plain = backend.store();
    const store = backend.store({ dynamodbEndpoint: proxy.url, ...options });
    const sid = `written-${++sids}`;
    await plain.set(sid, { cookie: COOKIE, tokens: provider.login() });
    const tokens = async () => ((await plain.get(sid)) as any).tokens;
    return { provider, proxy, plain, store, sid, tokens };
  }

  it('is repeated while DynamoDB throttles it, and while KMS cannot be reached', async (t) => {
    const { provider, store, sid, tokens } = await scene(t, { keyCache: false });
    const held: any = await store.get(sid);
    const answer = provider.hold('answer');
    const refreshed = store.refresh(held, renewing(provider.url));
    await answer.reached;
    await backend.aws.fault({
      action: 'dynamodb:PutItem',
      status: 400,
      code: 'ProvisionedThroughputExceededException',
      times: 12,
    });
    await backend.aws.fault({ action: 'kms:GenerateDataKey', status: 500, code: 'KMSInternalException', times: 12 });
    answer.pass();
    assert.equal(await refreshed, held);
    assert.deepEqual(held.tokens, await tokens());
    assert.ok(provider.takes(held.tokens.refresh));
    assert.equal(provider.requests, 1);
  });

  it('counts once if its answer is lost again and again', async (t) => {
    const { provider, proxy, store, sid, tokens } = await scene(t);
    const answer = provider.hold('answer');
    const refreshed = store.refresh(sid, renewing(provider.url));
    await answer.reached;
    proxy.lose('PutItem', 8);
    answer.pass();
    assert.deepEqual(((await refreshed) as any).tokens, await tokens());
    assert.ok(provider.takes((await tokens()).refresh));
    assert.equal(provider.requests, 1);
  });

  it('that cannot be made fails for all who wait; the tokens are kept, and stored by the next call', async (t) => {
    const { provider, store, sid, tokens } = await scene(t);
    const options = renewing(provider.url);
    const answer = provider.hold('answer');
    const calls = [1, 2, 3].map(() => store.refresh(sid, options));
    const failed = Promise.allSettled(calls);
    await answer.reached;
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    answer.pass();
    const reasons = (await failed).map((result) => (result as PromiseRejectedResult).reason);
    assert.equal(reasons[0].code, 'ERR_ACCESS_DENIED');
    assert.ok(reasons.every((reason) => reason === reasons[0]));
    assert.equal(store.stats().refreshes.unsaved, 1);
    await backend.aws.clearFaults();
    const session: any = await store.refresh(sid, options);
    assert.deepEqual(session.tokens, await tokens());
    assert.ok(provider.takes(session.tokens.refresh));
    assert.deepEqual([provider.requests, provider.revoked, store.stats().refreshes.unsaved], [1, 0, 0]);
  });

  it('keeps tokens that are stored late and have run out by then, and renews them with the refresh token that is theirs', async (t) => {
    const { provider, store, sid } = await scene(t);
    const options = renewing(provider.url);
    provider.lifetime = -1;
    const answer = provider.hold('answer');
    const failed = failing(store.refresh(sid, options), 'ERR_ACCESS_DENIED');
    await answer.reached;
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    answer.pass();
    await failed;
    await backend.aws.clearFaults();
    provider.lifetime = 60_000;
    const session: any = await store.refresh(sid, options);
    assert.ok(provider.takes(session.tokens.refresh));
    assert.deepEqual([provider.refreshes, provider.revoked], [2, 0]);
  });

  it('drops tokens that were kept if somebody has logged in anew since, even if that token has run out', async (t) => {
    const { provider, plain, store, sid } = await scene(t);
    const options = renewing(provider.url);
    const answer = provider.hold('answer');
    const failed = failing(store.refresh(sid, options), 'ERR_ACCESS_DENIED');
    await answer.reached;
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    answer.pass();
    await failed;
    await backend.aws.clearFaults();
    const bob = provider.login();
    await plain.update(sid, (session) => void Object.assign(session, { user: 'bob', tokens: bob }));
    const session: any = await store.refresh(sid, options);
    assert.ok(provider.takes(session.tokens.refresh));
    assert.ok(!provider.takes(bob.refresh), 'the tokens of the login were renewed');
    assert.deepEqual([provider.refreshes, provider.revoked, store.stats().refreshes.unsaved], [2, 0, 0]);
  });

  it('is repeated for seconds in an outage of DynamoDB', async (t) => {
    const { provider, store, sid, tokens } = await scene(t, { timeouts: { attemptMillis: 200, callMillis: 500 } });
    const answer = provider.hold('answer');
    const refreshed = store.refresh(sid, renewing(provider.url));
    await answer.reached;
    for (const action of ['PutItem', 'GetItem', 'UpdateItem', 'DeleteItem'])
      await backend.aws.fault({ action: `dynamodb:${action}`, status: 500, code: 'InternalServerError' });
    answer.pass();
    assert.equal(await Promise.race([refreshed, sleep(2500, 'waits')]), 'waits');
    await backend.aws.clearFaults();
    assert.deepEqual(((await refreshed) as any).tokens, await tokens());
    assert.equal(provider.requests, 1);
  });
});

describe('a lease that is lost', LIMIT, () => {
  let scene: LeaseScene;
  beforeEach(async () => {
    scene = await LeaseScene.start();
  });
  const stop = () => scene.stop();

  it('before the provider was asked is taken again first', async (t) => {
    t.after(stop);
    const provider = await OauthProvider.start(t);
    const { proxy, store } = await scene.proxied(t);
    await scene.backend.store().set(SID, { cookie: COOKIE, tokens: provider.login() });
    const session = await store.get(SID);
    await scene.backend.aws.reset();
    await store.refresh(session!, renewing(provider.url));
    const { 'dynamodb:PutItem': usual } = await scene.backend.aws.calls();
    assert.equal(usual, 2);

    await scene.backend.store().set(SID, { cookie: COOKIE, tokens: provider.login() });
    const lease = proxy.hold('PutItem', 'answer');
    const refreshed = store.refresh(SID, { ...renewing(provider.url), leaseSeconds: 1 });
    await lease.reached;
    await sleep(1100);
    assert.equal(provider.requests, 1);
    await scene.backend.aws.reset();
    lease.pass();
    assert.ok(provider.takes(((await refreshed) as any).tokens.refresh));
    assert.deepEqual([provider.requests, (await scene.backend.aws.calls())['dynamodb:PutItem']], [2, usual]);
  });

  it('while the process stands still before it asks the provider is taken again first', async (t) => {
    t.after(stop);
    const provider = await OauthProvider.start(t);
    const store = scene.backend.store();
    await store.set(SID, { cookie: COOKIE, tokens: provider.login() });
    const { isFresh, refresh } = renewing(provider.url);
    let looks = 0;
    const blocking = (session: any) => {
      // The timer of the lease cannot run before the function would.
      if (++looks === 3) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1100);
      return isFresh(session);
    };
    await scene.backend.aws.reset();
    await store.refresh(SID, { isFresh: blocking, refresh, leaseSeconds: 1 });
    assert.equal(provider.requests, 1);
    const leases = (await scene.backend.aws.requests()).filter(({ body }) => body.Item?.sessionId?.S === LEASE);
    assert.equal(leases.length, 2);
  });

  it('while the provider is asked aborts the signal; new tokens are stored all the same', async (t) => {
    t.after(stop);
    const provider = await OauthProvider.start(t);
    const store = scene.backend.store();
    await store.set(SID, { cookie: COOKIE, tokens: provider.login() });
    const options = renewing(provider.url);
    const refresh = async (session: any, signal: AbortSignal) => {
      await scene.table.change(LEASE, { owner: { S: 'somebody else' } });
      if (!signal.aborted) await once(signal, 'abort');
      assert.equal(signal.reason.code, 'ERR_LOCK_TIMEOUT');
      await options.refresh(session, AbortSignal.timeout(10_000));
    };
    const session: any = await store.refresh(SID, { ...options, refresh, leaseSeconds: 1 });
    assert.ok(provider.takes(session.tokens.refresh));
    assert.deepEqual(((await scene.backend.store().get(SID)) as any).tokens, session.tokens);
  });

  it('while the provider is asked leaves a token in place that somebody else has renewed', async (t) => {
    t.after(stop);
    const store = scene.backend.store();
    await store.set(SID, { cookie: COOKIE, token: 'old' });
    const refresh = async (session: any, signal: AbortSignal) => {
      await scene.table.change(LEASE, { owner: { S: 'somebody else' } });
      if (!signal.aborted) await once(signal, 'abort');
      await scene.backend.store().update(SID, (inner) => void Object.assign(inner, { token: 'theirs' }));
      session.token = 'ours';
    };
    const session = await store.refresh(SID, { isFresh: ({ token }) => token !== 'old', refresh, leaseSeconds: 1 });
    assert.equal(session!.token, 'theirs');
  });
});
