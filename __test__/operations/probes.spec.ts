// Health checks: what ping() asks, and the recipes of docs/probes.md as servers over HTTP, with the services down and up again.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type PingOptions, SealedStore } from 'connect-dynamodb-kms';
import { parse, parseAllDocuments } from 'yaml';
import { type AwsBackend, backends, quietLogger, startAws } from '../support/backends.ts';
import { byCallback } from '../support/calls.ts';
import { KUBERNETES_VALIDATE, pythonEnvironment } from '../support/environments.ts';
import { assertFailure, failing } from '../support/failures.ts';
import { ServedSnippet, snippetOf } from '../support/served-snippet.ts';

process.env.AWS_MAX_ATTEMPTS = '1';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What never comes would hold the tests up. */
const LIMIT = { timeout: 300_000 };
const TABLE_ALONE = { 'dynamodb:DescribeTable': 1 };
const ALL = { ...TABLE_ALONE, 'kms:GenerateDataKey': 1, 'kms:Decrypt': 1 };

for (const { name, start } of backends) {
  describe(`ping on ${name}`, () => {
    it('resolves with nothing, whatever is asked, with a promise and with a callback', async (t) => {
      const backend = await start();
      t.after(() => backend.stop());
      const store = backend.store();
      for (const options of [undefined, {}, { keys: undefined }, { keys: true }, { keys: false }]) {
        assert.equal(await store.ping(options), undefined);
        const { ping } = store;
        assert.deepEqual(await byCallback((callback) => ping(options, callback)), [null, undefined]);
      }
      assert.deepEqual(await byCallback((callback) => store.ping(callback)), [null, undefined]);
      assert.equal(await (store.ping as any)(undefined), undefined);
    });
  });
}

describe('ping', LIMIT, () => {
  let backend: AwsBackend;
  let items: SealedStore;
  before(async () => {
    backend = await startAws();
    const { tableName, dynamodbEndpoint, kmsEndpoint } = backend.config;
    items = new SealedStore({ tableName, dynamodbEndpoint, kmsEndpoint, logger: quietLogger() });
  });
  afterEach(() => backend.aws.clearFaults());
  after(async () => {
    await items.close();
    await backend.stop();
  });

  /** Both kinds of store. */
  const stores = () => [backend.store(), items];

  it('asks the table and the key, or with keys: false the table alone', async () => {
    for (const store of stores()) {
      for (const [options, calls] of [
        [undefined, ALL],
        [{ keys: true }, ALL],
        [{ keys: false }, TABLE_ALONE],
      ] as const) {
        await backend.aws.reset();
        await store.ping(options);
        assert.deepEqual(await backend.aws.calls(), calls);
      }
    }
  });

  it('with keys: false succeeds while KMS fails, and a session whose key is cached is served', async () => {
    const store = backend.store();
    await store.set('sid', { cookie: {}, user: 'ada' });
    await backend.aws.fault({ action: 'kms:*', status: 500, code: 'KMSInternalException' });
    for (const own of [store, items]) {
      await failing(own.ping(), 'ERR_KMS_UNAVAILABLE');
      await own.ping({ keys: false });
    }
    assert.equal((await store.get('sid'))!.user, 'ada');
  });

  it('with keys: false fails while the table cannot be used, with its code', async () => {
    for (const [status, code, expected] of [
      [503, 'ServiceUnavailable', 'ERR_DYNAMODB_UNAVAILABLE'],
      [400, 'AccessDeniedException', 'ERR_ACCESS_DENIED'],
      [400, 'ResourceNotFoundException', 'ERR_TABLE_NOT_FOUND'],
    ] as const) {
      await backend.aws.fault({ action: 'dynamodb:DescribeTable', status, code });
      for (const own of stores()) await failing(own.ping({ keys: false }), expected);
      await backend.aws.clearFaults();
    }
  });

  it('refuses arguments that it cannot use, before it asks anybody', async () => {
    await backend.aws.reset();
    for (const bad of [
      null,
      'no',
      7,
      true,
      [],
      new Map(),
      { key: false },
      { keys: 'no' },
      { keys: 0 },
      { keys: {} },
    ] as PingOptions[]) {
      for (const own of stores()) await failing(own.ping(bad), 'ERR_CONFIG');
      const [error] = await byCallback((callback) => backend.store().ping(bad, callback));
      assertFailure(error, 'ERR_CONFIG');
    }
    const { detail } = await failing(items.ping({ keys: 'no' } as any), 'ERR_CONFIG');
    assert.match(detail, /^the option keys of ping must be true or false/);
    assert.deepEqual(await backend.aws.calls(), {});
  });
});

