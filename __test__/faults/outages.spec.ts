// One service away while the other is there: who is served, what is written, and that nothing must be restarted when it is back.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreErrorCode } from 'connect-dynamodb-kms';
import type { Fault } from '../support/aws-local.ts';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { startSilent } from '../support/http-server.ts';
import { turnKeys } from '../support/key-clock.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

process.env.AWS_MAX_ATTEMPTS = '1'; // retries.spec.ts has the others

const AWAY: Array<Omit<Fault, 'action'>> = [
  { status: 500, code: 'InternalServerError' },
  { status: 503, code: 'ServiceUnavailable' },
  { status: 400, code: 'ThrottlingException' },
];

/** How many revocation checks have ended. */
function verdicts(store: DynamoDBSessionStore): number {
  const { checksUsable, checksRevoked, checksUnknown } = store.stats().keyCache;
  return checksUsable + checksRevoked + checksUnknown;
}

/** What never comes would hold the tests up. */
const LIMIT = { timeout: 300_000 };

describe('without', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  afterEach(async () => {
    await backend.aws.clearFaults();
  });
  after(() => backend.stop());

  describe('KMS', () => {
    for (const fault of AWAY) {
      const code: SessionStoreErrorCode = fault.status === 400 ? 'ERR_KMS_THROTTLED' : 'ERR_KMS_UNAVAILABLE';

      it(`(${fault.code}), sessions whose key is cached are read, changed, touched and destroyed`, async () => {
        const store = backend.store();
        await store.set('cached', { cookie: {}, n: 1 });
        await backend.aws.fault({ action: 'kms:*', ...fault });
        const session = (await store.get('cached'))!;
        assert.deepEqual(session, { cookie: {}, n: 1 });
        await store.set('cached', Object.assign(session, { n: 2 }));
        await store.touch('cached', session);
        assert.deepEqual(await store.update('cached', (s) => void Object.assign(s, { n: 3 })), { cookie: {}, n: 3 });
        await store.destroy('cached');
        assert.equal(await store.get('cached'), null);
      });

      it(`(${fault.code}), a new session fails, nothing is written, and it succeeds when KMS is back`, async () => {
        const store = backend.store();
        await backend.aws.fault({ action: 'kms:*', ...fault });
        await backend.aws.reset();
        const sid = `new under ${fault.code}`;
        await failing(store.set(sid, { cookie: {} }), code);
        assert.equal((await backend.aws.calls())['dynamodb:PutItem'], undefined);
        assert.equal(await store.get(sid), null);
        await backend.aws.clearFaults();
        await store.set(sid, { cookie: {} });
        assert.deepEqual(await store.get(sid), { cookie: {} });
      });

      it(`(${fault.code}), the revocation check purges nothing`, async () => {
        const store = backend.store({ keyCache: { revocationCheckSeconds: 10 } });
        await store.set('checked', { cookie: {} });
        await backend.aws.fault({ action: 'kms:*', ...fault });
        for (let checks = 1; checks <= 3; checks++) {
          turnKeys(10);
          assert.deepEqual(await store.get('checked'), { cookie: {} });
          while (verdicts(store) < checks) await new Promise(setImmediate);
        }
        const { entries, loads, checksRevoked } = store.stats().keyCache;
        assert.deepEqual([entries, loads, checksRevoked], [1, 1, 0]);
      });
    }
  });

  describe('DynamoDB', () => {
    for (const fault of AWAY) {
      it(`(${fault.code}), no session is reported as missing, and all are there when it is back`, async () => {
        const code: SessionStoreErrorCode = fault.status === 400 ? 'ERR_DYNAMODB_THROTTLED' : 'ERR_DYNAMODB_UNAVAILABLE';
        const store = backend.store();
        await store.set('kept', { cookie: {}, n: 1 });
        const session = (await store.get('kept'))!;
        await backend.aws.fault({ action: 'dynamodb:*', ...fault });
        const calls = [
          ...[store.get('kept'), store.get('missing'), store.record('kept'), store.update('kept', () => {})],
          ...[store.all(), store.ids(), store.length()],
          ...[store.set('other', { cookie: {} }), store.touch('kept', { cookie: {} }), store.destroy('missing')],
        ];
        await Promise.all(calls.map((call) => failing(call, code)));
        await backend.aws.clearFaults();
        assert.deepEqual(await store.get('kept'), { cookie: {}, n: 1 });
        // What failed has not made the store take the session for gone.
        await store.set('kept', Object.assign(session, { n: 3 }));
        assert.deepEqual(await backend.store().get('kept'), { cookie: {}, n: 3 });
      });
    }
  });

  describe('an answer', () => {
    const timeouts = { callMillis: 1000 };

    it('no more calls wait than maxCallsInFlight; one more fails at once with ERR_OVERLOADED', async () => {
      const silent = await startSilent();
      try {
        const store = backend.store({ dynamodbEndpoint: silent.url, maxCallsInFlight: 5, timeouts });
        const ended: string[] = [];
        const waiting = [
          store.get('sid'),
          store.touch('one session', { cookie: {} }), // the other two wait for it in this process
          store.touch('one session', { cookie: {} }),
          store.destroy('one session'),
          store.update('sid', () => {}),
        ].map((call) => failing(call, 'ERR_DYNAMODB_UNAVAILABLE').then(() => ended.push('waited')));
        assert.equal(store.stats().callsInFlight, 5);
        const more = [
          store.get('sid'),
          store.set('sid', { cookie: {} }),
          store.destroy('one session'),
          store.length(),
          store.ping(),
        ];
        for (const call of more) {
          const error = await failing(call, 'ERR_OVERLOADED');
          assert.match(error.detail, /5 calls.*maxCallsInFlight/);
        }
        assert.deepEqual(ended, [], 'the calls that were refused had to wait');
        assert.equal(store.stats().errors.ERR_OVERLOADED, more.length);
        await Promise.all(waiting);
        assert.equal(store.stats().callsInFlight, 0);
      } finally {
        await silent.close();
      }
    });

    it('tasks of withLock are counted apart, so that those that wait do not stop the one that runs', async () => {
      const store = backend.store({ maxCallsInFlight: 2 });
      await store.set('locked', { cookie: {} });
      let waiting: Promise<string> | undefined;
      const read = await store.withLock('locked', async () => {
        waiting = store.withLock('locked', () => 'the lease came');
        assert.deepEqual([store.stats().tasksInFlight, store.stats().callsInFlight], [2, 0]);
        await failing(
          store.withLock('another', () => {}),
          'ERR_OVERLOADED',
        );
        return Promise.all([store.get('locked'), store.get('locked')]);
      });
      assert.deepEqual(read, [{ cookie: {} }, { cookie: {} }]);
      assert.equal(await waiting, 'the lease came');
      assert.equal(store.stats().tasksInFlight, 0);
    });

    it('tasks that gave up are counted until their request has ended', async () => {
      const proxy = await StoppingProxy.start(backend.aws.dynamodb);
      try {
        const store = backend.store({ dynamodbEndpoint: proxy.url, maxCallsInFlight: 1 });
        const held = proxy.hold('PutItem', 'request');
        const giveUp = new AbortController();
        const task = store.withLock('locked', () => assert.fail('the task ran'), { signal: giveUp.signal });
        await held.reached;
        giveUp.abort(new Error('given up'));
        await assert.rejects(task, { message: 'given up' });
        assert.equal(store.stats().tasksInFlight, 1);
        await failing(
          store.withLock('another', () => {}),
          'ERR_OVERLOADED',
        );
        const release = proxy.hold('DeleteItem', 'answer');
        held.pass();
        await release.reached;
        assert.equal(store.stats().tasksInFlight, 1);
        release.pass();
        while (store.stats().tasksInFlight > 0) await new Promise(setImmediate);
        assert.equal(await store.withLock('locked', () => 'the lease came'), 'the lease came');
      } finally {
        await proxy.close();
      }
    });

    it('calls that were refused leave room for later ones, and close waits for those that were not', async () => {
      const proxy = await StoppingProxy.start(backend.aws.dynamodb);
      try {
        const store = backend.store({ dynamodbEndpoint: proxy.url, maxCallsInFlight: 1 });
        for (let round = 0; round < 3; round++) {
          const held = proxy.hold('GetItem', 'request');
          const read = store.get('sid');
          await held.reached;
          for (let call = 0; call < 3; call++) await failing(store.get('sid'), 'ERR_OVERLOADED');
          held.pass();
          assert.equal(await read, null);
        }
        const held = proxy.hold('GetItem', 'request');
        const read = store.get('sid');
        await held.reached;
        const closed = store.close();
        held.pass();
        assert.equal(await read, null);
        await closed;
      } finally {
        await proxy.close();
      }
    });

    it('a thousand calls may wait by default', async () => {
      const silent = await startSilent();
      try {
        const store = backend.store({ dynamodbEndpoint: silent.url, timeouts });
        const waiting = Array.from({ length: 1000 }, (_, n) => failing(store.get(`${n}`), 'ERR_DYNAMODB_UNAVAILABLE'));
        await failing(store.get('one more'), 'ERR_OVERLOADED');
        await Promise.all(waiting);
      } finally {
        await silent.close();
      }
    });
  });
});
