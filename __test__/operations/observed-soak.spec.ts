// A soak with faults while OpenTelemetry and Prometheus look: what they count is what stats(), the callers and the servers count, exactly.
// SOAK_CALLS says how many calls are made, SOAK_SEED repeats what they are.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { createEnvelope, SealedStore } from 'connect-dynamodb-kms';
import { observe } from 'connect-dynamodb-kms/opentelemetry';
import { collect } from 'connect-dynamodb-kms/prometheus';
import { Registry } from 'prom-client';
import { quietLogger, startAws } from '../support/backends.ts';
import { LosingProxy } from '../support/losing-proxy.ts';
import { parse } from '../support/prometheus-text.ts';
import { Random } from '../support/random.ts';
import { meters } from '../support/telemetry.ts';

const CALLS = Number(process.env.SOAK_CALLS ?? 1000);
const SEED = Number(process.env.SOAK_SEED ?? 20_261);
const OWN = 'connect_dynamodb_kms';
type Counts = Record<string, number>;

function add(counts: Counts, key: string, by = 1): void {
  if (by) counts[key] = (counts[key] ?? 0) + by;
}

it('is counted alike by spans, metrics, stats(), Prometheus, the callers and the servers', { timeout: 600_000 }, async (t) => {
  const random = new Random(SEED);
  const backend = await startAws();
  const { aws } = backend;
  const dynamodb = await LosingProxy.start('dynamodb', aws.dynamodb, random);
  const kms = await LosingProxy.start('kms', aws.kms, random);

  let open = 0;
  const spans: Counts = {};
  const count = (span: ReadableSpan) => {
    const { [`${OWN}.component`]: component, [`${OWN}.outcome`]: outcome, 'error.type': error } = span.attributes;
    const operation = span.attributes['db.operation.name'] ?? span.attributes[`${OWN}.operation`];
    add(spans, `${component} ${operation} ${error === undefined ? outcome : `error ${error}`}`);
  };
  const exporter = {
    export: (ended: ReadableSpan[], done: (result: any) => void) => {
      for (const span of ended) count(span);
      done({ code: 0 });
    },
  };
  const noted = { onStart: () => void open++, onEnd: () => void open--, forceFlush: async () => {}, shutdown: async () => {} };
  const tracerProvider = new NodeTracerProvider({
    spanProcessors: [noted, new SimpleSpanProcessor({ ...exporter, shutdown: async () => {} })],
  });
  const { meterProvider, counts, histogram } = meters();
  const observation = observe({ tracerProvider, meterProvider });
  const register = new Registry();

  const limits = {
    keyCache: { revocationCheckSeconds: 1, maxSealsPerKey: 20, maxEntries: 10 },
    timeouts: { connectMillis: 20_000, attemptMillis: 30_000, callMillis: 60_000 }, // a slow machine loses no answers
    logger: quietLogger(),
  };
  const where = { tableName: 'sessions', dynamodbEndpoint: dynamodb.url, kmsEndpoint: kms.url, ...limits };
  const stores = [0, 1].map(() => backend.store({ ...where, touchAfter: 0 }));
  const items = new SealedStore({ ...where, prefix: 'code:' });
  const envelope = createEnvelope({ kmsEndpoint: kms.url, ...limits });
  const all: Array<[string, any]> = [
    ...stores.map((store): [string, any] => ['session-store', store]),
    ['sealed-store', items],
    ['envelope', envelope],
  ];
  for (const [index, [, store]] of all.entries()) collect(store, { register, labels: { store: String(index) } });
  t.after(async () => {
    observation.stop();
    await aws.clearFaults();
    await Promise.all([items.close(), envelope.close()]);
    await backend.stop();
    await Promise.all([dynamodb.close(), kms.close()]);
  });

  // What the callers see. They wait for promises: what goes on after the answer to a callback has no span.
  const seen: Counts = {};
  let made = 0;
  const call = async (index: number, operation: string, ...given: unknown[]): Promise<any> => {
    const [component, store] = all[index]!;
    made++;
    try {
      const result = await store[operation](...given);
      add(seen, `${component} ${operation} ok`);
      return result;
    } catch (error: any) {
      add(seen, `${component} ${operation} error ${error.code ?? error.name}`);
      return undefined;
    }
  };
  const change = (value: any) => {
    if (random.chance(0.05)) throw new RangeError('of the caller');
    value.n = random.next();
  };
  const session = () => ({ cookie: {}, n: random.next() });
  const kinds: Record<string, (id: string, index: number) => Promise<unknown>> = {
    get: (id, index) => call(index, 'get', id),
    together: (_, index) => Promise.all(Array.from({ length: 20 }, (_, n) => call(index, 'get', `s${n}`))),
    create: (id, index) => call(index, 'set', id, session()),
    change: async (id, index) => {
      const found = await call(index, 'get', id);
      if (found)
        await call(index, random.pick(['set', 'touch']), id, random.chance(0.7) ? Object.assign(found, { n: 1 }) : found);
    },
    update: (id, index) => call(index, 'update', id, change),
    lock: (id, index) => call(index, 'withLock', id, () => {}, { waitSeconds: 1, leaseSeconds: 10 }),
    refresh: (id, index) =>
      call(index, 'refresh', id, { isFresh: () => false, refresh: change, waitSeconds: 1, leaseSeconds: 10 }),
    remove: (id, index) => call(index, random.pick(['take', 'destroy']), id),
    wrong: (_, index) => call(index, 'get', ''),
    item: (id) => {
      const operation = random.pick(['put', 'put', 'get', 'update', 'take', 'delete']);
      return call(2, operation, id, ...(operation === 'put' ? [{ n: 1 }] : operation === 'update' ? [change] : []));
    },
    envelope: async () => {
      const sealed = await call(3, 'encrypt', 'text');
      if (sealed) await call(3, 'decrypt', sealed);
    },
  };
  const weights = {
    get: 8,
    together: 1,
    create: 6,
    change: 8,
    update: 8,
    lock: 3,
    refresh: 3,
    remove: 2,
    wrong: 1,
    item: 8,
    envelope: 4,
  };

  const lose = (share: number) => {
    for (const proxy of [dynamodb, kms]) proxy.share = share;
  };
  const faults = [
    () => aws.fault({ action: 'dynamodb:*', status: 400, code: 'ThrottlingException', times: 12 }),
    () => aws.fault({ action: 'dynamodb:*', status: 500, code: 'InternalServerError', times: 12 }),
    () => aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException', times: 2 }),
    () => aws.fault({ action: 'kms:*', status: 400, code: 'ThrottlingException', times: 6 }),
    () => aws.fault({ action: 'kms:*', status: 500, code: 'KMSInternalException', times: 6 }),
    () => aws.fault({ action: 'kms:Decrypt', status: 400, code: 'DisabledException', times: 1 }),
    () => lose(0.1),
    () => lose(0),
  ];
  // Whatever the storm comes to, there are reads that travel together, a lease and a conflict.
  for (let id = 0; id < 20; id++) await call(0, 'set', `s${id}`, session());
  while (!(await aws.calls())['dynamodb:BatchGetItem']) await kinds['together']!('', 0);
  await kinds['lock']!('s0', 0);
  const copies = [await call(0, 'get', 's0'), await call(1, 'get', 's0')];
  for (const [index, copy] of copies.entries()) await call(index, 'set', 's0', Object.assign(copy, { n: index }));

  let due = made;
  let turn = 0;
  const work = async () => {
    while (made < CALLS) {
      if (made >= due) {
        due = made + 60;
        await faults[turn++ % faults.length]!();
      }
      const kind = random.weighted(weights);
      await kinds[kind]!(`s${random.whole(0, 39)}`, random.whole(0, 1));
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
  lose(0);
  await aws.clearFaults();

  // Quiet: nothing is in flight, and revocation checks, which belong to no call, have ended as well.
  const sent = () => JSON.stringify(all.map(([, store]) => [store.stats().requests, store.stats().keyCache]));
  const busy = () => all.some(([, { stats }]) => stats().callsInFlight + (stats().tasksInFlight ?? 0) > 0);
  for (let before = ''; busy() || before !== sent(); await sleep(1500)) before = sent();

  const served = await aws.calls();
  const prometheus = parse(await register.metrics());
  const sample = (name: string, labels: Counts | Record<string, string>) =>
    prometheus
      .get(`${OWN}_${name}`)!
      .samples.filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value));
  const sum = (name: string, labels: Record<string, string>) => sample(name, labels).reduce((all, { value }) => all + value, 0);

  // Calls.
  assert.equal(open, 0, 'spans are open');
  const [bySpan, fromStats, fromProm, errors]: Counts[] = [{}, {}, {}, {}];
  for (const [index, [component, store]] of all.entries()) {
    const stats = store.stats();
    for (const [operation, { count, outcomes, errors: failed }] of Object.entries<any>(stats.operations)) {
      for (const [outcome, n] of Object.entries<number>(outcomes)) add(fromStats, `${component} ${operation} ${outcome}`, n);
      add(fromStats, `${component} ${operation} error`, failed);
      const of = sample('calls_total', { store: String(index), operation });
      for (const { labels, value } of of) add(fromProm, `${component} ${operation} ${labels['outcome']}`, value);
      const [ended] = sample('call_duration_seconds', { store: String(index), operation }).filter((s) =>
        s.name.endsWith('_count'),
      );
      assert.equal(ended!.value, count);
    }
    for (const [code, n] of Object.entries<number>(stats.errors)) {
      add(errors, `${component} ${code}`, n);
      assert.equal(sum('call_errors_total', { store: String(index), code }), n, code);
    }
  }
  const [spansAsSeen, spanErrors, ends]: Counts[] = [{}, {}, {}];
  for (const [key, n] of Object.entries(spans)) {
    const [component, operation, outcome, code] = key.split(' ');
    add(bySpan, `${component} ${operation} ${outcome}`, n);
    add(spansAsSeen, `${component} ${operation} ${outcome === 'error' ? `error ${code}` : 'ok'}`, n);
    add(ends, `${component} ${operation} ${outcome === 'error' ? code : ''}`, n);
    if (code?.startsWith('ERR_')) add(spanErrors, `${component} ${code}`, n);
  }
  assert.deepEqual(bySpan, fromStats, 'spans and stats()');
  assert.deepEqual(fromProm, fromStats, 'Prometheus and stats()');
  assert.deepEqual(spansAsSeen, seen, 'spans and callers');
  assert.deepEqual(spanErrors, errors, 'errors by code');
  const measured: Counts = {};
  for (const name of ['db.client.operation.duration', `${OWN}.envelope.operation.duration`])
    for (const { attributes: a, value } of await histogram(name))
      add(
        measured,
        `${a[`${OWN}.component`]} ${a['db.operation.name'] ?? a[`${OWN}.operation`]} ${a['error.type'] ?? ''}`,
        value.count,
      );
  assert.deepEqual(measured, ends, 'histograms and spans');

  // Requests: with a status, as the servers counted them; without, as the proxies lost them.
  const [answered, lost, perService, perStats]: Counts[] = [{}, {}, {}, {}];
  for (const [a, n] of (await counts(`${OWN}.requests`)) as Array<[any, number]>) {
    const service = a[`${OWN}.service`];
    add(a['http.response.status_code'] === undefined ? lost : answered, `${service}:${a[`${OWN}.request`]}`, n);
    add(perService, `${a[`${OWN}.component`]} ${service} sent`, n);
    if (a[`${OWN}.retry`]) add(perService, `${a[`${OWN}.component`]} ${service} retries`, n);
  }
  for (const [index, [component, store]] of all.entries())
    for (const [service, { sent, retries }] of Object.entries<any>(store.stats().requests)) {
      add(perStats, `${component} ${service} sent`, sent);
      add(perStats, `${component} ${service} retries`, retries);
      const labels = { store: String(index), service };
      assert.deepEqual([sum('requests_total', labels), sum('request_retries_total', labels)], [sent, retries]);
    }
  assert.deepEqual(perService, perStats, 'requests of OpenTelemetry and stats()');
  const [expected, broken]: Counts[] = [{ ...served }, {}];
  for (const { unsent, unanswered } of [dynamodb, kms]) {
    for (const [action, n] of Object.entries(unanswered)) add(expected, action, -n);
    for (const counted of [unsent, unanswered]) for (const [action, n] of Object.entries(counted)) add(broken, action, n);
  }
  assert.deepEqual(answered, expected, 'requests with an answer and those of the servers');
  assert.deepEqual(lost, broken, 'requests without an answer and those that were lost');

  // Conflicts and leases. stats() of a session store leaves out the conflicts after which update and refresh try again.
  const [conflicts, leases, toldConflicts, toldLeases]: Counts[] = [{}, {}, {}, {}];
  for (const [a, n] of (await counts(`${OWN}.conflicts`)) as Array<[any, number]>)
    if (a[`${OWN}.component`] !== 'session-store' || a[`${OWN}.resolution`] !== 'retried')
      add(conflicts, a[`${OWN}.component`], n);
  for (const [a, n] of (await counts(`${OWN}.lease.events`)) as Array<[any, number]>) add(leases, a[`${OWN}.event`], n);
  for (const [index, [component, store]] of all.entries()) {
    const { sessions, items: sealed, leases: own, keyCache } = store.stats();
    add(toldConflicts, component, (sessions ?? sealed)?.conflicts ?? 0);
    for (const [event, n] of Object.entries<number>(own ?? {})) add(toldLeases, event, n);
    const labels = { store: String(index) };
    assert.deepEqual(
      [sum('key_cache_hits_total', labels), sum('key_cache_misses_total', labels)],
      [keyCache.hits, keyCache.misses],
    );
  }
  const { acquired = 0, released = 0, ...troubled } = leases;
  assert.deepEqual(conflicts, toldConflicts);
  assert.deepEqual(troubled, toldLeases);
  if (!troubled['lost']) assert.equal(acquired, released + (troubled['notReleased'] ?? 0));

  // The faults have happened.
  for (const some of [lost, conflicts, spanErrors]) assert.ok(Object.keys(some).length > 0);
  assert.ok(served['dynamodb:BatchGetItem']! > 0 && acquired > 0);
  t.diagnostic(JSON.stringify({ made, spanErrors, perStats, lost, leases, conflicts }));
});
