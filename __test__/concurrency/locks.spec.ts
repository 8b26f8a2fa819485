// withLock(): one task at a time for a session, in a process, across stores and across processes.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it, mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, quietLogger, startAws } from '../support/backends.ts';
import { itRefusesArguments } from '../support/bad-arguments.ts';
import { byCallback } from '../support/calls.ts';
import { assertNothingOf, failing } from '../support/failures.ts';
import { hold } from '../support/lease-holder.ts';
import { Program } from '../support/program.ts';
import { TableItems } from '../support/table-items.ts';

/** A task that fails the test if another one runs at the same time. */
function exclusive() {
  let running = false;
  const ran: number[] = [];
  const task = (number: number) => async () => {
    assert.ok(!running, 'two tasks run at the same time');
    running = true;
    for (let turns = 0; turns < 5; turns++) await turn();
    running = false;
    ran.push(number);
    return number;
  };
  return { task, ran };
}

/** Lets the process stand still for longer than a second, after the call that was just made has asked the table. */
async function standStill() {
  // No answer comes before the promises that are settled have been used up.
  for (let steps = 0; steps < 100; steps++) await Promise.resolve();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1100);
}

/** Long enough for any test. */
const HOUR = { leaseSeconds: 3600 };

for (const { name, start } of backends) {
  describe(`withLock on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    const newSid = () => `session-${++number}`;

    it('runs one task at a time for a session in a process, in the order of the calls', async () => {
      const sid = newSid();
      const store = backend.store();
      const { task, ran } = exclusive();
      const order = [0, 1, 2, 3, 4, 5];
      assert.deepEqual(await Promise.all(order.map((number) => store.withLock(sid, task(number)))), order);
      assert.deepEqual(ran, order);
    });

    it('runs no task under a lease that was over when the answer came: it asks again', async () => {
      const sid = newSid();
      const [store, other] = [backend.store(), backend.store()];
      const task = async (signal: AbortSignal) => {
        await failing(
          other.withLock(sid, () => assert.fail('two tasks run'), { waitSeconds: 0 }),
          'ERR_LOCK_TIMEOUT',
        );
        return signal.aborted;
      };
      const aborted = store.withLock(sid, task, { leaseSeconds: 1 });
      await standStill();
      assert.equal(await aborted, false);
      assert.equal(store.stats().leases.lost, 0);
    });

    it('loses no lease that it did not have while the process stood still', async () => {
      const sid = newSid();
      const [store, other] = [backend.store(), backend.store()];
      const { end } = await hold(other, sid, HOUR);
      const aborted = store.withLock(sid, (signal) => signal.aborted, { leaseSeconds: 1, waitSeconds: 3600 });
      await standStill();
      await turn();
      await end();
      assert.equal(await aborted, false);
      assert.equal(store.stats().leases.lost, 0);
    });

    it('takes the session object of a request for its id', async () => {
      const sid = newSid();
      const stores = [backend.store(), backend.store()];
      await stores[0].set(sid, { cookie: {}, user: 'ada' });
      const session = (await stores[0].get(sid))!;
      const { task, ran } = exclusive();
      await Promise.all([stores[0].withLock(session, task(0)), stores[1].withLock(sid, task(1), { waitSeconds: 60 })]);
      assert.deepEqual(ran.sort(), [0, 1]);
    });

    it('runs one task at a time for a session across two stores', async () => {
      const sid = newSid();
      const stores = [backend.store(), backend.store()];
      const { task, ran } = exclusive();
      const order = [0, 1, 2, 3, 4, 5, 6, 7];
      await Promise.all(order.map((number) => stores[number % 2].withLock(sid, task(number), { waitSeconds: 60 })));
      assert.equal(ran.length, order.length);
    });

    it('does not make sessions wait for each other, nor reads and saves wait for the lease', async () => {
      const sid = newSid();
      const [store, other] = [backend.store(), backend.store()];
      await store.set(sid, { counter: 0 });
      const lease = await hold(store, sid, HOUR);
      for (const free of [store, other]) assert.equal(await free.withLock(newSid(), () => 'another session'), 'another session');
      await other.update(sid, (session) => ({ counter: session.counter + 1 }));
      assert.deepStrictEqual(await store.get(sid), { counter: 1 });
      await lease.end();
    });

    const tasks: Record<string, () => any> = {
      'at once': () => 'the result',
      'as a promise': async () => 'the result',
      'as a promise-like': () => ({
        // biome-ignore lint/suspicious/noThenProperty: such objects come from other promise libraries
        then: (resolve: (value: string) => void) => resolve('the result'),
      }),
    };
    for (const [how, task] of Object.entries(tasks)) {
      it(`gives what the task gives ${how}, by promise and by callback`, async () => {
        const sid = newSid();
        const store: any = backend.store();
        assert.equal(await store.withLock(sid, task), 'the result');
        assert.equal(await store.withLock(sid, task, { leaseSeconds: 5 }), 'the result');
        const { withLock } = store;
        assert.deepEqual(await byCallback((callback) => withLock(sid, task, callback)), [null, 'the result']);
        assert.deepEqual(await byCallback((callback) => withLock(sid, task, {}, callback)), [null, 'the result']);
        assert.deepEqual(await byCallback((callback) => withLock(sid, task, undefined, callback)), [null, 'the result']);
      });
    }

    it('fails with the very error of the task, gives the lease back, and the log does not tell what it says', async () => {
      const sid = newSid();
      const logger = quietLogger();
      const [store, other] = [backend.store({ logger }), backend.store()];
      const error = new Error('the provider refused secret-token');
      const throwing = () => {
        throw error;
      };
      for (const task of [throwing, async () => throwing()]) {
        const caught = await store.withLock(sid, task).catch((reason) => reason);
        assert.equal(caught, error);
        const [given] = await byCallback((callback) => store.withLock(sid, task, callback));
        assert.equal(given, error);
        assert.equal(await other.withLock(sid, () => 'free'), 'free');
      }
      assert.equal(logger.lines.length, 1);
      assertNothingOf([sid, 'secret-token'], logger.lines.join('\n'));
    });

    it('is given up with ERR_LOCK_TIMEOUT when another store, or a task of this one, keeps the lease', async () => {
      const sid = newSid();
      const [store, other] = [backend.store(), backend.store()];
      const lease = await hold(store, sid, HOUR);
      for (const waiting of [store, other]) {
        const call = waiting.withLock(sid, () => assert.fail('the task ran'), { waitSeconds: 0.2 });
        assert.equal((await failing(call, 'ERR_LOCK_TIMEOUT', [sid])).retryable, true);
      }
      await lease.end();
      for (const free of [store, other]) assert.equal(await free.withLock(sid, () => 'free'), 'free');
    });

    it('is not reentrant: a task that asks for its own lease waits in vain', async () => {
      const sid = newSid();
      const store = backend.store();
      const result = await store.withLock(sid, () =>
        failing(
          store.withLock(sid, () => {}, { waitSeconds: 0.05 }),
          'ERR_LOCK_TIMEOUT',
        ),
      );
      assert.equal(result.code, 'ERR_LOCK_TIMEOUT');
    });

    const options: Record<string, SessionStoreConfig> = {
      'no prefix': {},
      'a prefix': { prefix: 'app:' },
      'hashed ids': { hashSessionIds: true },
      'keyed hashes of ids': { prefix: 'other:', hashSessionIds: { secret: 'the secret of at least 16 bytes' } },
    };
    for (const [what, config] of Object.entries(options)) {
      it(`its leases are no sessions, and clear leaves them, with ${what}`, async () => {
        const sid = newSid();
        const [store, other] = [backend.store(config), backend.store(config)];
        await store.clear();
        await store.set(sid, { user: 'Ada' });
        const lease = await hold(store, sid, HOUR);
        const lonely = await hold(store, newSid(), HOUR);
        assert.deepEqual(await store.ids(), [sid]);
        assert.equal(await store.length(), 1);
        assert.deepStrictEqual(await store.all(), [{ id: sid, user: 'Ada' }]);
        await store.clear();
        assert.equal(await store.length(), 0);
        await failing(
          other.withLock(sid, () => {}, { waitSeconds: 0.2 }),
          'ERR_LOCK_TIMEOUT',
        );
        await Promise.all([lease.end(), lonely.end()]);
      });
    }

    it('keeps the leases of applications with different prefixes apart', async () => {
      const sid = newSid();
      const lease = await hold(backend.store({ prefix: 'one:' }), sid, HOUR);
      for (const prefix of ['two:', '']) {
        assert.equal(await backend.store({ prefix }).withLock(sid, () => 'free'), 'free');
      }
      await lease.end();
    });

    const task = () => assert.fail('the task ran');
    const bad: Record<string, unknown[]> = {
      'no id': [undefined, task],
      'an empty id': ['', task],
      'an id with a lone surrogate': ['\ud800', task],
      'an id that is too long': ['x'.repeat(2049), task],
      'an object without an id': [{ cookie: {} }, task],
      'no task': ['sid'],
      'a promise in place of the task': ['sid', Promise.resolve()],
      'null as the options': ['sid', task, null],
      'an unknown option': ['sid', task, { lease: 10 }],
      'a lease of 0 seconds': ['sid', task, { leaseSeconds: 0 }],
      'a lease of more than an hour': ['sid', task, { leaseSeconds: 3601 }],
      'a lease of NaN': ['sid', task, { leaseSeconds: Number.NaN }],
      'a negative waitSeconds': ['sid', task, { waitSeconds: -1 }],
      'a waitSeconds of more than an hour': ['sid', task, { waitSeconds: 3601 }],
      'a string as waitSeconds': ['sid', task, { waitSeconds: '10' }],
      'a signal that is none': ['sid', task, { signal: { aborted: false } }],
      'an AbortController as the signal': ['sid', task, { signal: new AbortController() }],
    };
    itRefusesArguments('withLock', () => backend.store(), bad);

    it('of a closed store is ERR_CLOSED', async () => {
      const store = backend.store();
      await store.close();
      await failing(store.withLock('sid', task), 'ERR_CLOSED');
    });

    it('does not keep a store from closing; the lease then ends by itself', async () => {
      const logger = quietLogger();
      const store = backend.store({ logger });
      const lease = await hold(store, newSid(), HOUR);
      await store.close();
      await lease.end(); // the task's result is not lost
      assert.equal(logger.lines.length, 1);
      assert.match(logger.lines[0], /warn .*lease.*ends by itself/);
    });
  });
}

describe('a lease in the table', () => {
  let backend: AwsBackend;
  let table: TableItems;
  before(async () => {
    backend = await startAws();
    table = new TableItems(backend.aws);
  });
  after(async () => {
    table.close();
    await backend.stop();
  });

  it('is one PutItem to take and one DeleteItem to give back, also for those who wait in the same process', async () => {
    const store = backend.store();
    await backend.aws.reset();
    await Promise.all([0, 1, 2].map(() => store.withLock('sid', turn)));
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:PutItem': 3, 'dynamodb:DeleteItem': 3 });
  });

  it('holds no session id, and looks like no record', async () => {
    const sid = 'a-session-id-that-nobody-may-see';
    for (const config of [{}, { prefix: 'app:' }, { hashSessionIds: true }]) {
      const store = backend.store(config);
      await store.withLock(sid, async () => {
        const items = Object.values(await table.all());
        assert.equal(items.length, 1);
        assert.deepEqual(Object.keys(items[0]).toSorted(), ['leaseUntil', 'owner', 'sessionId', 'ttl']);
        assert.ok(items[0].sessionId.S!.startsWith(config.prefix ?? 'lease:'));
        assertNothingOf([sid], JSON.stringify(items));
      });
      assert.deepEqual(await table.all(), {});
    }
  });

  it('is left to Time to Live, an hour after its end, if nobody gives it back', async (t) => {
    const now = Date.UTC(2030, 0, 1);
    mock.timers.enable({ apis: ['Date'], now });
    t.after(() => mock.timers.reset());
    await backend.store().withLock(
      'sid',
      async () => {
        const [{ leaseUntil, ttl }] = Object.values(await table.all());
        assert.deepEqual([Number(leaseUntil.N), Number(ttl.N)], [now + 60_000, now / 1000 + 60 + 3600]);
      },
      { leaseSeconds: 60 },
    );
  });

  it('that cannot be given back is a warning, not a failure of a task that succeeded', async (t) => {
    const logger = quietLogger();
    t.after(() => backend.aws.clearFaults());
    const store = backend.store({ logger });
    await backend.aws.fault({ action: 'dynamodb:DeleteItem', status: 400, code: 'AccessDeniedException' });
    assert.equal(await store.withLock('not given back', () => 'done'), 'done');
    assert.equal(logger.lines.length, 1);
    assert.match(logger.lines[0], /warn .*withLock of session [0-9a-f]{8}: .*ERR_ACCESS_DENIED/);
    const key = createHash('sha256').update('not given back').digest('base64url');
    assert.notEqual(await table.get(`lease:${key}`), undefined);
  });

  it('that cannot be asked for is the error of the call, and the task does not run', async (t) => {
    t.after(() => backend.aws.clearFaults());
    const store = backend.store();
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    await failing(
      store.withLock('sid', () => assert.fail('the task ran')),
      'ERR_ACCESS_DENIED',
    );
    await backend.aws.clearFaults();
    assert.equal(await store.withLock('sid', () => 'free'), 'free');
  });
});

describe('leases of several processes', () => {
  it('one task runs at a time, so that blind writes lose nothing', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const store = backend.store();
    await store.set('sid', { counter: 0 });
    const programs = [0, 1, 2].map(() => new Program('lock-program', 'count', backend.config, 'sid', 5));
    t.after(() => Promise.all(programs.map((program) => program.end('SIGKILL'))));
    for (const program of programs) assert.equal(await program.line(), 'done');
    assert.deepStrictEqual(await store.get('sid'), { counter: 15 });
  });

  it('a holder that is killed frees the lease when it ends, and not before', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const program = new Program('lock-program', 'hold', backend.config, 'sid');
    t.after(() => program.end('SIGKILL'));
    assert.equal(await program.line(), 'holds');
    assert.equal((await program.end('SIGKILL')).signal, 'SIGKILL');
    mock.timers.enable({ apis: ['Date'], now: Date.now() });
    // A refusal asks for a random wait, so this tells that one has come.
    const refused = new Promise<void>((resolve) => {
      mock.method(Math, 'random', () => {
        resolve();
        return 0.5;
      });
    });
    t.after(() => {
      mock.restoreAll();
      mock.timers.reset();
    });
    let taken = false;
    const next = backend.store().withLock(
      'sid',
      () => {
        taken = true;
      },
      { waitSeconds: 3600 },
    );
    await refused;
    assert.equal(taken, false);
    mock.timers.setTime(Date.now() + 3600_000);
    await next;
    assert.equal(taken, true);
  });
});
