// Instances whose clocks are ten minutes apart, and clocks that are set back: on which side sessions, leases and cached keys err. docs/faults.md says so.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { turnKeys } from '../support/key-clock.ts';
import { hold } from '../support/lease-holder.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

const MINUTE = 60_000;
const SKEW = 10 * MINUTE;
/** A holder that is told nothing would hold the tests up. */
const LIMIT = { timeout: 300_000 };
/** By a clock that is right. */
const NOW = Date.UTC(2030, 0, 1);

/** What an instance does whose clock is this many milliseconds ahead of the right one. */
async function at<T>(milliseconds: number, work: () => Promise<T>): Promise<T> {
  mock.timers.setTime(NOW + milliseconds);
  return work();
}

beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
afterEach(() => mock.timers.reset());

for (const { name, start } of backends) {
  describe(`instances with clocks that differ, on ${name}`, LIMIT, () => {
    let backend: Backend;
    let sids = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    for (const recordVersion of [1, 2] as const) {
      it(`a session ends when the clock of whoever reads it says so: version ${recordVersion}`, async () => {
        const [writer, reader] = [0, 0].map(() => backend.store({ recordVersion, acceptVersions: [1, 2], ttlSeconds: 1800 }));
        const sid = `ends-${++sids}`;
        await at(0, () => writer.set(sid, { user: 'Ada' }));
        // Ahead: up to the difference too early, never too late. Behind: up to the difference too late, and no later.
        const [ahead, behind] = [(minutes: number) => SKEW + minutes * MINUTE, (minutes: number) => minutes * MINUTE - SKEW];
        for (const moment of [ahead(19), behind(39)]) assert.ok(await at(moment, () => reader.get(sid)));
        for (const moment of [ahead(21), behind(41)]) assert.equal(await at(moment, () => reader.get(sid)), null);
      });

      it(`a session that lives shorter than the difference is gone for whoever is ahead, and stays in the table: version ${recordVersion}`, {
        skip: name === 'local mode' && 'its instances are in one process, and the next call of any removes what has ended',
      }, async () => {
        const [writer, reader] = [0, 0].map(() => backend.store({ recordVersion, acceptVersions: [1, 2], ttlSeconds: 300 }));
        const sid = `short-${++sids}`;
        await at(0, () => writer.set(sid, { user: 'Ada' }));
        assert.equal(await at(SKEW, () => reader.get(sid)), null);
        assert.deepEqual(await at(0, () => writer.get(sid)), { user: 'Ada' });
      });
    }

    it('a session lives from its last touch, by the clock of whoever touched it', async () => {
      const [one, other] = [0, 0].map(() => backend.store({ ttlSeconds: 1800, touchAfter: 0 }));
      const sid = `touched-${++sids}`;
      await at(0, () => one.set(sid, { user: 'Ada' }));
      const seen: any = await at(SKEW, () => other.get(sid));
      await at(SKEW, () => other.touch(sid, seen));
      assert.equal((await other.record(sid))!.ttl, (NOW + SKEW) / 1000 + 1800);
      const again: any = await at(-SKEW, () => one.get(sid));
      await at(-SKEW, () => one.touch(sid, again));
      assert.equal((await one.record(sid))!.ttl, (NOW - SKEW) / 1000 + 1800);
    });

    it('notAfter bounds a session of version 2 by the clock that sealed it: two lifetimes', async () => {
      const [behind, right] = [0, 0].map(() => backend.store({ recordVersion: 2, ttlSeconds: 1800 }));
      const sid = `sealed-${++sids}`;
      await at(-SKEW, () => behind.set(sid, { user: 'Ada' }));
      const { notAfter } = (await behind.record(sid))!;
      assert.equal(notAfter, (NOW - SKEW) / 1000 + 2 * 1800);
      // Early by the difference at most: then it is sealed again, and goes on.
      await at(10 * MINUTE, () => right.touch(sid, { user: 'Ada' }));
      assert.ok(await at(39 * MINUTE, () => right.get(sid)));
      await at(25 * MINUTE, () => right.touch(sid, { user: 'Ada' }));
      assert.equal((await right.record(sid))!.notAfter, (NOW + 25 * MINUTE) / 1000 + 2 * 1800);
      assert.ok(await at(54 * MINUTE, () => right.get(sid)));
    });

    it('a lease is taken before its end by whoever is ahead, and its holder is told at its next renewal', async () => {
      const [holder, ahead] = [0, 0].map(() => backend.store());
      const sid = `lease-${++sids}`;
      const first = await at(0, () => hold(holder, sid, { leaseSeconds: 3 }));
      const second = await at(SKEW, () => hold(ahead, sid, { leaseSeconds: 3, waitSeconds: 0 }));
      mock.timers.setTime(NOW);
      if (!first.signal.aborted) await new Promise((resolve) => first.signal.addEventListener('abort', resolve));
      assert.equal(first.signal.reason.code, 'ERR_LOCK_TIMEOUT');
      await first.end();
      assert.equal(second.signal.aborted, false, 'what the first one gave back was not its own any more');
      await second.end();
    });

    it('a lease is taken too late, and never too early, by whoever is behind', async () => {
      const [holder, behind] = [0, 0].map(() => backend.store());
      const sid = `lease-${++sids}`;
      const first = await at(0, () => hold(holder, sid, { leaseSeconds: 60 }));
      const early = at(-SKEW, () => behind.withLock(sid, () => 'mine', { waitSeconds: 0 }));
      await assert.rejects(early, { code: 'ERR_LOCK_TIMEOUT' });
      await first.end();
      assert.equal(await at(-SKEW, () => behind.withLock(sid, () => 'mine', { waitSeconds: 0 })), 'mine');
    });

    it('a clock that is set back lets no session end early, and a lease runs by a clock that nobody sets', async () => {
      const store = backend.store({ ttlSeconds: 1800 });
      const sid = `back-${++sids}`;
      await at(0, () => store.set(sid, { user: 'Ada' }));
      const held = await at(0, () => hold(store, sid, { leaseSeconds: 1 }));
      const session: any = await at(-SKEW, () => store.get(sid));
      assert.equal(session.user, 'Ada');
      session.user = 'Bob';
      await at(-SKEW, () => store.set(sid, session));
      assert.equal(((await at(-SKEW, () => store.get(sid))) as any).user, 'Bob');
      assert.equal(held.signal.aborted, false);
      assert.equal(await held.end(), 'the result');
    });
  });
}

