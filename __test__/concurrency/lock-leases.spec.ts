// The lease behind withLock() as time passes: renewed, lost, waited for, and given back late. Time is turned by the test.

import '../support/switched-timers.ts';
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { quietLogger } from '../support/backends.ts';
import { assertFailure, failing } from '../support/failures.ts';
import { hold } from '../support/lease-holder.ts';
import { LEASE, LeaseScene, SID } from '../support/lease-scene.ts';
import { START, TurnedClock } from '../support/turned-clock.ts';

/** Of a lease, and between its renewals, in milliseconds; no other timer of this process has these. */
const LENGTH = 12_600;
const RENEWAL = 4200;

/** What never comes would hold the tests up. */
const LIMIT = { timeout: 300_000 };

describe('a lease', LIMIT, () => {
  let scene: LeaseScene;
  beforeEach(async () => {
    scene = await LeaseScene.start();
  });
  afterEach(() => scene.stop());

  it('is renewed three times in its length while the task runs, and nobody else gets it', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(scene.backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    assert.equal((await scene.item())!.until, LENGTH);
    for (let renewal = 1; renewal <= 6; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
      await clock.timer(LENGTH); // the end of the lease is set again with each answer, beside the first one
    }
    await clock.timer(RENEWAL);
    await clock.timer(LENGTH);
    const item = (await scene.item())!;
    assert.equal(item.until, 6 * RENEWAL + LENGTH);
    assert.deepEqual((await scene.backend.aws.calls())['dynamodb:PutItem'], 7);
    assert.equal(signal.aborted, false);
    const other = scene.backend.store();
    await other.length();
    const late = failing(
      other.withLock(SID, () => assert.fail('the task ran'), { waitSeconds: 0.04 }),
      'ERR_LOCK_TIMEOUT',
    );
    await clock.timer(50); // refused
    clock.tick(40);
    await late;
    assert.equal(await end(), 'the result');
    assert.equal(await scene.item(), undefined);
  });

  it('of 10 seconds is the default', async (t) => {
    new TurnedClock(t);
    const { end } = await hold(scene.backend.store(), SID);
    assert.equal((await scene.item())!.until, 10_000);
    await end();
  });

  it('is not renewed any more when the task has ended', async (t) => {
    const clock = new TurnedClock(t);
    const { end } = await hold(scene.backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await clock.timer(RENEWAL);
    await end();
    await scene.backend.aws.reset();
    clock.tick(100_000);
    await turn();
    assert.deepEqual(await scene.backend.aws.calls(), {});
  });

  it('survives a renewal that fails', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(scene.backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await scene.backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException', times: 1 });
    for (let renewal = 1; renewal <= 4; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
    }
    await clock.timer(RENEWAL);
    assert.equal(signal.aborted, false);
    assert.equal((await scene.item())!.until, 4 * RENEWAL + LENGTH);
    assert.equal(await end(), 'the result');
  });

  function assertLost(signal: AbortSignal): void {
    assert.equal(signal.aborted, true);
    assertFailure(signal.reason, 'ERR_LOCK_TIMEOUT', [SID]);
  }

  it('that cannot be renewed aborts the signal when it ends, not before and not later', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(scene.backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await scene.backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    for (let renewal = 1; renewal <= 2; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
    }
    await clock.timer(RENEWAL);
    clock.tick(RENEWAL - 1);
    assert.equal(signal.aborted, false);
    clock.tick(1);
    assertLost(signal);
    await scene.backend.aws.clearFaults();
    assert.equal(await end(), 'the result'); // what the task makes of the signal is its own affair
  });

  it('ends for its holder when it ends in the table, however late the answer to its renewal came', async (t) => {
    const clock = new TurnedClock(t);
    const { proxy, store } = await scene.proxied(t);
    const { signal, end } = await hold(store, SID, { leaseSeconds: LENGTH / 1000 });
    const answer = proxy.hold('PutItem', 'answer');
    await clock.timer(RENEWAL);
    clock.tick(RENEWAL);
    await answer.reached;
    clock.tick(RENEWAL); // the table has the lease until 4 renewals' time, and its holder learns it after 2
    answer.pass();
    await clock.timer(RENEWAL);
    assert.equal((await scene.item())!.until, 4 * RENEWAL);
    await scene.backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    clock.tick(RENEWAL);
    await clock.timer(RENEWAL);
    assert.equal(signal.aborted, false);
    clock.tick(RENEWAL); // whoever asks now gets the lease
    assertLost(signal);
    await scene.backend.aws.clearFaults();
    await end();
  });

  it('that somebody else has taken aborts the signal at the next renewal, and is left to him at the end', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(scene.backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await scene.takeAway(3_600_000);
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    await clock.timer(RENEWAL);
    assert.equal(signal.aborted, false);
    clock.tick(RENEWAL);
    await aborted;
    assertLost(signal);
    await scene.backend.aws.reset();
    clock.tick(30_000); // no renewal follows
    assert.equal(await end(), 'the result');
    assert.deepEqual(await scene.backend.aws.calls(), { 'dynamodb:DeleteItem': 1 });
    assert.deepEqual(await scene.item(), { until: 3_600_000, owner: 'somebody else' });
  });

  it('that a refused renewal loses counts as lost once, also after its end has passed', async (t) => {
    const clock = new TurnedClock(t);
    const logger = quietLogger();
    const store = scene.backend.store({ logger });
    const { signal, end } = await hold(store, SID, { leaseSeconds: LENGTH / 1000 });
    await scene.takeAway(3_600_000);
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    await clock.timer(RENEWAL);
    clock.tick(RENEWAL);
    await aborted;
    clock.tick(LENGTH); // the timer of the end that the lease had before the refusal
    await end();
    assert.deepEqual(store.stats().leases, { lost: 1, notRenewed: 0, notReleased: 0 });
    assert.equal(logger.lines.filter((line) => line.includes('the lease ended before its task did')).length, 1);
  });

  it('that was lost while a renewal was under way is not renewed again, so that others get it', async (t) => {
    const clock = new TurnedClock(t);
    const { proxy, store } = await scene.proxied(t);
    const { signal, end } = await hold(store, SID, { leaseSeconds: LENGTH / 1000 });
    await scene.backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException', times: 1 });
    const answer = proxy.hold('PutItem', 'answer');
    await clock.timer(RENEWAL);
    clock.tick(RENEWAL);
    await answer.reached;
    clock.tick(LENGTH - RENEWAL); // as a process that was stopped for that long
    assertLost(signal);
    answer.pass();
    while (store.stats().leases.notRenewed === 0) await turn(); // the answer is there
    await scene.backend.aws.reset();
    clock.tick(LENGTH);
    await store.length();
    assert.equal((await scene.backend.aws.calls())['dynamodb:PutItem'], undefined);
    assert.equal(await scene.backend.store().withLock(SID, () => 'mine'), 'mine');
    assert.equal(await end(), 'the result');
  });

  it('tells the operator what became of it: counts, and a line of the log for each cause', async (t) => {
    const clock = new TurnedClock(t);
    const logger = quietLogger();
    const store = scene.backend.store({ logger });
    const { signal, end } = await hold(store, SID, { leaseSeconds: LENGTH / 1000 });
    assert.deepEqual(store.stats().leases, { lost: 0, notRenewed: 0, notReleased: 0 });
    await scene.backend.aws.fault({ action: 'dynamodb:*', status: 400, code: 'AccessDeniedException' });
    for (let renewal = 1; renewal <= 3; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
    }
    assertLost(signal);
    await end();
    assert.deepEqual(store.stats().leases, { lost: 1, notRenewed: 2, notReleased: 1 });
    assert.deepEqual(
      logger.lines.map((line) => /withLock of session [0-9a-f]{8}: (.*?)[,;(]/.exec(line)?.[1]?.trim()),
      ['the lease could not be renewed', 'the lease ended before its task did', 'the lease could not be released'],
    );
  });

  it('that somebody else has removed counts as lost, and is not made again', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(scene.backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    const other = scene.backend.store();
    clock.tick(RENEWAL - 1);
    await scene.table.change(LEASE, { leaseUntil: { N: String(START + RENEWAL - 1) } }); // a clock that is ahead sees it so
    await other.withLock(SID, () => {});
    assert.equal(await scene.item(), undefined);
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    clock.tick(1);
    await aborted;
    assertLost(signal);
    assert.equal(await scene.item(), undefined);
    await end();
  });

  it('that has ended goes to whoever asks, and the late release of its old holder does not free it', async (t) => {
    const clock = new TurnedClock(t);
    const slow = await hold(scene.backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await scene.backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    for (let renewal = 1; renewal <= 3; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
    }
    assertLost(slow.signal);
    await scene.backend.aws.clearFaults();
    const next = await hold(scene.backend.store(), SID, { leaseSeconds: 60 });
    const item = await scene.item();
    assert.equal(await slow.end(), 'the result');
    assert.deepEqual(await scene.item(), item);
    assert.equal(next.signal.aborted, false);
    await next.end();
    assert.equal(await scene.item(), undefined);
  });
});
