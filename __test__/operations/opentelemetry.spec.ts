// connect-dynamodb-kms/opentelemetry with OpenTelemetry's own SDK: spans and metrics of calls, by the semantic conventions of databases.

import '../support/telemetry.ts';
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, type TestContext } from 'node:test';
import { metrics, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { createEnvelope, type DynamoDBSessionStore, SealedStore } from 'connect-dynamodb-kms';
import { observe } from 'connect-dynamodb-kms/opentelemetry';
import { type AwsBackend, quietLogger, startAws } from '../support/backends.ts';
import { Gate } from '../support/framework-apps.ts';
import { databaseAttributes, exporter, meters, observing, ours, tracerProvider } from '../support/telemetry.ts';

const SID = 'a session id that must not show anywhere';
const TABLE = 'sessions';
const DURATION = 'db.client.operation.duration';
const tracer = trace.getTracer('the application');

/** Everything that spans and metrics hold, as text. */
const shown = async (metrics: () => Promise<unknown>) =>
  JSON.stringify([
    exporter
      .getFinishedSpans()
      .map(({ name, attributes, status, events, links }) => ({ name, attributes, status, events, links })),
    await metrics(),
  ]);

describe('OpenTelemetry', () => {
  let backend: AwsBackend;
  let store: DynamoDBSessionStore;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  beforeEach(() => {
    store = backend.store();
  });
  afterEach(async () => {
    await backend.aws.clearFaults();
    exporter.reset();
  });

  describe('spans', () => {
    it('has one of each call, named and described as the conventions say', async (t) => {
      observing(t);
      await store.set(SID, { cookie: {}, user: 'ada' });
      await store.get(SID);
      await store.get('no such session');
      await store.destroy(SID);
      const [set, get, missing, destroy] = ours();
      assert.equal(ours().length, 4);
      assert.deepEqual(
        ours().map(({ name }) => name),
        [`set ${TABLE}`, `get ${TABLE}`, `get ${TABLE}`, `destroy ${TABLE}`],
      );
      for (const span of ours()) {
        assert.equal(span.kind, SpanKind.CLIENT);
        assert.equal(span.status.code, SpanStatusCode.UNSET);
        assert.deepEqual(span.events, []);
      }
      const session = set!.attributes['connect_dynamodb_kms.session'] as string;
      assert.match(session, /^[0-9a-f]{8}$/);
      const sent = (dynamodb: number, kms: number) => ({
        'connect_dynamodb_kms.requests.dynamodb': dynamodb,
        'connect_dynamodb_kms.requests.kms': kms,
      });
      assert.deepEqual(set!.attributes, {
        ...databaseAttributes('set'),
        ...sent(1, 1),
        'connect_dynamodb_kms.session': session,
        'connect_dynamodb_kms.key_cache.hit': false,
        'connect_dynamodb_kms.outcome': 'written',
      });
      assert.deepEqual(get!.attributes, {
        ...databaseAttributes('get'),
        ...sent(1, 0),
        'connect_dynamodb_kms.session': session,
        'connect_dynamodb_kms.key_cache.hit': true,
        'connect_dynamodb_kms.outcome': 'found',
      });
      assert.equal(missing!.attributes['connect_dynamodb_kms.outcome'], 'missing');
      assert.equal(missing!.attributes['connect_dynamodb_kms.key_cache.hit'], undefined);
      assert.equal(destroy!.attributes['connect_dynamodb_kms.outcome'], 'deleted');
    });

    it("has the error's code, AWS's name for it and the id of the request, but no detail", async (t) => {
      observing(t);
      const other = backend.store({ tableName: 'no-such-table' });
      const failed = await other.get(SID).catch((error) => error);
      assert.equal(failed.code, 'ERR_TABLE_NOT_FOUND');
      const [span] = ours();
      assert.deepEqual(span!.status, { code: SpanStatusCode.ERROR, message: failed.message });
      assert.equal(span!.attributes['error.type'], 'ERR_TABLE_NOT_FOUND');
      assert.equal(span!.attributes['connect_dynamodb_kms.cause'], 'ResourceNotFoundException');
      assert.equal(span!.attributes['aws.request_id'], failed.cause.requestId);
      assert.equal(span!.attributes['connect_dynamodb_kms.outcome'], undefined);
      assert.deepEqual(span!.events, []);
    });

    for (const { thrown, type } of [
      { thrown: new RangeError('a secret'), type: 'RangeError' },
      { thrown: Object.assign(new Error('a secret'), { name: 'a secret' }), type: '_OTHER' },
      { thrown: 'a secret', type: '_OTHER' },
      { thrown: undefined, type: '_OTHER' },
    ])
      it(`calls what a caller's function throws ${type} (${typeof thrown} ${(thrown as any)?.name}), and keeps its text out`, async (t) => {
        const { meterProvider, metrics } = meters();
        observing(t, { meterProvider });
        await store.set(SID, { cookie: {} });
        const fail = () => {
          throw thrown;
        };
        await store.update(SID, fail).then(
          () => assert.fail('it must fail'),
          () => {},
        );
        const span = ours().at(-1)!;
        assert.deepEqual(span.status, { code: SpanStatusCode.ERROR });
        assert.equal(span.attributes['error.type'], type);
        assert.doesNotMatch(await shown(metrics), /a secret/);
      });

    it('never shows a session id, nor a user', async (t) => {
      const { meterProvider, metrics } = meters();
      observing(t, { meterProvider });
      await store.set(SID, { cookie: {}, user: 'ada' });
      await store.update(SID, (session) => {
        session.user = 'grace';
      });
      await store.withLock(SID, async () => {});
      await backend.store({ onConflict: 'error' }).get(SID);
      await store.destroy(SID);
      await createOther(t).get(SID);
      const text = await shown(metrics);
      assert.match(text, /connect_dynamodb_kms\.session/);
      assert.doesNotMatch(text, /a session id|ada|grace/);
    });

    /** A store whose calls fail. */
    const createOther = (t: TestContext) => {
      const other = backend.store({ tableName: 'no-such-table' });
      t.after(() => other.close());
      return { get: (sid: string) => other.get(sid).catch(() => {}) };
    };

    it('ends when the call is answered, and not before', async (t) => {
      observing(t);
      await store.set(SID, { cookie: {} });
      const gate = new Gate();
      const updating = store.update(SID, () => gate.wait());
      await gate.reached;
      assert.deepEqual(
        ours().map(({ name }) => name),
        [`set ${TABLE}`],
      );
      gate.open();
      await updating;
      assert.equal(ours().at(-1)!.name, `update ${TABLE}`);
    });

    it('does not count what the callback of a call does', async (t) => {
      const { meterProvider, histogram } = meters();
      observing(t, { meterProvider });
      const began = performance.now();
      let busy = 0;
      await new Promise<void>((resolve) => {
        store.get(SID, () => {
          const start = performance.now();
          const whole = start - began;
          while (performance.now() - start < 2 * whole + 50); // longer than the call can have taken
          busy = performance.now() - start;
          setImmediate(resolve);
        });
      });
      const [span] = ours();
      const [seconds, nanoseconds] = span!.duration;
      assert.ok(seconds * 1000 + nanoseconds / 1e6 < busy);
      const [{ value }] = (await histogram(DURATION)) as any;
      assert.ok(value.sum * 1000 < busy);
      assert.ok(Math.abs(value.sum - seconds - nanoseconds / 1e9) < 0.002, 'as long as the span');
    });

    it('of sealed stores have their component, those of envelopes no database', async (t) => {
      observing(t);
      const logger = quietLogger();
      const { tableName, dynamodbEndpoint, kmsEndpoint } = backend.config;
      const codes = new SealedStore<{ user: string }>({ logger, prefix: 'code:', tableName, dynamodbEndpoint, kmsEndpoint });
      t.after(() => codes.close());
      await codes.put('c', { user: 'ada' }, { ttlSeconds: 60 });
      const envelope = createEnvelope({ logger, kmsEndpoint });
      t.after(() => envelope.close());
      await envelope.encrypt('text');
      const [put, encrypt] = ours();
      assert.equal(put!.name, `put ${TABLE}`);
      assert.equal(put!.attributes['connect_dynamodb_kms.component'], 'sealed-store');
      assert.equal(encrypt!.name, 'encrypt');
      assert.equal(encrypt!.attributes['connect_dynamodb_kms.operation'], 'encrypt');
      assert.equal(encrypt!.attributes['connect_dynamodb_kms.requests.kms'], 1);
      assert.deepEqual(
        Object.keys(encrypt!.attributes).filter((name) => name.startsWith('db.')),
        [],
      );
    });
  });

  describe('stop()', () => {
    it('ends it, but calls that run end their spans', async () => {
      const { meterProvider, histogram, counts } = meters();
      await store.set(SID, { cookie: {} });
      const observation = observe({ meterProvider });
      const gate = new Gate();
      const updating = store.update(SID, () => gate.wait());
      await gate.reached;
      observation.stop();
      observation.stop();
      const requests = await counts('connect_dynamodb_kms.requests');
      await store.get(SID);
      assert.deepEqual(ours(), []);
      assert.equal(requests.length, 1);
      assert.deepEqual(await counts('connect_dynamodb_kms.requests'), requests);
      gate.open();
      await updating;
      await store.get(SID);
      assert.deepEqual(
        ours().map(({ name }) => name),
        [`update ${TABLE}`],
      );
      assert.equal((await histogram(DURATION)).length, 1);
    });
  });

  describe('called again', () => {
    it('counts no call twice with the same providers, and goes on until all have stopped', async () => {
      const { meterProvider, histogram } = meters();
      const observations = [observe({ meterProvider }), observe({ meterProvider })];
      await store.get(SID);
      assert.equal(ours().length, 1);
      assert.equal((await histogram(DURATION))[0]!.value.count, 1);
      observations[0]!.stop();
      observations[0]!.stop();
      await store.get(SID);
      assert.equal(ours().length, 2);
      observations[1]!.stop();
      await store.get(SID);
      assert.equal(ours().length, 2);
      const again = observe({ meterProvider });
      await store.get(SID);
      again.stop();
      assert.equal(ours().length, 3);
    });

    it('serves other providers as well', async (t) => {
      const [first, second] = [meters(), meters()];
      observing(t, { meterProvider: first.meterProvider });
      observing(t, { meterProvider: second.meterProvider });
      await store.get(SID);
      for (const { histogram } of [first, second]) assert.equal((await histogram(DURATION))[0]!.value.count, 1);
    });
  });

  it('takes providers, and refuses what is none', () => {
    for (const options of [{ tracerProvider: {} }, { meterProvider: null }, { tracer }, { tracerProvider: tracer }])
      assert.throws(() => observe(options as any), TypeError);
  });

  // Last, because it replaces the global providers.
  it('works where the SDK is started after it', async (t) => {
    trace.disable();
    metrics.disable();
    const { meterProvider, histogram } = meters();
    observing(t);
    await store.get(SID);
    assert.deepEqual(ours(), []);
    trace.setGlobalTracerProvider(tracerProvider);
    metrics.setGlobalMeterProvider(meterProvider);
    await store.get(SID);
    assert.equal(ours().length, 1);
    assert.equal((await histogram(DURATION))[0]?.value.count, 1);
  });
});
