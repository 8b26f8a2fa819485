// A read waits for the writes of its session that this process was asked for before it, so that a browser which follows a redirect before the save has ended
// finds what was saved.

import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

/** What reads a session; each gives the user that it has found, or `undefined` for no session. */
const READS: Record<string, (store: DynamoDBSessionStore, sid: string) => Promise<unknown>> = {
  get: async (store, sid) => (await store.get(sid))?.user,
  'get with a signal': async (store, sid) => (await store.get(sid, { signal: AbortSignal.timeout(60_000) }))?.user,
  update: async (store, sid) => (await store.update(sid, (session) => void session.seen++))?.user,
  'get under a lease': (store, sid) => store.withLock(sid, async () => (await store.get(sid))?.user),
};

describe('a read', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  async function behindProxy(t: TestContext, options: object) {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    return { proxy, store: backend.store({ dynamodbEndpoint: proxy.url, ...options }) };
  }

  for (const [name, read] of Object.entries(READS)) {
    it(`(${name}) finds what was asked to be saved before it`, async (t) => {
      const { proxy, store } = await behindProxy(t, { prefix: `save ${name}:` });
      const stopped = proxy.hold('PutItem', 'request');
      const saved = store.set('sid', { user: 'ada', seen: 0 });
      await stopped.reached;
      const found = read(store, 'sid');
      // Another session's read is answered meanwhile.
      assert.equal(await store.get('another'), null);
      stopped.pass();
      assert.equal(await found, 'ada');
      await saved;
    });

    it(`(${name}) during a destroy finds nothing`, async (t) => {
      const { proxy, store } = await behindProxy(t, { prefix: `destroy ${name}:` });
      await store.set('sid', { user: 'ada', seen: 0 });
      const stopped = proxy.hold('DeleteItem', 'request');
      const destroyed = store.destroy('sid');
      await stopped.reached;
      const found = read(store, 'sid');
      stopped.pass();
      assert.equal(await found, undefined);
      await destroyed;
    });
  }

  it('and a write that wait have their time from when they were asked for, however long the process has run', async (t) => {
    const timeouts = { attemptMillis: 1000, callMillis: 1000 };
    const { proxy, store } = await behindProxy(t, { prefix: 'time:', timeouts });
    while (performance.now() < 1500) await store.get('another'); // longer than a call may take
    const stopped = proxy.hold('PutItem', 'request');
    const saved = store.set('sid', { user: 'ada' });
    await stopped.reached;
    const later = [store.set('sid', { user: 'eve' }), store.get('sid')];
    stopped.pass();
    await saved;
    assert.deepEqual(await Promise.all(later), [undefined, { user: 'eve' }]);
  });

  for (const [operation, again] of [
    ['GetItem', (store: DynamoDBSessionStore) => store.get('sid')],
    ['PutItem', (store: DynamoDBSessionStore) => store.set('sid', { user: 'eve' })],
  ] as const) {
    it(`and a write that wait have that much less time for themselves (${operation})`, async (t) => {
      const timeouts = { attemptMillis: 2000, callMillis: 2000 };
      const { proxy, store } = await behindProxy(t, { prefix: `less time, ${operation}:`, timeouts });
      const first = proxy.hold('PutItem', 'request');
      const saved = store.set('sid', { user: 'ada' });
      await first.reached;
      const asked = performance.now();
      const waiting = failing(again(store), 'ERR_DYNAMODB_UNAVAILABLE');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const second = proxy.hold(operation, 'request');
      first.pass();
      await saved;
      await waiting;
      assert.ok(performance.now() - asked < 3000, 'it had its whole time once more');
      second.pass();
    });
  }

  it('of a record waits as well', async (t) => {
    const { proxy, store } = await behindProxy(t, { prefix: 'record:' });
    const stopped = proxy.hold('PutItem', 'request');
    const saved = store.set('sid', { user: 'ada' });
    await stopped.reached;
    const record = store.record('sid');
    stopped.pass();
    assert.equal((await record)?.sessionId, 'record:sid');
    await saved;
  });

  it('does not wait longer than its own deadline', async (t) => {
    const { proxy, store } = await behindProxy(t, { prefix: 'deadline:', timeouts: { attemptMillis: 300, callMillis: 300 } });
    const stopped = proxy.hold('PutItem', 'request');
    const saved = failing(store.set('sid', { user: 'ada' }), 'ERR_DYNAMODB_UNAVAILABLE');
    await stopped.reached;
    const reading = store.get('sid').catch((error) => error.code);
    await saved;
    // The rest of its time, if any is left, is for the read itself.
    assert.ok([null, 'ERR_DYNAMODB_UNAVAILABLE'].includes(await reading));
    stopped.pass();
  });

  it('of a write that failed finds what was there before', async (t) => {
    const { store } = await behindProxy(t, { prefix: 'failed:' });
    await store.set('sid', { user: 'ada' });
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException', times: 1 });
    const saved = failing(store.set('sid', { user: 'bob' }), 'ERR_ACCESS_DENIED');
    assert.equal((await store.get('sid'))?.user, 'ada');
    await saved;
  });
});
