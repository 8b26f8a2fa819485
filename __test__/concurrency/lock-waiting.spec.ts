// Waiting for a lease: at growing intervals, with a deadline and a signal. Time is turned by the test.

import '../support/switched-timers.ts';
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { backends } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { hold } from '../support/lease-holder.ts';
import { LeaseScene, SID } from '../support/lease-scene.ts';
import { TurnedClock } from '../support/turned-clock.ts';

describe('a lease that is waited for', () => {
  let scene: LeaseScene;
  beforeEach(async () => {
    scene = await LeaseScene.start();
  });
  afterEach(() => scene.stop());

  it('is asked for at intervals that grow to a second, and given up after 10 seconds', async (t) => {
    const clock = new TurnedClock(t);
    const holder = await hold(scene.backend.store(), SID, { leaseSeconds: 3600 });
    await scene.backend.aws.reset();
    const waiting = scene.backend.store().withLock(SID, () => assert.fail('the task ran'));
    const failed = failing(waiting, 'ERR_LOCK_TIMEOUT', [SID]);
    const waits = [50, 100, 200, 400, 800, ...Array<number>(8).fill(1000)];
    for (const [index, wait] of waits.entries()) {
      await clock.timer(wait);
      assert.equal((await scene.backend.aws.calls())['dynamodb:PutItem'], index + 1);
      clock.tick(wait);
    }
    await clock.timer(1000);
    clock.tick(10_000 - 9550 - 1);
    await turn();
    assert.deepEqual(await scene.backend.aws.calls(), { 'dynamodb:PutItem': waits.length + 1 });
    clock.tick(1);
    const { detail } = await failed;
    assert.match(detail, /10 seconds/);
    clock.tick(10_000);
    await turn();
    assert.deepEqual(await scene.backend.aws.calls(), { 'dynamodb:PutItem': waits.length + 1 });
    await holder.end();
  });

  it('is asked for when it ends, if nobody renews it until then', async (t) => {
    const clock = new TurnedClock(t);
    const holder = await hold(scene.backend.store(), SID, { leaseSeconds: 3600 });
    t.after(() => holder.end());
    await scene.takeAway(1000);
    const waiting = scene.backend.store().withLock(SID, () => 'mine');
    for (const wait of [50, 100, 200, 400]) {
      await clock.timer(wait);
      clock.tick(wait);
    }
    await clock.timer(300); // 250 are left, and up to 50 keep those who wait apart; the next wait would have been 800
    clock.tick(300);
    assert.equal(await waiting, 'mine');
  });

  it('is asked for after a random part of each interval, so that those who wait do not ask together', async (t) => {
    const clock = new TurnedClock(t, { random: 0.5 });
    const holder = await hold(scene.backend.store(), SID, { leaseSeconds: 3600 });
    const controller = new AbortController();
    const waiting = scene.backend.store().withLock(SID, () => {}, { signal: controller.signal });
    for (const wait of [25, 50, 100, 200, 400, 500, 500]) {
      await clock.timer(wait);
      clock.tick(wait);
    }
    controller.abort();
    await assert.rejects(waiting);
    await holder.end();
  });

  it('is taken at the next try when its holder gives it back', async (t) => {
    const clock = new TurnedClock(t);
    const holder = await hold(scene.backend.store(), SID, { leaseSeconds: 3600 });
    const waiting = hold(scene.backend.store(), SID, { leaseSeconds: 60 });
    await clock.timer(50);
    await holder.end();
    assert.equal(await scene.item(), undefined);
    clock.tick(50);
    const { end } = await waiting;
    assert.equal((await scene.item())!.until, 50 + 60_000); // from when it was asked for, not from when the waiting began
    await end();
  });

  it('is not missed, if it is free, with waitSeconds 0, however slow the table answers', async (t) => {
    const clock = new TurnedClock(t);
    const { proxy, store } = await scene.proxied(t);
    const request = proxy.hold('PutItem', 'request');
    const outcome = store.withLock(SID, () => 'mine', { waitSeconds: 0 }).catch((error) => error);
    await request.reached;
    clock.tick(20);
    request.pass();
    assert.equal(await outcome, 'mine');
  });

  it('is asked for once with waitSeconds 0', async (t) => {
    const holder = await hold(scene.backend.store(), SID, { leaseSeconds: 3600 });
    t.after(() => holder.end());
    const store = scene.backend.store();
    await scene.backend.aws.reset();
    await failing(
      store.withLock(SID, () => {}, { waitSeconds: 0 }),
      'ERR_LOCK_TIMEOUT',
    );
    assert.deepEqual(await scene.backend.aws.calls(), { 'dynamodb:PutItem': 1 });
  });

  it('is given back if it is granted after the caller has given up', async (t) => {
    const { proxy, store } = await scene.proxied(t);
    const controller = new AbortController();
    const request = proxy.hold('PutItem', 'request');
    const release = proxy.hold('DeleteItem', 'answer');
    const waiting = store.withLock(SID, () => assert.fail('the task ran'), { signal: controller.signal });
    await request.reached;
    controller.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
    request.pass();
    await release.reached;
    assert.equal(await scene.item(), undefined);
    release.pass();
    assert.equal(await scene.backend.store().withLock(SID, () => 'free'), 'free');
  });

  it('is held by whoever asked, also if the answer was lost and the request was sent again', async (t) => {
    const { proxy, store } = await scene.proxied(t);
    await scene.backend.aws.reset();
    proxy.lose('PutItem');
    assert.equal(await store.withLock(SID, () => 'mine'), 'mine');
    assert.equal((await scene.backend.aws.calls())['dynamodb:PutItem'], 2);
    assert.equal(await scene.item(), undefined);
  });
});