describe('a lease', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  for (const [name, jump] of [
    ['back', -SKEW],
    ['forth', SKEW],
  ] as const) {
    it(`that cannot be renewed ends on time for its holder, however far the clock is set ${name}`, {
      timeout: 300_000,
    }, async () => {
      const { signal, end } = await at(0, () => hold(backend.store(), `set ${name}`, { leaseSeconds: 2 }));
      await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
      mock.timers.setTime(NOW + jump);
      const order: string[] = [];
      const half = new Promise((resolve) => setTimeout(resolve, 1000)).then(() => order.push('half of it')); // by the same clock, and so in this order
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve)).then(() => order.push('aborted'));
      await Promise.all([half, aborted]);
      assert.deepEqual(order, ['half of it', 'aborted']);
      await backend.aws.clearFaults();
      await end();
    });
  }
});

describe('cached data keys', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  const decrypts = async () => (await backend.aws.calls())['kms:Decrypt'] ?? 0;

  it('age by a clock of their own: setting the time of day back or forth changes nothing', async () => {
    const store = backend.store({ keyCache: { maxAgeSeconds: 300, revocationCheckSeconds: 60 }, ttlSeconds: 7200 });
    await at(0, () => store.set('sid', { user: 'Ada' }));
    const before = await decrypts();
    for (const jump of [SKEW, -SKEW, 0]) assert.ok(await at(jump, () => store.get('sid')));
    await store.close(); // waits for checks
    assert.equal(await decrypts(), before);
    assert.deepEqual([store.stats().keyCache.misses, store.stats().keyCache.checksUsable], [1, 0]);
  });

  it('are judged when they are used, not by the moment at which a long scan began', async (t) => {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const store = backend.store({ dynamodbEndpoint: proxy.url, prefix: 'scanned:', ttlSeconds: 7200 });
    await at(0, () => store.set('before', { user: 'Ada' }));
    const scan = proxy.hold('Scan', 'answer');
    const all = at(0, () => store.all());
    await scan.reached;
    turnKeys(61);
    await at(61_000, () => store.set('meanwhile', { user: 'Bob' }));
    await at(61_000, () => store.get('meanwhile')); // a check is due, and made
    const until = performance.now() + 60_000;
    while (store.stats().keyCache.checksUsable === 0 && performance.now() < until) await new Promise(setImmediate);
    const before = await decrypts();
    scan.pass();
    assert.ok((await all).some(({ id }) => id === 'before'));
    for (const sid of ['before', 'meanwhile']) assert.ok(await at(62_000, () => store.get(sid)));
    await store.close();
    const { evictions, misses, checksUsable } = store.stats().keyCache;
    assert.deepEqual([misses, checksUsable], [2, 1], `${evictions} evictions`);
    assert.equal(await decrypts(), before);
  });
});
