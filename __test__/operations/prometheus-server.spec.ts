// A real Prometheus scrapes a store's metrics, where there is one: PROMETHEUS names the program.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { collect } from 'connect-dynamodb-kms/prometheus';
import { Registry } from 'prom-client';
import { startAws } from '../support/backends.ts';
import { startHttp } from '../support/http-server.ts';
import { PROMETHEUS, PrometheusServer } from '../support/prometheus-server.ts';

describe('Prometheus itself', () => {
  it('scrapes, and computes what a dashboard asks for', { skip: !PROMETHEUS && 'PROMETHEUS names no program' }, async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const store = backend.store();
    const register = new Registry();
    collect(store, { register, labels: { store: 'sessions' } });
    await store.set('a', { cookie: {} });
    for (let i = 0; i < 5; i++) await store.get('a');
    const server = await startHttp(async (_request, response) => {
      response.setHeader('content-type', register.contentType);
      response.end(await register.metrics());
    });
    t.after(() => server.close());
    const prometheus = await PrometheusServer.start(server.url, 'groups: []');
    t.after(() => prometheus.stop());
    const query = async (expression: string) => (await prometheus.query(expression)).map(({ value }) => Number(value[1]));
    const until = async (expression: string) => {
      for (const deadline = Date.now() + 120_000; Date.now() < deadline; await wait(50)) {
        const values = await query(expression);
        if (values.length > 0) return values;
      }
      return assert.fail(`${expression} has no value`);
    };
    const { operations, requests } = store.stats();
    assert.deepEqual(await until('up == 1'), [1]);
    assert.deepEqual(await until('sum(connect_dynamodb_kms_calls_total{operation="get"})'), [operations['get']!.count]);
    assert.deepEqual(await until('connect_dynamodb_kms_requests_total{service="dynamodb"}'), [requests.dynamodb.sent]);
    assert.deepEqual(await until('connect_dynamodb_kms_call_duration_seconds_count{operation="get"}'), [
      operations['get']!.count,
    ]);
    const [quantile] = await until('histogram_quantile(0.5, connect_dynamodb_kms_call_duration_seconds_bucket{operation="get"})');
    assert.ok(quantile >= 0 && quantile <= 5);
  });
});