describe('the page about probes', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  afterEach(() => backend.aws.clearFaults());
  after(() => backend.stop());

  const down = (action: string) => backend.aws.fault({ action, status: 503, code: 'ServiceUnavailable' });
  async function serve(t: TestContext, code: string): Promise<ServedSnippet> {
    const served = await ServedSnippet.start(code, backend.aws, { KMS_KEY_ARN: backend.aws.keyArns[0]! });
    t.after(() => served.stop());
    return served;
  }
  /** Asks for a path three times; gives the actions that the servers saw. */
  async function asked(served: ServedSnippet, path: string): Promise<string[]> {
    await backend.aws.reset();
    for (let n = 0; n < 3; n++) assert.equal(await served.status(path), 200);
    return Object.keys(await backend.aws.calls()).sort();
  }

  for (const [name, paths] of [
    ['probes', { started: '/started', live: '/live' }],
    ['probes-express', {}],
  ] as [string, { started?: string; live?: string }][]) {
    it(`has a server, ${name}, that is ready without KMS and not without DynamoDB`, async (t) => {
      const served = await serve(t, await snippetOf(name));
      if (paths.started) assert.deepEqual(await asked(served, paths.started), Object.keys(ALL).sort());
      await down('kms:*');
      assert.deepEqual(await asked(served, '/ready'), ['dynamodb:DescribeTable']);
      if (paths.started) assert.equal(await served.status(paths.started), 503);
      await down('dynamodb:*');
      assert.equal(await served.status('/ready'), 503);
      if (paths.live) assert.deepEqual(await asked(served, paths.live), []);
      await backend.aws.clearFaults();
      assert.equal(await served.status('/ready'), 200);
    });
  }

  it('has a recipe for @fastify/under-pressure that is ready without KMS, not without DynamoDB, and recovers', async (t) => {
    const served = await serve(t, (await snippetOf('under-pressure')).replace('5000', '50'));
    await down('kms:*');
    for (const path of ['/ready', '/'])
      assert.deepEqual(
        (await asked(served, path)).filter((action) => action.startsWith('kms')),
        [],
      );
    await down('dynamodb:*');
    for (const path of ['/ready', '/']) await served.becomes(path, 503);
    await backend.aws.clearFaults();
    for (const path of ['/ready', '/']) await served.becomes(path, 200);
  });

  it('is right that without healthCheckInterval a check that failed at first is never repeated', async (t) => {
    const code = (await snippetOf('under-pressure')).replace(/ *healthCheckInterval.*\n/, '');
    await down('dynamodb:*');
    const served = await serve(t, code);
    assert.equal(await served.status('/'), 503);
    await backend.aws.clearFaults();
    for (let n = 0; n < 3; n++) assert.deepEqual([await served.status('/ready'), await served.status('/')], [503, 503]);
  });

  it('is right that a health check which gives what ping gives counts as failed', async (t) => {
    const code = (await snippetOf('under-pressure')).replace(/ *return true;\n/, '');
    assert.equal(await (await serve(t, code)).status('/'), 503);
  });
});

describe('the manifest for Kubernetes', () => {
  const path = join(root, 'infrastructure', 'kubernetes.yaml');
  let documents: any[];
  let container: any;
  before(async () => {
    documents = parseAllDocuments(await readFile(path, 'utf8')).map((document) => document.toJS());
    container = documents.find(({ kind }) => kind === 'Deployment').spec.template.spec.containers[0];
  });

  it('is valid for the schemas of Kubernetes', { timeout: 300_000 }, async () => {
    const { folder } = await pythonEnvironment(KUBERNETES_VALIDATE);
    await promisify(execFile)(join(folder, 'kubernetes-validate'), ['--strict', path]);
    assert.deepEqual(
      documents.map(({ kind }) => kind),
      ['ServiceAccount', 'Deployment', 'Service'],
    );
  });

  it('has the probes of the page, whose paths are routes of its server', async () => {
    const page = await readFile(join(root, 'docs', 'probes.md'), 'utf8');
    const shown = parse(/```yaml\n(.*?)```/s.exec(page)![1]!);
    const { startupProbe, readinessProbe, livenessProbe } = container;
    assert.deepEqual({ startupProbe, readinessProbe, livenessProbe }, shown);
    const routes = [...(await snippetOf('probes')).matchAll(/app\.get\('(.+?)'/g)].map(([, route]) => route);
    assert.deepEqual(
      [startupProbe, readinessProbe, livenessProbe].map(({ httpGet }) => httpGet.path),
      routes,
    );
  });

  it('lets requests that still arrive be answered before the pod ends', () => {
    const { terminationGracePeriodSeconds } = documents.find(({ kind }) => kind === 'Deployment').spec.template.spec;
    const { seconds } = container.lifecycle.preStop.sleep;
    assert.ok(seconds > 0 && seconds + 20 <= terminationGracePeriodSeconds);
  });

  it('gives the probes that ask the store more time than the deadline of a call', () => {
    for (const { timeoutSeconds } of [container.startupProbe, container.readinessProbe]) assert.ok(timeoutSeconds > 5);
  });
});
