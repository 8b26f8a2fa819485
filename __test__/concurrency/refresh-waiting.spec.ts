// Those who wait for a token: each leaves by its own deadline or signal, and the renewal goes on for the others.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { hold } from '../support/lease-holder.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { Stops } from '../support/stops.ts';

const LIMIT = { timeout: 300_000 };
const never = () => assert.fail('the function ran');
const isFresh = ({ token }: any) => token === 'new';
const renew = (session: any) => {
  session.token = 'new';
};

for (const { name, start } of backends) {
  describe(`waiting for a token on ${name}`, LIMIT, () => {
    let backend: Backend;
    let [store, other] = [] as unknown as [DynamoDBSessionStore, DynamoDBSessionStore];
    let sids = 0;
    before(async () => {
      backend = await start();
      [store, other] = [backend.store(), backend.store()];
    });
    after(() => backend.stop());
    const reason = new Error('the request was aborted');

    async function saved(): Promise<string> {
      const sid = `waiting-${++sids}`;
      await other.set(sid, { cookie: {}, token: 'old' });
      return sid;
    }
    const slowly = (stops: Stops) => async (session: any) => {
      await stops.stop('provider');
      renew(session);
    };
    const idle = async (one: DynamoDBSessionStore) => {
      while (one.stats().tasksInFlight > 0) await turn();
    };

    it('ends with ERR_LOCK_TIMEOUT after waitSeconds, on this server and on another; the renewal goes on', async () => {
      const sid = await saved();
      const stops = new Stops();
      const first = store.refresh(sid, { isFresh, refresh: slowly(stops), waitSeconds: 0 });
      await stops.reached('provider');
      for (const one of [store, other]) {
        const options = { isFresh, refresh: never, waitSeconds: 0.05 };
        const { detail } = await failing(one.refresh(sid, options), 'ERR_LOCK_TIMEOUT', [sid]);
        assert.match(detail, /0.05 seconds/);
      }
      const joined = store.refresh(sid, { isFresh, refresh: never });
      stops.pass('provider');
      assert.equal((await first)!.token, 'new', 'waitSeconds does not end the own work');
      assert.equal((await joined)!.token, 'new');
    });

    it('asks once for a free lease with waitSeconds 0, and once for one that is taken', async () => {
      const sid = await saved();
      const holder = await hold(other, sid);
      await failing(store.refresh(sid, { isFresh, refresh: never, waitSeconds: 0 }), 'ERR_LOCK_TIMEOUT');
      await holder.end();
      await idle(store);
      assert.equal((await store.refresh(sid, { isFresh, refresh: renew, waitSeconds: 0 }))!.token, 'new');
    });

    it('ends by the signal of the caller, with its reason, and the others get their token', async () => {
      const sid = await saved();
      const stops = new Stops();
      let given: AbortSignal | undefined;
      const refresh = async (session: any, signal: AbortSignal) => {
        given = signal;
        await slowly(stops)(session);
      };
      const controllers = [1, 2].map(() => new AbortController());
      const first = store.refresh(sid, { isFresh, refresh, signal: controllers[0].signal });
      await stops.reached('provider');
      const joined = store.refresh(sid, { isFresh, refresh: never, signal: controllers[1].signal });
      const third = store.refresh(sid, { isFresh, refresh: never });
      await turn();
      for (const controller of controllers) controller.abort(reason);
      assert.equal(await first.catch((error) => error), reason);
      assert.equal(await joined.catch((error) => error), reason);
      assert.equal(given!.aborted, false);
      stops.pass('provider');
      assert.equal((await third)!.token, 'new');
    });

    it("aborts the function's signal when nobody waits any more; what it brings is stored all the same", async () => {
      const sid = await saved();
      const stops = new Stops();
      let given: AbortSignal | undefined;
      const refresh = async (session: any, signal: AbortSignal) => {
        given = signal;
        await slowly(stops)(session);
      };
      const controller = new AbortController();
      const first = store.refresh(sid, { isFresh, refresh, signal: controller.signal });
      await stops.reached('provider');
      controller.abort(reason);
      assert.equal(await first.catch((error) => error), reason);
      assert.deepEqual([given!.aborted, given!.reason], [true, reason]);
      const next = store.refresh(sid, { isFresh, refresh: never });
      stops.pass('provider');
      assert.equal((await next)!.token, 'new');
      await idle(store);
      assert.equal(await other.withLock(sid, () => 'free', { waitSeconds: 0 }), 'free');
    });

    it('does not give the reason of those who left to a caller who comes later', async () => {
      const sid = await saved();
      const stops = new Stops();
      const givingUp = async (_: any, signal: AbortSignal) => {
        await stops.stop('provider');
        throw signal.reason;
      };
      const controller = new AbortController();
      const first = store.refresh(sid, { isFresh, refresh: givingUp, signal: controller.signal });
      await stops.reached('provider');
      controller.abort(reason);
      assert.equal(await first.catch((error) => error), reason);
      const next = store.refresh(sid, { isFresh, refresh: renew });
      await other.get(sid); // long enough to join
      stops.pass('provider');
      assert.equal((await next)!.token, 'new');
    });

    it('gives up the wait for a lease when nobody waits any more, and asks no provider', async () => {
      const sid = await saved();
      const holder = await hold(other, sid);
      const controller = new AbortController();
      const options = { isFresh, refresh: never, signal: controller.signal, waitSeconds: 3600 };
      const calls = [1, 2].map(() => store.refresh(sid, options).catch((error) => error));
      await other.length();
      controller.abort(reason);
      assert.deepEqual(await Promise.all(calls), [reason, reason]);
      await idle(store);
      await holder.end();
      assert.equal(await store.withLock(sid, () => 'free', { waitSeconds: 0 }), 'free');
    });

    it('does not begin with a signal that is aborted already', async () => {
      const sid = await saved();
      const signal = AbortSignal.abort(reason);
      assert.equal(await store.refresh(sid, { isFresh, refresh: never, signal }).catch((error) => error), reason);
      assert.equal(store.stats().tasksInFlight, 0);
    });

    it('gives what the caller had written before it called, though it joined a renewal that had begun earlier', async () => {
      const sid = await saved();
      const stops = new Stops();
      const first = store.refresh(sid, { isFresh, refresh: slowly(stops) });
      await stops.reached('provider');
      await other.update(sid, (session) => void Object.assign(session, { note: 'mine' }));
      const object = (await store.get(sid))!;
      const joined = store.refresh(object, { isFresh, refresh: never });
      stops.pass('provider');
      assert.deepEqual(await joined, { cookie: {}, token: 'new', note: 'mine' });
      await first;
    });
  });
}