for (const { name, start } of backends) {
  describe(`the signal of withLock on ${name}`, () => {
    async function stores(t: TestContext): Promise<[DynamoDBSessionStore, DynamoDBSessionStore]> {
      const backend = await start();
      t.after(() => backend.stop());
      return [backend.store(), backend.store()];
    }
    const reason = new Error('the request was aborted');

    it('ends the call before it begins if it is aborted already', async (t) => {
      const [store] = await stores(t);
      for (const given of [reason, undefined]) {
        const signal = AbortSignal.abort(given);
        const call = store.withLock(SID, () => assert.fail('the task ran'), { signal });
        const caught = await call.catch((error) => error);
        assert.equal(caught, signal.reason);
      }
      assert.equal(await store.withLock(SID, () => 'free'), 'free');
    });

    for (const [where, index] of Object.entries({ 'another store': 1, 'a task of the same store': 0 })) {
      it(`ends the waiting for a lease that ${where} has, and leaves nothing behind`, async (t) => {
        const both = await stores(t);
        const holder = await hold(both[0], SID, { leaseSeconds: 3600 });
        const controller = new AbortController();
        const options = { signal: controller.signal, waitSeconds: 3600 };
        const call = both[index].withLock(SID, () => assert.fail('the task ran'), options).catch((error) => error);
        const after = both[index].withLock(SID, () => 'the next one', { waitSeconds: 60 });
        controller.abort(reason);
        assert.equal(await call, reason);
        await holder.end();
        assert.equal(await after, 'the next one');
      });
    }

    it("aborts the task's signal with its reason, and the task decides", async (t) => {
      const [store, other] = await stores(t);
      const controller = new AbortController();
      const { signal, end } = await hold(store, SID, { signal: controller.signal });
      assert.equal(signal.aborted, false);
      controller.abort(reason);
      assert.deepEqual([signal.aborted, signal.reason], [true, reason]);
      assert.equal(await end(), 'the result');
      assert.equal(await other.withLock(SID, () => 'free'), 'free');
    });

    it('has no say any more when the task has ended, and the task gets one also if the caller gives none', async (t) => {
      const [store] = await stores(t);
      const controller = new AbortController();
      const signals: AbortSignal[] = [];
      for (const options of [{ signal: controller.signal }, {}]) {
        await store.withLock(SID, (signal) => signals.push(signal), options);
      }
      assert.ok(signals.every((signal) => signal instanceof AbortSignal && !signal.aborted));
      controller.abort(reason);
      assert.equal(await store.withLock(SID, () => 'free'), 'free');
    });
  });
}
