// Reads that arrive together travel together, and none of them waits, fails or is mistaken for another because of that.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, quietLogger, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { type Oddity, OddServer } from '../support/odd-server.ts';
import { calls } from '../support/outcomes.ts';

const HEADERS = { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': '0'.repeat(52) };
const json = (body: (request: any) => unknown, status = 200): Oddity => {
  return (response, _answer, request) =>
    response.writeHead(status, HEADERS).end(JSON.stringify(body(JSON.parse(request.toString()))));
};
const SIDS = Array.from({ length: 20 }, (_, n) => `s${n}`);

describe('reads that arrive together', () => {
  let backend: AwsBackend;
  let server: OddServer;
  let store: DynamoDBSessionStore;
  before(async () => {
    backend = await startAws();
    server = await OddServer.start(backend.aws.dynamodb);
    const writer = backend.store();
    for (const sid of SIDS) await writer.set(sid, { name: sid });
  });
  after(async () => {
    await server.close();
    await backend.stop();
  });
  beforeEach(async () => {
    server.rules = [];
    store = backend.store({ dynamodbEndpoint: server.url });
    await store.get('s0'); // the first one waits for credentials
  });
  afterEach(async () => {
    await backend.aws.clearFaults();
    mock.timers.reset();
  });
  const names = async (sids: string[], by = store) =>
    (await Promise.all(sids.map((sid) => by.get(sid)))).map((found) => found?.name);
  /** As `names`, again until some of the reads have met: on a busy machine, each may be sent before the next one comes. */
  async function together(sids: string[], by = store) {
    const { requests } = by.stats().batchReads;
    let found: unknown[];
    do found = await names(sids, by);
    while (by.stats().batchReads.requests === requests);
    return found;
  }
  /** The BatchGetItem and GetItem requests of some work, and the reads that traveled together. */
  async function cost(work: () => unknown) {
    const reads = store.stats().batchReads.reads;
    const { 'dynamodb:BatchGetItem': batches = 0, 'dynamodb:GetItem': gets = 0 } = await calls(backend, work);
    return { batches, gets, together: store.stats().batchReads.reads - reads };
  }
  const oddly = (oddity: Oddity, times?: number) => {
    server.rules = [{ region: 'us-east-1', operation: 'BatchGetItem', oddity, forwards: false, times }];
  };

  it('are few requests, and each gets its own session', async () => {
    const sids = [...SIDS, 'none', 's3', 's3'];
    const {
      batches,
      gets,
      together: met,
    } = await cost(async () => {
      assert.deepEqual(await together(sids), [...SIDS, undefined, 's3', 's3']);
    });
    assert.equal((met + gets) % sids.length, 0);
    assert(batches + gets < met + gets, `${batches} batches, ${gets} alone`);
    assert.equal(store.stats().batchReads.requests, batches);
  });

  it('are read consistently, each id once, and at most 25 with one request', async () => {
    await backend.aws.reset();
    await together(Array.from({ length: 100 }, (_, n) => `s${n % 30}`));
    const requests = (await backend.aws.requests()).filter(({ action }) => action === 'dynamodb:BatchGetItem');
    assert(requests.length > 0);
    for (const { body } of requests) {
      const { Keys: keys, ConsistentRead: consistent } = body.RequestItems.sessions;
      const ids = keys.map((key: any) => key.sessionId.S);
      assert.equal(consistent, true);
      assert.equal(new Set(ids).size, ids.length);
      assert(ids.length <= 25, `${ids.length} ids`);
    }
  });

  it('one alone is a GetItem, and so is each with batchReads: false', async () => {
    assert.deepEqual(await cost(() => store.get('s1')), { batches: 0, gets: 1, together: 0 });
    store = backend.store({ batchReads: false });
    assert.deepEqual(await cost(() => names(SIDS)), { batches: 0, gets: 20, together: 0 });
    assert.deepEqual(store.stats().batchReads, { requests: 0, reads: 0, refused: false });
  });

  it('are asked one by one for what was left unprocessed', async () => {
    // Two of the keys are left out, and the rest is answered as if there were no such items.
    oddly(
      json(({ RequestItems: { sessions } }) => ({
        Responses: { sessions: [] },
        UnprocessedKeys: { sessions: { ...sessions, Keys: sessions.Keys.slice(0, 2) } },
      })),
      1,
    );
    const { gets } = await cost(async () => {
      const found = await together(SIDS);
      assert(found.filter((name) => name !== undefined).length >= 2);
    });
    assert(gets >= 2, `${gets} alone`);
  });

  const FAILURES: Record<string, Oddity> = {
    'an error': json(() => ({ __type: 'x#InternalServerError', message: 'no' }), 500),
    'an answer without items': json(() => ({})),
    'an answer without the table': json(() => ({ Responses: {}, UnprocessedKeys: {} })),
    'an item that nobody asked for': json(() => ({
      Responses: { sessions: [{ sessionId: { S: 's0x' } }] },
      UnprocessedKeys: {},
    })),
    'an item without a key': json(() => ({ Responses: { sessions: [{}] }, UnprocessedKeys: {} })),
  };
  for (const [what, oddity] of Object.entries(FAILURES)) {
    it(`are asked one by one after ${what}`, async () => {
      oddly(oddity);
      assert.deepEqual(await together([...SIDS, 'none']), [...SIDS, undefined]);
      assert(server.fired.length > 0);
      assert.equal(store.stats().batchReads.refused, false);
    });
  }

  for (const [code, status] of Object.entries({
    AccessDeniedException: 400,
    UnknownOperationException: 400,
    ValidationException: 400,
  })) {
    it(`are asked one by one for good after ${code}, with one line in the log`, async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() });
      const logger = quietLogger();
      store = backend.store({ dynamodbEndpoint: server.url, logger });
      await store.get('s0');
      oddly(json(() => ({ __type: `x#${code}`, message: 'no' }), status));
      assert.deepEqual(await together(SIDS), SIDS);
      assert.equal(store.stats().batchReads.refused, true);
      assert.deepEqual(await cost(() => names(SIDS)), { batches: 0, gets: 20, together: 0 });
      mock.timers.tick(61_000);
      await store.get('s1');
      await store.get('s1');
      const lines = logger.lines.filter((line) => line.includes('BatchGetItem'));
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, /batchReads/);
      assert.deepEqual(store.stats().errors, {});
    });
  }

  it('fail each by its own deadline if the server says nothing, and those that come later do not', async () => {
    store = backend.store({ dynamodbEndpoint: server.url, timeouts: { callMillis: 1500 } });
    await store.get('s0');
    oddly(() => {});
    const failed: PromiseRejectedResult[] = [];
    while (failed.length === 0) {
      const late = await Promise.allSettled(SIDS.map((sid) => store.get(sid)));
      failed.push(...(late.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]));
    }
    assert(failed.length > 1);
    for (const { reason } of failed) assert.equal(reason.code, 'ERR_DYNAMODB_UNAVAILABLE');
    server.rules = [];
    assert.deepEqual(await names(SIDS), SIDS);
  });

  it('say that they waited for credentials, if the one that sends them does', async (t) => {
    const path = join(await mkdtemp(join(tmpdir(), 'profile-')), 'config');
    t.after(() => rm(dirname(path), { recursive: true }));
    await writeFile(path, '[profile slow]\ncredential_process = sleep 3\n');
    process.env.AWS_CONFIG_FILE = path;
    t.after(() => delete process.env.AWS_CONFIG_FILE);
    const slow = backend.store({ dynamodbEndpoint: server.url, profile: 'slow', timeouts: { callMillis: 700 } });
    const late = await Promise.allSettled(SIDS.map((sid) => slow.get(sid)));
    assert.deepEqual([...new Set(late.map((result: any) => result.reason?.code))], ['ERR_CREDENTIALS']);
  });

  it('fail each by its own session', async () => {
    const strict = backend.store({ acceptVersions: [2], recordVersion: 2 });
    const writer = backend.store({ recordVersion: 2 });
    for (const sid of ['v2a', 'v2b']) await writer.set(sid, { name: sid });
    const [a, first, b, second] = await Promise.allSettled(['v2a', 's1', 'v2b', 's2'].map((sid) => strict.get(sid)));
    assert.deepEqual(
      [a, b].map((result: any) => result.value?.name),
      ['v2a', 'v2b'],
    );
    for (const result of [first, second] as any[]) assert.equal(result.reason?.code, 'ERR_VERSION');
    await failing(strict.get('s1'), 'ERR_VERSION');
  });
});
