// Retries: what is sent again, how often, and how little that adds to an outage. The servers count; nothing here measures time, and the budget of
// retries does not grow with it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig, SessionStoreErrorCode } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { startResetting } from '../support/bad-servers.ts';
import { failing } from '../support/failures.ts';
import { startAnswering, startSilent } from '../support/http-server.ts';

/** Calls of an outage, and how many of them at a time. */
const CALLS = 1000;
const AT_ONCE = 20;
/** Requests that an outage of so many calls may cost a call (and one call alone three). */
const COST = 1.2;
/** Retries that a client has at once; docs/deadlines-and-outages.md says so. */
const RETRIES = 50;

/** Makes calls until all have failed with this code. */
async function outage(call: (n: number) => Promise<unknown>, code: SessionStoreErrorCode): Promise<void> {
  let next = 0;
  const caller = async () => {
    while (next < CALLS) await failing(call(next++), code);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
}

const services = {
  dynamodb: {
    name: 'DYNAMODB',
    endpoint: 'dynamodbEndpoint',
    read: (store: DynamoDBSessionStore, n: number) => store.get(`${n}`),
  },
  kms: {
    name: 'KMS',
    endpoint: 'kmsEndpoint',
    read: (store: DynamoDBSessionStore, n: number) => store.set(`${n}`, { cookie: {} }),
  },
} as const;

describe('retries', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  /** How many requests of a service the server has got. */
  const received = async (service: string) => {
    const calls = Object.entries(await backend.aws.calls());
    return calls.filter(([action]) => action.startsWith(`${service}:`)).reduce((sum, [, count]) => sum + count, 0);
  };
  /**
   * A store with clients of its own, so with retries of its own: the deadlines are part of a client's settings. It reads sessions one by one, so that
   * requests can be counted.
   */
  let settings = 0;
  const newStore = (options: SessionStoreConfig = {}, timeouts: SessionStoreConfig['timeouts'] = {}) =>
    backend.store({ batchReads: false, ...options, timeouts: { ...timeouts, callMillis: 20_000 + settings++ } });

  it('of reads that arrive together cost no more', async () => {
    const store = newStore({ batchReads: true });
    await backend.aws.fault({ action: 'dynamodb:*', status: 500, code: 'InternalServerError' });
    await backend.aws.reset();
    await outage((n) => store.get(`${n}`), 'ERR_DYNAMODB_UNAVAILABLE');
    const sent = await received('dynamodb');
    assert.ok(store.stats().batchReads.requests > 0);
    assert.ok(sent <= COST * CALLS, `${sent} requests`);
    await backend.aws.clearFaults();
  });

  for (const [service, { name, endpoint, read }] of Object.entries(services)) {
    const unavailable = `ERR_${name}_UNAVAILABLE` as SessionStoreErrorCode;
    const throttled = `ERR_${name}_THROTTLED` as SessionStoreErrorCode;
    const requests = (store: DynamoDBSessionStore) => store.stats().requests[service as keyof typeof services];

    describe(`of ${service}`, () => {
      const faults = [
        [500, 'InternalServerError', unavailable],
        [503, 'ServiceUnavailable', unavailable],
        [400, 'ThrottlingException', throttled],
      ] as const;
      for (const [status, code, failure] of faults) {
        it(`cost at most ${COST} requests a call while every one is answered ${status} ${code}`, async () => {
          const store = newStore();
          await backend.aws.fault({ action: `${service}:*`, status, code });
          await backend.aws.reset();
          await outage((n) => read(store, n), failure);
          const sent = await received(service);
          assert.ok(sent <= COST * CALLS, `${sent} requests`);
          assert.deepEqual([sent, requests(store)], [CALLS + RETRIES, { sent, retries: RETRIES }]);
          await backend.aws.clearFaults();
        });

        it(`follow ${status} ${code} twice, and the call succeeds`, async () => {
          for (const [times, succeeds] of [
            [1, true],
            [2, true],
            [3, false],
          ] as const) {
            const store = newStore();
            await backend.aws.fault({ action: `${service}:*`, status, code, times });
            await backend.aws.reset();
            if (succeeds) await read(store, 0);
            else await failing(read(store, 0), failure);
            const sent = Math.min(times + 1, 3);
            assert.deepEqual(requests(store), { sent, retries: sent - 1 });
            assert.equal(await received(service), sent);
          }
        });
      }

      it(`cost at most ${COST} requests a call while every connection is reset`, async () => {
        const server = await startResetting();
        try {
          const store = newStore({ [endpoint]: server.url });
          await outage((n) => read(store, n), unavailable);
          assert.ok(server.connections() <= COST * CALLS, `${server.connections()} requests`);
          assert.equal(server.connections(), CALLS + RETRIES);
        } finally {
          await server.close();
        }
      });

      it(`cost at most ${COST} requests a call while nothing is answered`, async () => {
        const server = await startSilent();
        try {
          const store = newStore({ [endpoint]: server.url }, { attemptMillis: 20 });
          await outage((n) => read(store, n), unavailable);
          assert.deepEqual(requests(store), { sent: CALLS + RETRIES, retries: RETRIES });
        } finally {
          await server.close();
        }
      });

      it('do not follow an answer that the next one would repeat', async () => {
        for (const code of [
          'ValidationException',
          'AccessDeniedException',
          'UnrecognizedClientException',
          'SomethingNewException',
        ]) {
          const store = newStore();
          await backend.aws.fault({ action: `${service}:*`, status: 400, code });
          await assert.rejects(read(store, 0));
          assert.deepEqual(requests(store), { sent: 1, retries: 0 });
          await backend.aws.clearFaults();
        }
      });

      it('are earned by calls that succeed at once, ten for one', async () => {
        const store = newStore();
        await backend.aws.fault({ action: `${service}:*`, status: 500, code: 'InternalServerError' });
        await outage((n) => read(store, n), unavailable);
        const failsAtOnce = async () => {
          const { sent } = requests(store);
          await failing(read(store, 0), unavailable);
          return requests(store).sent === sent + 1;
        };
        assert.ok(await failsAtOnce(), 'retries are left after the outage');
        await backend.aws.clearFaults();
        for (let n = 0; n < 20; n++) await read(store, CALLS + n);
        await backend.aws.fault({ action: `${service}:*`, status: 500, code: 'InternalServerError' });
        assert.ok(!(await failsAtOnce()), 'no retry was earned');
        await backend.aws.clearFaults();
      });

      it('that an outage has used up are not those of another client', async () => {
        const [store, other] = [newStore(), newStore()];
        await backend.aws.fault({ action: `${service}:*`, status: 500, code: 'InternalServerError' });
        await outage((n) => read(store, n), unavailable);
        await backend.aws.clearFaults();
        await backend.aws.fault({ action: `${service}:*`, status: 500, code: 'InternalServerError', times: 2 });
        await read(other, 0);
        assert.deepEqual(requests(other), { sent: 3, retries: 2 });
      });
    });
  }

  describe('and what a throttling service says', () => {
    const answering = async (headers: Record<string, string>, body: object) => {
      const common = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': '0'.repeat(52) };
      const server = await startAnswering(400, { ...common, ...headers }, JSON.stringify(body));
      try {
        return await failing(newStore({ dynamodbEndpoint: server.url }).get('sid'), 'ERR_DYNAMODB_THROTTLED');
      } finally {
        await server.close();
      }
    };
    const throttling = { __type: 'com.amazonaws.dynamodb.v20120810#ThrottlingException', message: 'slow down' };

    it('of waiting is retryAfterMillis', async () => {
      assert.equal((await answering({}, throttling)).retryAfterMillis, undefined);
      assert.ok(!('retryAfterMillis' in (await answering({}, throttling))));
      assert.equal((await answering({ 'x-amz-retry-after': '250' }, throttling)).retryAfterMillis, 250);
      assert.equal((await answering({ 'retry-after': '3' }, throttling)).retryAfterMillis, 3000);
      assert.equal((await answering({ 'retry-after': '3', 'x-amz-retry-after': '250' }, throttling)).retryAfterMillis, 250);
      for (const unusable of ['soon', '-1', '1e3', 'Wed, 21 Oct 2026 07:28:00 GMT']) {
        assert.equal((await answering({ 'retry-after': unusable }, throttling)).retryAfterMillis, undefined);
      }
    });

    it('of waiting longer than a request can is told, and not waited for', async () => {
      const error = await answering({ 'x-amz-retry-after': '3600000' }, throttling);
      assert.equal(error.retryAfterMillis, 3_600_000);
    });

    it('of its reasons is in the cause', async () => {
      const throttlingReasons = [
        { reason: 'TableReadKeyRangeThroughputExceeded', resource: 'arn:aws:dynamodb:us-east-1:1:table/t' },
      ];
      const error = await answering({}, { ...throttling, throttlingReasons });
      assert.match(error.cause!.message, /slow down.*TableReadKeyRangeThroughputExceeded/);
    });
  });
});
