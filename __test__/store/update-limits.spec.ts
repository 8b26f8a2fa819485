// What update() keeps to: the end of the session, its arguments, what it may write, its calls of AWS, and its deadline.

import '../support/switched-timers.ts';
import assert from 'node:assert/strict';
import { after, before, describe, it, mock } from 'node:test';
import { type SessionData, SessionStoreError } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { itRefusesArguments } from '../support/bad-arguments.ts';
import { byCallback } from '../support/calls.ts';
import { failing } from '../support/failures.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { START, TurnedClock } from '../support/turned-clock.ts';

const count = (session: any) => {
  session.counter += 1;
};

for (const { name, start } of backends) {
  describe(`the limits of update on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    const newSid = () => `session-${++number}`;

    it('keeps the end of the session, wherever that is and whatever ttlSeconds says by now', async (t) => {
      mock.timers.enable({ apis: ['Date'], now: START });
      t.after(() => mock.timers.reset());
      for (const recordVersion of [1, 2] as const) {
        const [plain, withCookie, extended] = [newSid(), newSid(), newSid()];
        const writer = backend.store({ ttlSeconds: 1000, recordVersion });
        mock.timers.setTime(START);
        await writer.set(plain, {});
        await writer.set(withCookie, { cookie: { expires: new Date(START + 500_250) } });
        await writer.set(extended, { cookie: { expires: new Date(START + 500_000) } });
        await writer.touch(extended, { cookie: { expires: new Date(START + 700_000) } });
        const store = backend.store({ ttlSeconds: () => assert.fail('ttlSeconds was asked'), recordVersion });
        mock.timers.setTime(START + 100_000);
        const ends = { [plain]: 1000, [withCookie]: 501, [extended]: 700 };
        for (const [sid, seconds] of Object.entries(ends)) {
          const before = await store.get(sid);
          const updated = await store.update(sid, (session) => ({ ...session, note: 'x' }));
          assert.equal((await store.record(sid))!.ttl, START / 1000 + seconds);
          assert.deepStrictEqual(updated, { ...before, note: 'x' });
          assert.deepStrictEqual(await store.get(sid), updated);
        }
      }
    });

    const at = (seconds: number) => START + seconds * 1000;
    const ends: Record<string, { expires: any; seconds: number }> = {
      'an earlier one': { expires: new Date(at(200)), seconds: 200 },
      'a later one': { expires: new Date(at(800)).toISOString(), seconds: 800 },
      'one after ttlSeconds': { expires: new Date(at(5000)), seconds: 100 + 1000 },
      'none at all': { expires: null, seconds: 100 + 1000 },
      'the same, in another form': { expires: at(500), seconds: 500 },
    };
    for (const [kind, { expires, seconds }] of Object.entries(ends)) {
      it(`moves the end if mutate gives the cookie ${kind}`, async (t) => {
        mock.timers.enable({ apis: ['Date'], now: START });
        t.after(() => mock.timers.reset());
        const sid = newSid();
        const store = backend.store({ ttlSeconds: 1000 });
        await store.set(sid, { cookie: { path: '/', expires: new Date(at(500)) } });
        mock.timers.setTime(at(100));
        await store.update(sid, ({ cookie }) => {
          cookie!.expires = expires;
        });
        assert.equal((await store.record(sid))!.ttl, START / 1000 + seconds);
        mock.timers.setTime(at(seconds) - 1);
        assert.notEqual(await store.get(sid), null);
        mock.timers.setTime(at(seconds));
        assert.equal(await store.get(sid), null);
      });
    }

    const unwritable: Record<
      string,
      [code: 'ERR_CONFIG' | 'ERR_SERIALIZATION' | 'ERR_SESSION_TOO_LARGE', mutate: (session: any) => any]
    > = {
      'a session with a BigInt': ['ERR_SERIALIZATION', () => ({ big: 5n, token: 'secret-token' })],
      'a session with a cycle': [
        'ERR_SERIALIZATION',
        (session) => {
          session.self = session;
        },
      ],
      'a string': ['ERR_SERIALIZATION', () => 'secret-token'],
      'a number, as an arrow function with ++ does': ['ERR_CONFIG', (session) => session.counter++],
      'an array': ['ERR_SERIALIZATION', async (session) => [session]],
      'a session of 500,000 characters': ['ERR_SESSION_TOO_LARGE', () => ({ filler: 'secret-token'.repeat(42_000) })],
    };
    for (const [what, [code, mutate]] of Object.entries(unwritable)) {
      it(`fails with ${code} and writes nothing if mutate gives ${what}`, async () => {
        const sid = newSid();
        const store = backend.store();
        await store.set(sid, { counter: 0 });
        const before = await store.record(sid);
        await failing(store.update(sid, mutate), code, [sid, 'secret-token']);
        assert.deepEqual(await store.record(sid), before);
      });
    }

    it('takes a callback with and without options', async () => {
      const sid = newSid();
      const store: any = backend.store();
      await store.set(sid, { counter: 0 });
      assert.deepStrictEqual(await byCallback((callback) => store.update(sid, count, callback)), [null, { counter: 1 }]);
      for (const options of [undefined, {}, { deadlineSeconds: 1 }]) {
        const [error, session] = await byCallback((callback) => store.update(sid, count, options, callback));
        assert.deepEqual([error, Object.keys(session)], [null, ['counter']]);
        assert.deepEqual(Object.keys(await store.update(sid, count, options)), ['counter']);
      }
      assert.deepStrictEqual(await store.get(sid), { counter: 7 });
      const { update } = store;
      assert.deepStrictEqual(await update(sid, count), { counter: 8 });
      assert.deepStrictEqual(await byCallback((callback) => store.update('nobody', count, callback)), [null, null]);
    });

    const bad: Record<string, unknown[]> = {
      'no target': [undefined, count],
      'null as the target': [null, count],
      'an empty id': ['', count],
      'an id with a lone surrogate': ['\ud800', count],
      'an id that is too long': ['x'.repeat(2049), count],
      'a number as the target': [7, count],
      'an object that is no session': [{}, count],
      'no function': ['sid'],
      'a session in place of the function': ['sid', { counter: 1 }],
      'null as the options': ['sid', count, null],
      'a number as the options': ['sid', count, 5],
      'an unknown option': ['sid', count, { deadline: 5 }],
      'a negative deadline': ['sid', count, { deadlineSeconds: -1 }],
      'a deadline of more than an hour': ['sid', count, { deadlineSeconds: 3601 }],
      'NaN as the deadline': ['sid', count, { deadlineSeconds: Number.NaN }],
      'a string as the deadline': ['sid', count, { deadlineSeconds: '5' }],
    };
    itRefusesArguments('update', () => backend.store(), bad);

    it('does not throw, whatever the target does when it is looked at', async () => {
      const store = backend.store();
      const target = {
        get sessionId(): string {
          throw new Error('not now');
        },
      };
      const call: Promise<SessionData | null> = store.update(target, count);
      await assert.rejects(call);
    });

    it('of a closed store is ERR_CLOSED', async () => {
      const store = backend.store();
      await store.close();
      await failing(store.update('sid', count), 'ERR_CLOSED');
    });
  });
}

describe('the calls and the patience of update', () => {
  let backend: AwsBackend;
  let number = 0;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  /** A session and two stores that have its data key. */
  async function shared() {
    const sid = `session-${++number}`;
    const [store, other] = [backend.store(), backend.store()];
    await store.set(sid, { counter: 0 });
    await other.get(sid);
    await backend.aws.reset();
    return { sid, store, other };
  }

  it('one read, one conditional write, nothing of KMS', async () => {
    const { sid, store } = await shared();
    const { authTag, ttl } = (await store.record(sid))!;
    await backend.aws.reset();
    await store.update(sid, count);
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 1, 'dynamodb:PutItem': 1 });
    const [read, written] = (await backend.aws.requests()).map(({ body }) => body);
    assert.equal(read.ConsistentRead, true);
    assert.deepEqual(written.ExpressionAttributeValues, { ':authTag': { S: authTag }, ':end': { N: String(ttl) } });
    assert.deepEqual(store.stats().sessions, { written: 2, extended: 0, unchanged: 0, gone: 0, taken: 0, conflicts: 0 });
  });

  it('nothing is written if mutate changes nothing', async () => {
    const { sid, store } = await shared();
    assert.deepStrictEqual(await store.update(sid, () => {}), { counter: 0 });
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 1 });
    assert.equal(store.stats().sessions.unchanged, 1);
  });

  it('a read and a write for each attempt', async () => {
    const { sid, store, other } = await shared();
    let attempts = 0;
    await store.update(sid, async (session) => {
      if (++attempts < 3) await other.update(sid, count);
      session.mine = true;
    });
    // Three attempts of this store, and an update of the other one in each of the first two.
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 5, 'dynamodb:PutItem': 5 });
  });

  it('an update whose answer was lost and that was sent again counts once', async (t) => {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const { sid, other } = await shared();
    const store = backend.store({ dynamodbEndpoint: proxy.url });
    await store.get(sid);
    await backend.aws.reset();
    proxy.lose('PutItem');
    assert.deepStrictEqual(await store.update(sid, count), { counter: 1 });
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 1, 'dynamodb:PutItem': 2 });
    assert.deepStrictEqual(await other.get(sid), { counter: 1 });
  });

  /** An update that somebody else always is faster than. */
  function hopeless(
    { sid, store, other }: Awaited<ReturnType<typeof shared>>,
    options?: { deadlineSeconds?: number },
    during: (attempt: number) => void = () => {},
  ) {
    const state = { attempts: 0 };
    const outcome = store.update(
      sid,
      async (session) => {
        state.attempts += 1;
        await other.set(sid, { counter: state.attempts });
        session.mine = true;
        during(state.attempts);
      },
      options,
    );
    return {
      state,
      outcome: outcome.then(
        () => assert.fail('it succeeded'),
        (error) => error,
      ),
    };
  }

  function assertDeadline(error: any): void {
    assert.ok(error instanceof SessionStoreError, String(error));
    assert.deepEqual([error.code, error.retryable], ['ERR_CONFLICT', true]);
    assert.match(error.detail, /deadline/);
  }

  it('waits grow from attempt to attempt up to half a second, and are a random part of that', async (t) => {
    for (const random of [1, 0.5]) {
      const clock = new TurnedClock(t, { random });
      const { state, outcome } = hopeless(await shared());
      const waits = [10, 20, 40, 80, 160, 320, 500, 500, 500, 500].map((wait) => wait * random);
      for (const [index, wait] of waits.entries()) {
        await clock.timer(wait);
        assert.equal(state.attempts, index + 1);
        clock.tick(wait - 1);
        assert.equal(state.attempts, index + 1);
        clock.tick(1);
      }
      clock.tick(5000);
      assertDeadline(await outcome);
      mock.restoreAll();
      mock.timers.reset();
    }
  });

  it('it is given up with ERR_CONFLICT, to be tried again, once the deadline of 5 seconds is over', async (t) => {
    const clock = new TurnedClock(t);
    const { state, outcome } = hopeless(await shared(), undefined, (attempt) => clock.tick(attempt === 1 ? 4980 : 20));
    await clock.timer(10);
    clock.tick(10);
    assertDeadline(await outcome);
    assert.equal(state.attempts, 2);
  });

  it('deadlineSeconds 0 is one attempt', async (t) => {
    const { state, outcome } = hopeless(await shared(), { deadlineSeconds: 0 });
    assertDeadline(await outcome);
    assert.equal(state.attempts, 1);
    const { sid, store } = await shared();
    assert.deepStrictEqual(await store.update(sid, count, { deadlineSeconds: 0 }), { counter: 1 });
    t.diagnostic('an update that nobody hinders succeeds at its first attempt');
  });

  it('no attempt is made after the deadline, also if that passes while it waits', async (t) => {
    const clock = new TurnedClock(t);
    const { state, outcome } = hopeless(await shared(), { deadlineSeconds: 0.005 });
    await clock.timer(10);
    clock.tick(10);
    assertDeadline(await outcome);
    assert.equal(state.attempts, 1);
  });

  it('a mutate that outlasts the deadline still counts if nobody else was faster', async (t) => {
    const clock = new TurnedClock(t);
    const { sid, store } = await shared();
    const updated = await store.update(sid, (session) => {
      clock.tick(2 * 5000);
      session.counter = 'late';
    });
    assert.deepStrictEqual(updated, { counter: 'late' });
  });

  it('an outage is an error of the call, and not retried by it', async (t) => {
    const { sid, store } = await shared();
    t.after(() => backend.aws.clearFaults());
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    await failing(store.update(sid, count), 'ERR_ACCESS_DENIED');
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 1, 'dynamodb:PutItem': 1 });
    await backend.aws.clearFaults();
    assert.deepStrictEqual(await store.get(sid), { counter: 0 });
  });
});
