// The alerts and the dashboard in a real Prometheus: each alert fires under its fault and not before, and each graph has something to show.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { collect } from 'connect-dynamodb-kms/prometheus';
import { Registry } from 'prom-client';
import { parse, stringify } from 'yaml';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { installed } from '../support/command.ts';
import { type Listening, startHttp, startSilent } from '../support/http-server.ts';
import { turnKeys } from '../support/key-clock.ts';
import { PROMETHEUS, PrometheusServer } from '../support/prometheus-server.ts';
import { TableItems } from '../support/table-items.ts';

const infrastructure = join(installed, 'infrastructure');
const rules = parse(await readFile(join(infrastructure, 'prometheus-alerts.yaml'), 'utf8'));
const names: string[] = rules.groups[0].rules.map(({ alert }: any) => alert);
const dashboard = JSON.parse(await readFile(join(infrastructure, 'grafana-dashboard.json'), 'utf8'));

/** The rules with a tenth of a minute in the place of minutes. */
const quick = structuredClone(rules);
for (const rule of quick.groups[0].rules) {
  rule.expr = rule.expr.replace(/\[\d+m\]/g, '[6s]');
  delete rule.for;
}

describe('in a real Prometheus', { skip: !PROMETHEUS && 'PROMETHEUS names no program', timeout: 300_000 }, () => {
  let backend: AwsBackend;
  let table: TableItems;
  let metrics: Listening;
  let silent: Listening;
  let prometheus: PrometheusServer;
  const register = new Registry();
  let stores = 0;

  before(async () => {
    backend = await startAws();
    table = new TableItems(backend.aws);
    silent = await startSilent();
    metrics = await startHttp(async (_request, response) => {
      response.setHeader('content-type', register.contentType);
      response.end(await register.metrics());
    });
  });
  after(async () => {
    await prometheus?.stop();
    await metrics.close();
    await silent.close();
    table.close();
    await backend.stop();
  });

  function store(options: SessionStoreConfig = {}): DynamoDBSessionStore {
    const own = backend.store(options);
    collect(own, { register, labels: { store: stores++ } });
    return own;
  }
  /** Repeats work until an alert fires, and gives what it says. */
  async function firing(alert: string, work: () => Promise<unknown>): Promise<string> {
    for (;;) {
      await work().catch(() => {});
      const found = (await prometheus.alerts()).find(({ labels, state }) => labels.alertname === alert && state === 'firing');
      if (found) return found.annotations.summary!;
      await wait(20);
    }
  }
  const refused = (action: string, status: number, code: string) => backend.aws.fault({ action, status, code });
  let count = 0;
  const newSid = () => `session-${count++}`;

  it('no alert fires while all is well, and each one does under its fault', async () => {
    const [usual, other] = [store(), store()];
    const [slow, full] = [
      store({ dynamodbEndpoint: silent.url, timeouts: { connectMillis: 500, attemptMillis: 600, callMillis: 900 } }),
      store({ dynamodbEndpoint: silent.url, maxCallsInFlight: 1 }),
    ];
    const sid = newSid();
    await usual.set(sid, { cookie: {}, n: 0 });
    const healthy = async () => {
      const session = (await usual.get(sid))!;
      session.n += 1;
      await usual.set(sid, session);
      await usual.withLock(sid, () => {});
    };
    await healthy();
    prometheus = await PrometheusServer.start(metrics.url, stringify(quick));
    const calls = () => prometheus.query('sum(rate(connect_dynamodb_kms_calls_total[6s])) > 0');
    for (let samples = 0; samples < 40 || (await calls()).length === 0; samples++) {
      await healthy();
      await wait(100);
    }
    assert.deepEqual(await prometheus.alerts(), []);

    const thrown = () => Promise.reject(new Error('the provider is down'));
    const refreshed = newSid();
    await usual.set(refreshed, { cookie: {}, expires: 0 } as any);
    const said: Record<string, string> = {};
    const provoke = async (alert: string, work: () => Promise<unknown>) => {
      said[alert] = await firing(alert, work);
      await backend.aws.clearFaults();
    };
    await provoke('SessionConflicts', async () => {
      const [one, two] = [(await usual.get(sid))!, (await other.get(sid))!];
      one.n += 1;
      two.n += 2;
      await usual.set(sid, one);
      await other.set(sid, two);
    });
    await provoke('SessionTokensNotRenewed', () =>
      usual.refresh(refreshed, { expiresAt: (session: any) => session.expires, refresh: thrown }),
    );
    await provoke('SessionLeasesLost', async () => {
      const key = `lease:${createHash('sha256').update(sid).digest('base64url')}`;
      const task = async (signal: AbortSignal) => {
        await table.change(key, { owner: { S: 'somebody else' } });
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      };
      await usual.withLock(sid, task, { leaseSeconds: 1 });
    });
    // Each session is used once, as far as this server sees.
    await provoke('SessionKeyCacheTooSmall', () => other.set(newSid(), { cookie: {} }));
    const moved = newSid();
    await other.set(moved, { cookie: {} });
    await table.put({ ...(await table.get(moved))!, authTag: (await table.get(sid))!.authTag! });
    await provoke('SessionIntegrityFails', () => other.get(moved));
    await provoke('SessionsSlow', () => slow.get(sid));
    await provoke('SessionStoreOverloaded', () => Promise.all([full.get(sid), full.get(sid)]));
    await refused('dynamodb:GetItem', 500, 'InternalServerError');
    await provoke('SessionsFail', () => usual.get(sid));
    await refused('dynamodb:*', 400, 'ThrottlingException');
    await provoke('SessionRequestsThrottled', () => usual.get(sid));
    await backend.aws.fault({ action: 'dynamodb:GetItem', status: 500, code: 'InternalServerError', times: 1000 });
    await provoke('SessionRequestsRetried', () => other.get(sid));
    await refused('kms:*', 500, 'KMSInternalException');
    await provoke('SessionsWithoutKms', () => usual.set(newSid(), { cookie: {} }));
    await refused('kms:*', 400, 'DisabledException');
    turnKeys(60);
    await provoke('SessionKeyUnusable', () => usual.get(sid));
    assert.deepEqual(Object.keys(said).sort(), [...names].sort());
    for (const text of Object.values(said)) assert.doesNotMatch(text, /<error|<no value>|NaN|\{\{/);

    // Every graph has lines now.
    const panels = dashboard.panels.filter(({ type }: any) => type !== 'row');
    for (const { title, targets } of panels) {
      for (const { expr } of targets) {
        const expression = expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', 'gateway').replaceAll('$instance', '.*');
        const result = await prometheus.query(expression);
        assert.ok(result.length > 0, `${title}: ${expression}`);
        for (const { value } of result) assert.ok(Number.isFinite(Number(value[1])), `${title}: ${value[1]}`);
      }
    }
  });
});
