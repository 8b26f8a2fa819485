// Calls and latencies in stats().operations: every call is counted once, and the counts add up.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createEnvelope, LATENCY_BUCKETS, type OperationStats, SealedStore } from 'connect-dynamodb-kms';
import { type AwsBackend, quietLogger, startAws, startLocal } from '../support/backends.ts';
import { traced } from '../support/channels.ts';
import { failing } from '../support/failures.ts';
import { COMPONENTS, NO_CALLS } from '../support/public-calls.ts';
import { Random } from '../support/random.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

type Operations = Record<string, OperationStats>;
const sum = (numbers: Iterable<number>) => [...numbers].reduce((all, number) => all + number, 0);

/** Fails unless the counts of each operation agree with each other. */
function assertAddsUp(operations: Operations): void {
  for (const [operation, { count, errors, outcomes, milliseconds }] of Object.entries(operations)) {
    assert.equal(count, errors + sum(Object.values(outcomes)), `${operation}: calls are not outcomes and errors`);
    assert.equal(count, sum(milliseconds.buckets), `${operation}: calls are not in buckets`);
    assert.equal(milliseconds.buckets.length, LATENCY_BUCKETS.length + 1);
    assert.ok(milliseconds.sum >= 0, operation);
  }
}

/** The counts without the times. */
const counts = (operations: Operations) =>
  Object.fromEntries(
    Object.entries(operations).map(([name, { errors, outcomes }]) => [name, { ...outcomes, ...(errors && { errors }) }]),
  );

