// The metrics that connect-dynamodb-kms/opentelemetry makes, with OpenTelemetry's own SDK.

import '../support/telemetry.ts';
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, quiet, startAws } from '../support/backends.ts';
import { databaseAttributes, exporter, meters, observing } from '../support/telemetry.ts';

const SID = 'a session id that must not show anywhere';
const DURATION = 'db.client.operation.duration';

describe('OpenTelemetry, its metrics', () => {
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

  it('has the duration of calls as the conventions say', async (t) => {
    const { meterProvider, metric, histogram } = meters();
    observing(t, { meterProvider });
    await store.set(SID, { cookie: {} });
    for (let i = 0; i < 3; i++) await store.get(SID);
    await backend.aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'AccessDeniedException', times: 1 });
    await store.get(SID).catch(() => {});
    const { descriptor } = (await metric(DURATION))!;
    assert.equal(descriptor.unit, 's');
    const points = await histogram(DURATION);
    const counts = points.map((point) => [point.attributes, point.value.count]);
    assert.deepEqual(counts, [
      [databaseAttributes('set'), 1],
      [databaseAttributes('get'), 3],
      [{ ...databaseAttributes('get'), 'error.type': 'ERR_ACCESS_DENIED' }, 1],
    ]);
    for (const { value } of points) assert.deepEqual(value.buckets.boundaries, [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]);
  });

  it("counts failures by error.type, the requests as the store's own counters do, and uses of cached keys", async (t) => {
    const { meterProvider, counts } = meters();
    observing(t, { meterProvider });
    await store.set(SID, { cookie: {} });
    await store.get(SID);
    await backend.store().get(SID);
    await backend.aws.fault({ action: 'dynamodb:GetItem', status: 500, code: 'InternalServerError', times: 1 });
    await store.get(SID); // repeated
    await backend.aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'AccessDeniedException', times: 1 });
    await store.get(SID).catch(() => {});
    await quiet(store);

    assert.deepEqual(await counts('connect_dynamodb_kms.errors'), [
      [{ ...databaseAttributes('get'), 'error.type': 'ERR_ACCESS_DENIED' }, 1],
    ]);

    const lookups = await counts('connect_dynamodb_kms.key_cache.lookups');
    const hits = (hit: boolean) => lookups.find(([found]) => found['connect_dynamodb_kms.key_cache.hit'] === hit)?.[1];
    assert.deepEqual([hits(true), hits(false)], [2, 2]);

    const stores = backend.stores.slice(backend.stores.indexOf(store));
    const own = { dynamodb: 0, kms: 0, retries: 0 };
    for (const { requests } of stores.map((one) => one.stats())) {
      own.dynamodb += requests.dynamodb.sent;
      own.kms += requests.kms.sent;
      own.retries += requests.dynamodb.retries + requests.kms.retries;
    }
    const requests = await counts('connect_dynamodb_kms.requests');
    const sum = (name: string, value: unknown) =>
      requests.filter(([found]) => found[`connect_dynamodb_kms.${name}`] === value).reduce((all, [, count]) => all + count, 0);
    assert.deepEqual({ dynamodb: sum('service', 'dynamodb'), kms: sum('service', 'kms'), retries: sum('retry', true) }, own);
    assert.equal(own.retries, 1);
    assert.deepEqual(
      requests.filter(([found]) => found['http.response.status_code'] !== 200).map(([found]) => found),
      [500, 400].map((status) => ({
        'connect_dynamodb_kms.component': 'session-store',
        'connect_dynamodb_kms.service': 'dynamodb',
        'connect_dynamodb_kms.request': 'GetItem',
        'connect_dynamodb_kms.retry': false,
        'http.response.status_code': status,
      })),
    );
  });

  it('counts conflicts and leases', async (t) => {
    const { meterProvider, counts } = meters();
    observing(t, { meterProvider });
    await store.set(SID, { cookie: {}, n: 0 });
    let first = true;
    await store.update(SID, async (session) => {
      if (first) {
        first = false;
        const other = backend.store();
        await other.set(SID, { ...(await other.get(SID))!, other: true });
      }
      session.n = 1;
    });
    await store.withLock(SID, async () => {});
    const of = (operation: string) => ({ 'db.operation.name': operation, 'connect_dynamodb_kms.component': 'session-store' });
    assert.deepEqual(await counts('connect_dynamodb_kms.conflicts'), [
      [{ ...of('update'), 'connect_dynamodb_kms.resolution': 'retried' }, 1],
    ]);
    assert.deepEqual(await counts('connect_dynamodb_kms.lease.events'), [
      [{ ...of('withLock'), 'connect_dynamodb_kms.event': 'acquired' }, 1],
      [{ ...of('withLock'), 'connect_dynamodb_kms.event': 'released' }, 1],
    ]);
  });

  it('counts revocation checks', async (t) => {
    const { meterProvider, counts } = meters();
    observing(t, { meterProvider });
    const checked = backend.store({ keyCache: { revocationCheckSeconds: 1 } });
    await checked.set(SID, { cookie: {} });
    await backend.aws.fault({ action: 'kms:Decrypt', status: 400, code: 'DisabledException', message: 'disabled' });
    const isCounted = async () => (await counts('connect_dynamodb_kms.revocation_checks')).length > 0;
    for (const deadline = Date.now() + 60_000; Date.now() < deadline && !(await isCounted()); )
      await checked.get(SID).catch(() => {});
    const revoked = { 'connect_dynamodb_kms.component': 'session-store', 'connect_dynamodb_kms.outcome': 'revoked' };
    assert.deepEqual(await counts('connect_dynamodb_kms.revocation_checks'), [[revoked, 1]]);
  });
});