describe('a caller that comes while the new token is written', LIMIT, () => {
  it('gets what was written before it came, in one read for all who come then', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const [store, other] = [backend.store({ dynamodbEndpoint: proxy.url }), backend.store()];
    await other.set('late', { cookie: {}, token: 'old' });
    let write!: ReturnType<StoppingProxy['hold']>;
    const refresh = (session: any) => {
      write = proxy.hold('PutItem', 'answer');
      renew(session);
    };
    const first = store.refresh('late', { isFresh, refresh });
    while (!write) await turn();
    await write.reached;
    await other.update('late', (session) => void Object.assign(session, { note: 'mine' }));
    const late = [1, 2, 3].map(() => store.refresh('late', { isFresh, refresh: never }));
    await backend.aws.reset();
    write.pass();
    assert.deepEqual(await first, { cookie: {}, token: 'new' });
    for (const session of await Promise.all(late)) assert.deepEqual(session, { cookie: {}, token: 'new', note: 'mine' });
    assert.equal((await backend.aws.calls())['dynamodb:GetItem'], 1);
  });
});

describe('a hundred who wait for a token', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  /** What it takes until all have their token and the lease is given back. */
  async function callsOf(stores: DynamoDBSessionStore[], sid: string) {
    const objects = await Promise.all(Array.from({ length: 100 }, (_, index) => stores[index % stores.length].get(sid)));
    await backend.aws.reset();
    const began = performance.now();
    const slowly = async (session: any) => {
      await new Promise((resolve) => setTimeout(resolve, 100)); // as long as a provider takes
      renew(session);
    };
    const results = objects.map((object, index) => stores[index % stores.length].refresh(object!, { isFresh, refresh: slowly }));
    for (const session of await Promise.all(results)) assert.equal(session!.token, 'new');
    const took = performance.now() - began;
    for (const store of stores) while (store.stats().tasksInFlight > 0) await turn();
    return { calls: await backend.aws.calls(), took };
  }

  it('on one server cost one lease, two reads and one write', async (t) => {
    const store = backend.store();
    await store.set('one', { cookie: {}, token: 'old' });
    const { calls, took } = await callsOf([store], 'one');
    assert.deepEqual(calls, { 'dynamodb:GetItem': 2, 'dynamodb:PutItem': 2, 'dynamodb:DeleteItem': 1 });
    t.diagnostic(`${JSON.stringify(calls)}, ${took.toFixed(0)} ms`);
  });

  it('do not ask for the lease while a task of withLock in their process has it', async () => {
    const store = backend.store();
    await store.set('task', { cookie: {}, token: 'old' });
    const holder = await hold(store, 'task');
    const seen = new Stops();
    const looking = (session: any) => {
      seen.stop('once');
      return isFresh(session);
    };
    await backend.aws.reset();
    const refreshed = store.refresh('task', { isFresh: looking, refresh: renew });
    await seen.reached('once');
    await backend.store().get('task'); // long enough for a request about the lease
    await holder.end();
    await refreshed;
    assert.equal((await backend.aws.calls())['dynamodb:PutItem'], 2);
  });

  it('on four servers cost one write, and a few requests a server', async (t) => {
    const stores = Array.from({ length: 4 }, () => backend.store());
    await stores[0].set('four', { cookie: {}, token: 'old' });
    const { calls, took } = await callsOf(stores, 'four');
    t.diagnostic(`${JSON.stringify(calls)}, ${took.toFixed(0)} ms`);
    assert.equal(
      stores.map((store) => store.stats().refreshes.run).reduce((sum, run) => sum + run),
      1,
    );
    assert.ok(calls['dynamodb:GetItem'] <= 30 && calls['dynamodb:PutItem'] <= 12, JSON.stringify(calls));
  });
});