describe('the calls in stats()', { timeout: 300_000 }, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  afterEach(() => backend.aws.clearFaults());

  it('have the buckets that are documented', () => {
    assert.deepEqual(LATENCY_BUCKETS, [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000]);
    assert.equal(Object.isFrozen(LATENCY_BUCKETS), true);
  });

  for (const { component, calls, make } of COMPONENTS) {
    it(`are those of every method of the ${component}, by outcome`, async (t) => {
      const folder = await startLocal();
      t.after(() => folder.stop());
      const store = make(folder.config.local!.path);
      assert.deepEqual(store.stats().operations, {});
      const expected: Record<string, Record<string, number>> = {};
      for (const { method, args, outcome } of calls) {
        await store[method](...args);
        expected[method] ??= {};
        expected[method][outcome] = (expected[method][outcome] ?? 0) + 1;
      }
      assert.deepEqual(counts(store.stats().operations), expected);
      assertAddsUp(store.stats().operations);
      for (const name of NO_CALLS) assert.equal(Object.hasOwn(store.stats().operations, name), false, name);
    });
  }

  it('are a copy', async () => {
    const store = backend.store();
    await store.get('sid');
    const { operations } = store.stats();
    operations.get!.outcomes.missing = 7;
    operations.get!.milliseconds.buckets.fill(7);
    assertAddsUp(store.stats().operations);
    assert.equal(store.stats().operations.get!.count, 1);
  });

  it('are in the bucket of the time that their caller waited', async (t) => {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const store = backend.store({ dynamodbEndpoint: proxy.url });
    await store.get('sid');
    const before = store.stats().operations.get!;
    const held = proxy.hold('GetItem', 'answer');
    const reading = store.get('sid');
    await held.reached;
    assert.equal(store.stats().operations.get!.count, 1, 'a call is counted when it ends');
    await sleep(260);
    held.pass();
    await reading;
    const { milliseconds } = store.stats().operations.get!;
    const lasted = milliseconds.sum - before.milliseconds.sum;
    assert.ok(lasted >= 255, `${lasted}`);
    const bucket = milliseconds.buckets.findIndex((calls, index) => calls > before.milliseconds.buckets[index]!);
    const [above, below] = [LATENCY_BUCKETS[bucket] ?? Number.POSITIVE_INFINITY, LATENCY_BUCKETS[bucket - 1]!];
    assert.ok(lasted <= above && lasted > below, `${lasted} in the bucket from ${below} to ${above}`);
  });

  it('have what a function of the caller throws as errors, and those whose caller gave up', async () => {
    const store = backend.store();
    await store.set('sid', { cookie: {} });
    const mine = () => Promise.reject(new Error('of the application'));
    await assert.rejects(store.update('sid', mine));
    await assert.rejects(store.withLock('sid', mine));
    await assert.rejects(store.get('sid', { signal: AbortSignal.abort() }));
    const controller = new AbortController();
    const reading = store.get('sid', { signal: controller.signal });
    controller.abort();
    await assert.rejects(reading);
    assert.deepEqual(counts(store.stats().operations), {
      set: { written: 1 },
      update: { errors: 1 },
      withLock: { errors: 1 },
      get: { errors: 2 },
    });
    await store.close();
    assertAddsUp(store.stats().operations);
    assert.equal(store.stats().operations.get!.count, 2, 'the read that went on is counted as well');
  });

  it('add up over a random mix of calls with faults, and are what the channel says', async (t) => {
    const random = new Random(21);
    const pick = random.pick.bind(random);
    const next = random.next.bind(random);
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const timeouts = { attemptMillis: 200, callMillis: 400 };
    const store = backend.store({ dynamodbEndpoint: proxy.url, maxCallsInFlight: 12, touchAfter: 0, timeouts });
    const log = traced(t);
    const made: Record<string, number> = {};
    const failed: Record<string, number> = {};
    const faults = [
      { action: 'dynamodb:GetItem', times: 4, status: 400, code: 'ProvisionedThroughputExceededException' },
      { action: 'dynamodb:PutItem', times: 1, status: 400, code: 'AccessDeniedException' },
      { action: 'kms:GenerateDataKey', times: 1, status: 400, code: 'DisabledException' },
    ];
    const one = () => {
      const sid = pick(['a', 'b', 'c', 'd', '', 7 as any]);
      const session = pick<any>([{ cookie: {} }, { cookie: {}, n: next() }, { cookie: {}, big: 1n }]);
      const controller = new AbortController();
      const calls: Array<[string, unknown[]]> = [
        ['get', [sid]],
        ['get', [sid, { signal: controller.signal }]],
        ['set', [sid, session]],
        ['touch', [sid, session]],
        ['destroy', [sid]],
        ['take', [sid]],
        ['record', [sid]],
        [
          'update',
          [sid, pick<any>([() => {}, (found: any) => ({ ...found, n: next() }), () => Promise.reject(new Error('mine'))])],
        ],
        ['withLock', [sid, pick<any>([() => 1, () => Promise.reject(undefined)]), { waitSeconds: 0 }]],
        ['ids', []],
      ];
      const [method, args] = pick(calls);
      made[method] = (made[method] ?? 0) + 1;
      const settled = (error: unknown, ok: boolean) => {
        if (!ok) failed[method] = (failed[method] ?? 0) + 1;
        return error;
      };
      const call = (...all: unknown[]) => (store as any)[method](...all);
      if (next() < 0.5) {
        const promise = call(...args).then(
          () => settled(null, true),
          (error: unknown) => settled(error, false),
        );
        if (next() < 0.5) controller.abort();
        return promise;
      }
      return new Promise((resolve) => call(...args, (error: unknown) => resolve(settled(error, error === null))));
    };
    for (let round = 0; round < 40; round++) {
      if (next() < 0.3) await backend.aws.fault(pick(faults));
      if (next() < 0.1) proxy.lose('GetItem');
      await Promise.all(Array.from({ length: random.whole(1, 30) }, one));
    }
    await store.close();
    await failing(store.get('a'), 'ERR_CLOSED');
    made.get!++;
    failed.get!++;
    made.close = 1;
    const { operations, errors } = store.stats();
    assertAddsUp(operations);
    const all = Object.entries(operations);
    assert.deepEqual(Object.fromEntries(all.map(([name, { count }]) => [name, count])), made);
    assert.deepEqual(Object.fromEntries(all.flatMap(([name, stats]) => (stats.errors ? [[name, stats.errors]] : []))), failed);
    const told: Record<string, Record<string, number>> = {};
    for (const { event, message } of log) {
      if (event !== 'asyncEnd') continue;
      const outcome = message.outcome ?? 'errors';
      told[message.operation] ??= {};
      told[message.operation]![outcome] = (told[message.operation]![outcome] ?? 0) + 1;
    }
    assert.deepEqual(counts(operations), told);
    for (const code of ['ERR_CONFIG', 'ERR_OVERLOADED', 'ERR_SERIALIZATION', 'ERR_CLOSED'] as const)
      assert.ok(errors[code]! > 0, `no call failed with ${code}`);
    for (const outcome of ['found', 'missing', 'written', 'deleted', 'taken', 'done'])
      assert.ok(
        all.some(([, { outcomes }]) => outcomes[outcome]! > 0),
        `no call was ${outcome}`,
      );
  });

  it('are those of sealed stores and envelopes that fail, too', async () => {
    const items = new SealedStore({
      tableName: 'sessions',
      dynamodbEndpoint: backend.aws.dynamodb,
      kmsEndpoint: backend.aws.kms,
      logger: quietLogger(),
    });
    await failing(items.put('id', undefined), 'ERR_SERIALIZATION');
    await items.put('id', 1);
    await failing(items.get(7 as any), 'ERR_CONFIG');
    await items.close();
    await failing(items.get('id'), 'ERR_CLOSED');
    assert.deepEqual(counts(items.stats().operations), {
      put: { written: 1, errors: 1 },
      get: { errors: 2 },
      close: { done: 1 },
    });
    assertAddsUp(items.stats().operations);
    const envelope = createEnvelope({ kmsEndpoint: backend.aws.kms, logger: quietLogger() });
    await failing(envelope.encrypt(7 as any), 'ERR_SERIALIZATION');
    await failing(envelope.decrypt({} as any), 'ERR_INTEGRITY');
    await envelope.close();
    assert.deepEqual(counts(envelope.stats().operations), { encrypt: { errors: 1 }, decrypt: { errors: 1 }, close: { done: 1 } });
    assertAddsUp(envelope.stats().operations);
  });
});
