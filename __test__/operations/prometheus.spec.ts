// connect-dynamodb-kms/prometheus with prom-client: what a scrape finds is what stats() counts.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createEnvelope, type DynamoDBSessionStore, LATENCY_BUCKETS, SealedStore } from 'connect-dynamodb-kms';
import { collect } from 'connect-dynamodb-kms/prometheus';
import { AggregatorRegistry, Counter, register as globalRegister, type OpenMetricsContentType, Registry } from 'prom-client';
import { type AwsBackend, quiet, quietLogger, startAws, startLocal } from '../support/backends.ts';
import { Gate } from '../support/framework-apps.ts';
import { startHttp } from '../support/http-server.ts';
import { type Family, parse } from '../support/prometheus-text.ts';

const PREFIX = 'connect_dynamodb_kms_';

/** Scrapes a registry as Prometheus does: over HTTP. */
async function served(t: TestContext, register: Registry) {
  const server = await startHttp(async (_request, response) => {
    response.setHeader('content-type', register.contentType);
    response.end(await register.metrics());
  });
  t.after(() => server.close());
  return server;
}

async function scrape(register: Registry): Promise<Map<string, Family>> {
  return parse(await register.metrics());
}

/** The values of a metric by the values of a label. */
function by(families: Map<string, Family>, name: string, label: string): Record<string, number> {
  const samples = families.get(PREFIX + name)?.samples ?? assert.fail(`no ${name}`);
  return Object.fromEntries(samples.map(({ labels, value }) => [labels[label]!, value]));
}

function one(families: Map<string, Family>, name: string): number {
  const samples = families.get(PREFIX + name)?.samples ?? assert.fail(`no ${name}`);
  assert.deepEqual([samples.length, samples[0]?.labels], [1, {}], name);
  return samples[0]!.value;
}

