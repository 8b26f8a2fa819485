// Writes that DynamoDB has carried out while its answer was lost: their repetition, by the SDK or by the caller, is neither a conflict nor the end of a session.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { Browser } from '../support/browser.ts';
import { byCallback } from '../support/calls.ts';
import { failing } from '../support/failures.ts';
import { fastifyApp, listen } from '../support/fastify-app.ts';
import { hold } from '../support/lease-holder.ts';
import { LEASE, LeaseScene } from '../support/lease-scene.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

/** More than the SDK sends. */
const EVERY = 1000;
/** A repetition that never comes would hold the tests up. */
const LIMIT = { timeout: 300_000 };
const MODES = ['overwrite', 'error', 'drop'] as const;
const conflicts = (store: DynamoDBSessionStore) => store.stats().sessions.conflicts;

describe('a write whose reply is lost', LIMIT, () => {
  let scene: LeaseScene;
  let proxy: StoppingProxy;
  let sid: string;
  let sids = 0;
  const proxies: StoppingProxy[] = [];
  before(async () => {
    scene = await LeaseScene.start();
  });
  after(async () => {
    await Promise.all(proxies.map((own) => own.close())); // not after each: that is left out where a check after each has failed
    await scene.stop();
  });
  beforeEach(async () => {
    proxy = await StoppingProxy.start(scene.backend.aws.dynamodb);
    proxies.push(proxy);
    sid = `sid-${++sids}`;
    await scene.backend.aws.reset();
  });

  const store = (options: SessionStoreConfig = {}) =>
    scene.backend.store({ dynamodbEndpoint: proxy.url, touchAfter: 0, ...options });
  const user = async () => ((await scene.backend.store().get(sid)) as any)?.user;
  const calls = async (operation: string) => (await scene.backend.aws.calls())[`dynamodb:${operation}`];

  /** A store that knows a session, as it was read by a request. */
  async function known(options: SessionStoreConfig = {}) {
    const own = store(options);
    await own.set(sid, { user: 'Ada', cookie: { expires: new Date(Date.now() + 100_000) } });
    const session: any = await own.get(sid);
    await scene.backend.aws.reset();
    return { own, session };
  }

  /** DynamoDB carries it out, and none of its answers comes. */
  async function failsInDoubt(own: DynamoDBSessionStore, session: object) {
    proxy.lose('PutItem', EVERY);
    await failing(own.set(sid, session), 'ERR_DYNAMODB_UNAVAILABLE');
    proxy.lose('PutItem', 0);
  }

  for (const onConflict of MODES) {
    it(`of set of a new session is a success: '${onConflict}'`, async () => {
      const own = store({ onConflict });
      proxy.lose('PutItem');
      await own.set(sid, { user: 'Ada' });
      assert.equal(await calls('PutItem'), 2);
      assert.equal(await user(), 'Ada');
      assert.equal(conflicts(own), 0);
    });

    it(`of set of a changed session is a success: '${onConflict}'`, async () => {
      const { own, session } = await known({ onConflict });
      session.user = 'Bob';
      proxy.lose('PutItem');
      await own.set(sid, session);
      assert.equal(await calls('PutItem'), 2);
      assert.equal(await user(), 'Bob');
      assert.deepEqual([conflicts(own), own.stats().sessions.gone], [0, 0]);
      session.user = 'Eve'; // it knows the revision that it wrote
      await own.set(sid, session);
      assert.equal(await user(), 'Eve');
      assert.deepEqual([await calls('PutItem'), conflicts(own)], [3, 0]);
    });

    it(`of set of a changed session, repeated by the caller, is no conflict with itself: '${onConflict}'`, async () => {
      const { own, session } = await known({ onConflict });
      session.user = 'Bob';
      await failsInDoubt(own, session);
      await own.set(sid, session);
      assert.equal(await user(), 'Bob');
      assert.deepEqual([conflicts(own), own.stats().sessions.gone], [0, 0]);
      session.user = 'Eve';
      await own.set(sid, session);
      assert.equal(await user(), 'Eve');
      assert.equal(conflicts(own), 0);
    });
  }

  describe('of set of a changed session, for good', () => {
    const onConflict = 'error';

    it('lets the caller take the change back', async () => {
      const { own, session } = await known({ onConflict });
      session.user = 'Bob';
      await failsInDoubt(own, session);
      session.user = 'Ada';
      await own.set(sid, session);
      assert.equal(await user(), 'Ada');
      assert.equal(conflicts(own), 0);
    });

    it('lets a caller with a callback take the change back, and answers when that is stored', async () => {
      const { own, session } = await known({ onConflict });
      session.user = 'Bob';
      await failsInDoubt(own, session);
      session.user = 'Ada'; // as it was read, but not as it may be stored
      assert.deepEqual(await byCallback((callback) => own.set(sid, session, callback)), [null, undefined]);
      assert.equal(await user(), 'Ada');
    });

    it('lets the caller change it again and again', async () => {
      const { own, session } = await known({ onConflict });
      for (const name of ['Bob', 'Eve', 'Joe']) {
        session.user = name;
        await failsInDoubt(own, session);
        session.cookie.expires = new Date(new Date(session.cookie.expires).getTime() + 10_000);
        await own.touch(sid, session); // the end of the request
      }
      await own.set(sid, session);
      assert.equal(await user(), 'Joe');
      assert.equal(conflicts(own), 0);
    });

    it('is no conflict either where a touch has sealed again what was written', async () => {
      const { own, session } = await known({ onConflict, recordVersion: 2 });
      session.user = 'Bob';
      await failsInDoubt(own, session);
      const written = (await scene.table.get(sid))!.authTag;
      // Beyond twice the lifetime, which is sealed in.
      await scene.backend.store({ recordVersion: 2 }).touch(sid, { cookie: { expires: new Date(Date.now() + 400_000) } });
      assert.notDeepEqual((await scene.table.get(sid))!.authTag, written);
      session.user = 'Eve';
      await own.set(sid, session);
      assert.equal(await user(), 'Eve');
      assert.equal(conflicts(own), 0);
    });

    it('is no conflict where the deadline came before the answer', async () => {
      const { own, session } = await known({ onConflict, timeouts: { callMillis: 1000 } });
      session.user = 'Bob';
      const answer = proxy.hold('PutItem', 'answer');
      await failing(own.set(sid, session), 'ERR_DYNAMODB_UNAVAILABLE');
      answer.pass();
      assert.equal(await user(), 'Bob');
      await own.set(sid, session);
      assert.equal(conflicts(own), 0);
    });

    it("is a conflict where somebody else has changed what was written, and loses nobody's change", async () => {
      const { own, session } = await known({ onConflict });
      session.user = 'Bob';
      await failsInDoubt(own, session);
      const other = scene.backend.store();
      const theirs: any = await other.get(sid);
      theirs.user = 'Eve';
      await other.set(sid, theirs);
      await failing(own.set(sid, session), 'ERR_CONFLICT');
      assert.equal(await user(), 'Eve');
      assert.equal(conflicts(own), 1);
    });

    it('is no conflict with the save that @fastify/session makes at the end of the request', async (t) => {
      const own = store({ onConflict });
      const app = await fastifyApp(own);
      t.after(() => app.close());
      app.post('/rename', async ({ session }) => {
        session.user = 'Bob';
        proxy.lose('PutItem', EVERY);
        await assert.rejects(session.save(), { code: 'ERR_DYNAMODB_UNAVAILABLE' });
        proxy.lose('PutItem', 0);
        return {};
      });
      const browser = new Browser(await listen(app));
      await browser.post('/login/Ada');
      assert.equal((await browser.post('/rename')).status, 200);
      assert.equal((await browser.get('/me')).body.user, 'Bob');
      assert.equal(conflicts(own), 0);
    });
  });

  for (const method of ['touch', 'set'] as const) {
    it(`of ${method} of an unchanged session is a success, and the session stays`, async () => {
      const { own, session } = await known();
      session.cookie.expires = new Date(Date.now() + 200_000);
      proxy.lose('UpdateItem');
      await own[method](sid, session);
      assert.equal(await calls('UpdateItem'), 2);
      const { ttl } = (await scene.table.get(sid))!;
      assert.equal(Number(ttl.N), Math.ceil(session.cookie.expires.getTime() / 1000));
      assert.equal(own.stats().sessions.gone, 0);
      session.user = 'Bob';
      await own.set(sid, session);
      assert.equal(await user(), 'Bob');
      assert.equal(conflicts(own), 0);
    });
  }

  it('of a touch of a session that the store does not know is a success', async () => {
    await scene.backend.store().set(sid, { user: 'Ada' });
    const own = store();
    proxy.lose('UpdateItem');
    await own.touch(sid, { user: 'Ada', cookie: { expires: new Date(Date.now() + 200_000) } });
    assert.equal(await calls('UpdateItem'), 2);
    assert.equal(own.stats().sessions.gone, 0);
    assert.equal(await user(), 'Ada');
  });

  it('of update() counts once', async () => {
    const { own } = await known();
    let runs = 0;
    proxy.lose('PutItem');
    const updated = await own.update(sid, (session) => {
      session.count = (session.count ?? 0) + 1;
      runs += 1;
    });
    assert.deepEqual([updated!.count, runs, await calls('PutItem')], [1, 1, 2]);
    assert.equal(((await scene.backend.store().get(sid)) as any).count, 1);
  });

  it('of destroy is a success, and the session stays gone', async () => {
    const { own, session } = await known();
    proxy.lose('DeleteItem');
    await own.destroy(sid);
    assert.equal(await calls('DeleteItem'), 2);
    await own.set(sid, session); // a request that was slower
    assert.equal(await scene.table.get(sid), undefined);
  });

  it('of a destroy that fails and is repeated is a success', async () => {
    const { own } = await known();
    proxy.lose('DeleteItem', EVERY);
    await failing(own.destroy(sid), 'ERR_DYNAMODB_UNAVAILABLE');
    assert.equal(await scene.table.get(sid), undefined);
    proxy.lose('DeleteItem', 0);
    await own.destroy(sid);
  });

  describe('in a lease', () => {
    const SID = 'the-session';
    afterEach(async () => assert.equal(await scene.table.get(LEASE), undefined, 'the lease was not given back'));

    it('of the request for it is a success', async () => {
      proxy.lose('PutItem');
      assert.equal(await store().withLock(SID, () => 'mine', { waitSeconds: 0 }), 'mine');
      assert.equal(await calls('PutItem'), 2);
    });

    it('of a renewal leaves it with its holder', async (t) => {
      const own = store();
      const { signal, end } = await hold(own, SID, { leaseSeconds: 4 }); // longer than the SDK waits before it repeats
      const renewal = proxy.hold('PutItem', 'request');
      await renewal.reached;
      proxy.lose('PutItem');
      const again = proxy.hold('PutItem', 'request'); // the repetition
      renewal.pass();
      await again.reached;
      const third = proxy.hold('PutItem', 'request'); // the next renewal: the one before it has succeeded
      again.pass();
      await third.reached;
      assert.equal(signal.aborted, false);
      third.pass();
      assert.equal(await end(), 'the result');
      assert.equal(own.stats().requests.dynamodb.retries, 1);
      t.diagnostic(`${await calls('PutItem')} PutItem`);
    });

    it('of its release is a success', async () => {
      const lines: string[] = [];
      const own = store({ logger: { warn: (line) => void lines.push(line), debug() {} } });
      proxy.lose('DeleteItem');
      assert.equal(await own.withLock(SID, () => 'mine'), 'mine');
      assert.equal(await calls('DeleteItem'), 2);
      assert.deepEqual(lines, []);
    });

    it('of its release frees nobody else who has taken it since', async () => {
      const own = store();
      const first = await hold(own, SID);
      const answer = proxy.hold('DeleteItem', 'answer');
      proxy.lose('DeleteItem');
      const ended = first.end();
      await answer.reached;
      const second = await hold(scene.backend.store(), SID);
      const owner = (await scene.item())!.owner;
      answer.pass();
      assert.equal(await ended, 'the result');
      assert.equal((await scene.item())!.owner, owner);
      await second.end();
    });

    it('of a request for it that fails does not stand in the way of the next one', async () => {
      const own = store();
      proxy.lose('PutItem', EVERY);
      await failing(
        own.withLock(SID, () => assert.fail('it ran')),
        'ERR_DYNAMODB_UNAVAILABLE',
      );
      proxy.lose('PutItem', 0);
      // Sooner than the lease ends that nobody holds.
      assert.equal(await own.withLock(SID, () => 'mine', { leaseSeconds: 60, waitSeconds: 2 }), 'mine');
    });
  });

  describe('in clear', () => {
    const COUNT = 60; // three batches

    async function filled() {
      const own = store({ prefix: `${sid}:` });
      await Promise.all(Array.from({ length: COUNT }, (_, number) => own.set(`${number}`, { number })));
      return own;
    }

    for (const operation of ['BatchWriteItem', 'Scan']) {
      it(`of ${operation} is a success`, async () => {
        const own = await filled();
        proxy.lose(operation);
        await own.clear();
        assert.equal(await own.length(), 0);
      });
    }

    it('and of every repetition fails, and the next clear resumes where it stopped', async () => {
      const own = await filled();
      const first = proxy.hold('BatchWriteItem', 'answer');
      const clearing = failing(own.clear(), 'ERR_DYNAMODB_UNAVAILABLE');
      await first.reached;
      proxy.lose('BatchWriteItem', EVERY);
      first.pass();
      await clearing;
      proxy.lose('BatchWriteItem', 0);
      const left = await own.length();
      assert.ok(0 < left && left < COUNT, `${left} are left`);
      await own.clear();
      assert.equal(await own.length(), 0);
    });
  });
});
