// The lease behind withLock() as time passes: renewed, lost, waited for, and given back late. Time is turned by the test.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type AwsBackend, startAws } from './support/backends.ts';
import { assertFailure, failing } from './support/failures.ts';
import { hold } from './support/lease-holder.ts';
import { StoppingProxy } from './support/stopping-proxy.ts';
import { TableItems } from './support/table-items.ts';
import { START, TurnedClock } from './support/turned-clock.ts';

const SID = 'the-session';
/** Of a lease, and between its renewals, in milliseconds; no other timer of this process has these. */
const LENGTH = 12_600;
const RENEWAL = 4200;
const LEASE = `lease:${createHash('sha256').update(SID).digest('base64url')}`;

describe('a lease', () => {
  let backend: AwsBackend;
  let table: TableItems;
  beforeEach(async () => {
    backend = await startAws();
    table = new TableItems(backend.aws);
  });
  afterEach(async () => {
    table.close();
    await backend.stop();
  });

  async function proxied(t: TestContext) {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    return { proxy, store: backend.store({ dynamodbEndpoint: proxy.url }) };
  }

  /** When the lease ends by the table, in milliseconds after START, and whose it is. */
  async function leaseItem(): Promise<{ until: number; owner?: string } | undefined> {
    const item = await table.get(LEASE);
    return item && { until: Number(item.leaseUntil.N) - START, owner: item.owner.S };
  }

  /** As another program that takes the lease for itself. */
  const takeAway = (until: number) =>
    table.change(LEASE, { owner: { S: 'somebody else' }, leaseUntil: { N: String(START + until) } });

  it('is renewed three times in its length while the task runs, and nobody else gets it', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    assert.equal((await leaseItem())!.until, LENGTH);
    for (let renewal = 1; renewal <= 6; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
      await clock.timer(LENGTH); // the end of the lease is set again with each answer, beside the first one
    }
    await clock.timer(RENEWAL);
    await clock.timer(LENGTH);
    const item = (await leaseItem())!;
    assert.equal(item.until, 6 * RENEWAL + LENGTH);
    assert.deepEqual((await backend.aws.calls())['dynamodb:PutItem'], 7);
    assert.equal(signal.aborted, false);
    const other = backend.store();
    await other.length();
    const late = failing(
      other.withLock(SID, () => assert.fail('the task ran'), { waitSeconds: 0.04 }),
      'ERR_LOCK_TIMEOUT',
    );
    await clock.timer(50); // refused
    clock.tick(40);
    await late;
    assert.equal(await end(), 'the result');
    assert.equal(await leaseItem(), undefined);
  });

  it('of 10 seconds is the default', async (t) => {
    new TurnedClock(t);
    const { end } = await hold(backend.store(), SID);
    assert.equal((await leaseItem())!.until, 10_000);
    await end();
  });

  it('is not renewed any more when the task has ended', async (t) => {
    const clock = new TurnedClock(t);
    const { end } = await hold(backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await clock.timer(RENEWAL);
    await end();
    await backend.aws.reset();
    clock.tick(100_000);
    await turn();
    assert.deepEqual(await backend.aws.calls(), {});
  });

  it('survives a renewal that fails', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException', times: 1 });
    for (let renewal = 1; renewal <= 4; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
    }
    await clock.timer(RENEWAL);
    assert.equal(signal.aborted, false);
    assert.equal((await leaseItem())!.until, 4 * RENEWAL + LENGTH);
    assert.equal(await end(), 'the result');
  });

  function assertLost(signal: AbortSignal): void {
    assert.equal(signal.aborted, true);
    assertFailure(signal.reason, 'ERR_LOCK_TIMEOUT', [SID]);
  }

  it('that cannot be renewed aborts the signal when it ends, not before and not later', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    for (let renewal = 1; renewal <= 2; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
    }
    await clock.timer(RENEWAL);
    clock.tick(RENEWAL - 1);
    assert.equal(signal.aborted, false);
    clock.tick(1);
    assertLost(signal);
    await backend.aws.clearFaults();
    assert.equal(await end(), 'the result'); // what the task makes of the signal is its own affair
  });

  it('ends for its holder when it ends in the table, however late the answer to its renewal came', async (t) => {
    const clock = new TurnedClock(t);
    const { proxy, store } = await proxied(t);
    const { signal, end } = await hold(store, SID, { leaseSeconds: LENGTH / 1000 });
    const answer = proxy.hold('PutItem', 'answer');
    await clock.timer(RENEWAL);
    clock.tick(RENEWAL);
    await answer.reached;
    clock.tick(RENEWAL); // the table has the lease until 4 renewals' time, and its holder learns it after 2
    answer.pass();
    await clock.timer(RENEWAL);
    assert.equal((await leaseItem())!.until, 4 * RENEWAL);
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    clock.tick(RENEWAL);
    await clock.timer(RENEWAL);
    assert.equal(signal.aborted, false);
    clock.tick(RENEWAL); // whoever asks now gets the lease
    assertLost(signal);
    await backend.aws.clearFaults();
    await end();
  });

  it('that somebody else has taken aborts the signal at the next renewal, and is left to him at the end', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await takeAway(3_600_000);
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    await clock.timer(RENEWAL);
    assert.equal(signal.aborted, false);
    clock.tick(RENEWAL);
    await aborted;
    assertLost(signal);
    await backend.aws.reset();
    clock.tick(30_000); // no renewal follows
    assert.equal(await end(), 'the result');
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:DeleteItem': 1 });
    assert.deepEqual(await leaseItem(), { until: 3_600_000, owner: 'somebody else' });
  });

  it('that somebody else has removed counts as lost, and is not made again', async (t) => {
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    const other = backend.store();
    clock.tick(RENEWAL - 1);
    await table.change(LEASE, { leaseUntil: { N: String(START + RENEWAL - 1) } }); // a clock that is ahead sees it so
    await other.withLock(SID, () => {});
    assert.equal(await leaseItem(), undefined);
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    clock.tick(1);
    await aborted;
    assertLost(signal);
    assert.equal(await leaseItem(), undefined);
    await end();
  });

  it('that has ended goes to whoever asks, and the late release of its old holder does not free it', async (t) => {
    const clock = new TurnedClock(t);
    const slow = await hold(backend.store(), SID, { leaseSeconds: LENGTH / 1000 });
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    for (let renewal = 1; renewal <= 3; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
    }
    assertLost(slow.signal);
    await backend.aws.clearFaults();
    const next = await hold(backend.store(), SID, { leaseSeconds: 60 });
    const item = await leaseItem();
    assert.equal(await slow.end(), 'the result');
    assert.deepEqual(await leaseItem(), item);
    assert.equal(next.signal.aborted, false);
    await next.end();
    assert.equal(await leaseItem(), undefined);
  });
});