describe('Prometheus', () => {
  let backend: AwsBackend;
  let store: DynamoDBSessionStore;
  let register: Registry;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  beforeEach(() => {
    store = backend.store();
    register = new Registry();
  });

  /** Calls of many outcomes. */
  async function use(used: DynamoDBSessionStore): Promise<void> {
    await used.set('a', { cookie: {}, user: 'ada' });
    await used.get('a');
    await used.get('missing');
    await used.update('a', (session) => {
      session.user = 'grace';
    });
    await used.withLock('a', async () => {});
    await used.refresh('a', {
      isFresh: () => false,
      refresh: (session: any) => {
        session.token = 1;
      },
    });
    await used.destroy('a');
    await backend.aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'AccessDeniedException', times: 1 });
    await used.get('a').catch(() => {});
    await quiet(used);
  }

  it('gives the counters of a store, over HTTP', async (t) => {
    collect(store, { register });
    await use(store);
    const { url } = await served(t, register);
    const reply = await fetch(url);
    assert.match(reply.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/);
    const found = parse(await reply.text());
    const stats = store.stats();

    const calls = found.get(`${PREFIX}calls_total`)!.samples;
    for (const [operation, { count, errors, outcomes }] of Object.entries(stats.operations)) {
      const own = calls.filter(({ labels }) => labels['operation'] === operation);
      const values = Object.fromEntries(own.map(({ labels, value }) => [labels['outcome'], value]));
      assert.deepEqual(values, { ...outcomes, error: errors }, operation);
      assert.equal(
        own.reduce((sum, { value }) => sum + value, 0),
        count,
      );
    }
    assert.equal(calls.find(({ labels }) => labels['operation'] === 'get' && labels['outcome'] === 'error')!.value, 1);

    const { ERR_ACCESS_DENIED, ...others } = by(found, 'call_errors_total', 'code');
    assert.equal(ERR_ACCESS_DENIED, 1);
    assert.equal(others['ERR_KMS_THROTTLED'], 0, 'what has not happened yet is there');
    assert.deepEqual(new Set(Object.values(others)), new Set([0]));
    assert.deepEqual(by(found, 'requests_total', 'service'), {
      dynamodb: stats.requests.dynamodb.sent,
      kms: stats.requests.kms.sent,
    });
    assert.deepEqual(by(found, 'request_retries_total', 'service'), { dynamodb: 0, kms: 0 });
    assert.deepEqual(by(found, 'calls_in_flight', 'kind'), { call: 0, task: 0 });
    const { conflicts, ...sessions } = stats.sessions;
    assert.deepEqual(by(found, 'sessions_total', 'outcome'), sessions);
    assert.equal(one(found, 'conflicts_total'), conflicts);
    const { run, joined, adopted } = stats.refreshes;
    assert.deepEqual([run, by(found, 'refreshes_total', 'outcome')], [1, { run, joined, adopted }]);
    assert.deepEqual(by(found, 'lease_events_total', 'event'), stats.leases);
    assert.deepEqual(
      ['keys', 'hits_total', 'misses_total', 'loads_total', 'load_failures_total', 'evictions_total'].map((name) =>
        one(found, `key_cache_${name}`),
      ),
      [
        stats.keyCache.entries,
        stats.keyCache.hits,
        stats.keyCache.misses,
        stats.keyCache.loads,
        stats.keyCache.loadFailures,
        stats.keyCache.evictions,
      ],
    );
    assert.deepEqual(by(found, 'revocation_checks_total', 'outcome'), { usable: 0, revoked: 0, unknown: 0 });
  });

  it('has a histogram of seconds for each method', async () => {
    collect(store, { register });
    await use(store);
    const found = (await scrape(register)).get(`${PREFIX}call_duration_seconds`)!;
    const of = (operation: string, suffix: string) =>
      found.samples.filter(({ name, labels }) => name.endsWith(suffix) && labels['operation'] === operation);
    const { count, milliseconds } = store.stats().operations['get']!;
    const bounds = [...LATENCY_BUCKETS.map((bound) => String(bound / 1000)), '+Inf'];
    assert.deepEqual(
      of('get', '_bucket').map(({ labels }) => labels['le']),
      bounds,
    );
    assert.equal(of('get', '_count')[0]!.value, count);
    assert.equal(of('get', '_sum')[0]!.value, milliseconds.sum / 1000);
    let sum = 0;
    const cumulative = milliseconds.buckets.map((inBucket: number) => (sum += inBucket));
    assert.deepEqual(
      of('get', '_bucket').map(({ value }) => value),
      cumulative,
    );
  });

  it('reads the counters when it is scraped, once for all metrics', async () => {
    let reads = 0;
    const { stats } = store;
    store.stats = () => {
      reads++;
      return stats();
    };
    collect(store, { register });
    assert.equal(reads, 0);
    for (let scrapes = 1; scrapes <= 3; scrapes++) {
      await store.get('a');
      const found = await scrape(register);
      assert.equal(
        found.get(`${PREFIX}calls_total`)!.samples.find(({ labels }) => labels['outcome'] === 'missing')!.value,
        scrapes,
      );
      assert.equal(reads, scrapes);
    }
  });

  it('shows calls while they run', async () => {
    collect(store, { register });
    await store.set('a', { cookie: {} });
    const [updating, locked] = [new Gate(), new Gate()];
    const calls = [store.update('a', () => updating.wait()), store.withLock('a', () => locked.wait())];
    await Promise.all([updating.reached, locked.reached]);
    assert.deepEqual(by(await scrape(register), 'calls_in_flight', 'kind'), { call: 1, task: 1 });
    updating.open();
    locked.open();
    await Promise.all(calls);
  });

  it('gives the same names for other kinds of stores, without what they do not count', async (t) => {
    const { tableName, dynamodbEndpoint, kmsEndpoint } = backend.config;
    const items = new SealedStore({ logger: quietLogger(), prefix: 'code:', tableName, dynamodbEndpoint, kmsEndpoint });
    const envelope = createEnvelope({ logger: quietLogger(), kmsEndpoint });
    t.after(() => Promise.all([items.close(), envelope.close()]));
    collect(items, { register, labels: { store: 'items' } });
    collect(envelope, { register, labels: { store: 'envelope' } });
    await items.put('a', 1);
    await items.take('a');
    await envelope.encrypt('text');
    const found = await scrape(register);
    const of = (name: string, label: string, kind: string) => {
      const samples = found.get(PREFIX + name)!.samples.filter(({ labels }) => labels['store'] === kind);
      return Object.fromEntries(samples.map(({ labels, value }) => [labels[label], value]));
    };
    assert.deepEqual(of('items_total', 'outcome', 'items'), { written: 1, taken: 1 });
    assert.deepEqual(of('items_total', 'outcome', 'envelope'), {});
    assert.deepEqual(found.get(`${PREFIX}sessions_total`)!.samples, []);
    assert.deepEqual(Object.keys(of('requests_total', 'service', 'envelope')), ['kms']);
    assert.equal(of('requests_total', 'service', 'envelope')['kms'], 1);
  });

  it('tells stores of one registry apart by their labels', async () => {
    const other = backend.store();
    collect(store, { register, labels: { store: 'a "quoted"\nname' } });
    collect(other, { register, labels: { store: 'b', shard: 1 } });
    await store.get('x');
    const found = await scrape(register);
    const misses = found.get(`${PREFIX}calls_total`)!.samples.filter(({ labels }) => labels['outcome'] === 'missing');
    assert.deepEqual(
      misses.filter(({ value }) => value > 0).map(({ labels }) => labels),
      [{ store: 'a "quoted"\nname', operation: 'get', outcome: 'missing' }],
    );
    assert.deepEqual(
      found.get(`${PREFIX}key_cache_keys`)!.samples.map(({ labels }) => labels),
      [{ store: 'a "quoted"\nname' }, { store: 'b', shard: '1' }],
    );
  });

  it('refuses a second store with the same labels, until the first is closed or stopped', async () => {
    const labels = { store: 'sessions', zone: 'a' };
    const first = collect(store, { register, labels });
    assert.throws(() => collect(backend.store(), { register, labels: { zone: 'a', store: 'sessions' } }), /same labels/);
    first.stop();
    const second = backend.store();
    collect(second, { register, labels });
    await second.close();
    collect(backend.store(), { register, labels });
    assert.equal((await scrape(register)).get(`${PREFIX}key_cache_keys`)!.samples.length, 1);
  });

  it('leaves out what is stopped or closed, and takes the metrics out with the last stop', async () => {
    const [closed, stopped] = [backend.store(), backend.store()];
    collect(closed, { register, labels: { store: 'closed' } });
    const collection = collect(stopped, { register, labels: { store: 'stopped' } });
    const last = collect(store, { register, labels: { store: 'left' } });
    const stores = async () =>
      (await scrape(register)).get(`${PREFIX}key_cache_keys`)?.samples.map(({ labels }) => labels['store']);
    assert.deepEqual(await stores(), ['closed', 'stopped', 'left']);
    await closed.close();
    assert.deepEqual(await stores(), ['stopped', 'left']);
    collection.stop();
    collection.stop();
    assert.deepEqual(await stores(), ['left']);
    last.stop();
    assert.deepEqual(register.getMetricsAsArray(), []);
    collect(store, { register });
    assert.deepEqual(await stores(), [undefined]);
  });

  it('keeps a store that nothing else refers to until it is closed', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const local = await startLocal();
    const { DynamoDBSessionStore } = await import('connect-dynamodb-kms');
    const make = () => {
      const store = new DynamoDBSessionStore({ logger: quietLogger(), recordVersion: 2, ...local.config });
      collect(store, { register });
      return new WeakRef(store);
    };
    const reference = make();
    for (let turns = 0; turns < 10; turns += 1) {
      await wait(1); // what was looked at is kept until the end of the turn
      collectGarbage();
    }
    const samples = async () => (await scrape(register)).get(`${PREFIX}key_cache_keys`)!.samples.length;
    assert.equal(await samples(), 1);
    await reference.deref()!.close();
    assert.equal(await samples(), 0);
    await local.stop();
  });

  it('is in the global registry by default, and again after that was cleared', async (t) => {
    t.after(() => globalRegister.clear());
    collect(store);
    globalRegister.clear();
    collect(backend.store(), { labels: { store: 'second' } });
    assert.equal((await scrape(globalRegister)).get(`${PREFIX}key_cache_keys`)!.samples.length, 2);
    globalRegister.resetMetrics();
    assert.equal((await scrape(globalRegister)).get(`${PREFIX}key_cache_keys`)!.samples.length, 2);
  });

  it("has the registry's default labels, and adds up over the workers of a cluster", async () => {
    const workers = [register, new Registry()];
    for (const worker of workers) {
      worker.setDefaultLabels({ app: 'gateway' });
      const own = backend.store();
      collect(own, { register: worker });
      await own.get('nobody');
    }
    const json = await Promise.all(workers.map((worker) => worker.getMetricsAsJSON()));
    const found = await scrape(AggregatorRegistry.aggregate(json));
    const missing = found.get(`${PREFIX}calls_total`)!.samples.filter(({ labels }) => labels['outcome'] === 'missing');
    assert.deepEqual(missing, [
      { name: `${PREFIX}calls_total`, labels: { operation: 'get', outcome: 'missing', app: 'gateway' }, value: 2 },
    ]);
    const count = found.get(`${PREFIX}call_duration_seconds`)!.samples.find(({ name }) => name.endsWith('_count'));
    assert.equal(count!.value, 2);
  });

  it('has the names that OpenMetrics wants', async () => {
    const open = new Registry<OpenMetricsContentType>();
    open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    collect(store, { register: open });
    for (let scrapes = 0; scrapes < 2; scrapes++) {
      const text = await open.metrics();
      assert.match(text, /^# TYPE connect_dynamodb_kms_requests counter$/m);
      assert.match(text, /^connect_dynamodb_kms_requests_total\{service="kms"\} 0$/m);
      assert.ok(text.endsWith('# EOF\n'));
      collect(backend.store(), { register: open, labels: { store: `${scrapes}` } });
      assert.equal(text.match(/^# TYPE connect_dynamodb_kms_requests /gm)!.length, 1);
    }
  });

  it('refuses what it cannot use', () => {
    for (const [given, options] of [
      [undefined, {}],
      [{}, {}],
      [{ stats: () => ({}) }, {}],
      [store, { registry: register }],
      [store, { register: {} }],
      [store, { register, labels: null }],
      [store, { register, labels: { le: 'x' } }],
      [store, { register, labels: { operation: 'x' } }],
      [store, { register, labels: { 'no-label': 'x' } }],
      [store, { register, labels: { __name: 'x' } }],
      [store, { register, labels: { a: {} } }],
    ] as any)
      assert.throws(() => collect(given, options), TypeError, JSON.stringify(options));
    assert.deepEqual(register.getMetricsAsArray(), []);
    new Counter({ name: `${PREFIX}conflicts_total`, help: 'of somebody else', registers: [register] });
    assert.throws(() => collect(store, { register }), /already been registered/);
    assert.deepEqual(
      register.getMetricsAsArray().map(({ name }) => name),
      [`${PREFIX}conflicts_total`],
    );
  });
});
