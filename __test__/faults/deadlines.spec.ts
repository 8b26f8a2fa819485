// Deadlines: whatever a server does or does not do, a call ends, with a code that says who did not answer. Nothing here measures time: calls are
// ordered by which ends first, and each test has a limit that the default deadlines would exceed.

import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { SessionStoreConfig, SessionStoreErrorCode } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { startBlackHole, startTrickling } from '../support/bad-servers.ts';
import { failing } from '../support/failures.ts';
import { type Listening, startSilent } from '../support/http-server.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { inProcess } from '../support/store-process.ts';

/** About a fifth of the default deadlines: a server that answers has answered by then, also on a busy machine. */
const timeouts = { connectMillis: 250, attemptMillis: 500, callMillis: 1000 };
/** Milliseconds that a test may take: less than one call under the default deadline. */
const LIMIT = { timeout: 4500 };

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

describe('a deadline', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  const servers: Record<string, () => Promise<Listening>> = {
    'takes connections and never answers': startSilent,
    'answers a byte at a time, from the head on': () => startTrickling('head', 20),
    'answers a byte of the body at a time': () => startTrickling('body', 20),
    'is a black hole': startBlackHole,
  };
  for (const [name, start] of Object.entries(servers)) {
    describe(`of a server that ${name}`, { concurrency: 4 }, () => {
      let server: Listening;
      before(async () => {
        server = await start();
      });
      after(() => server.close());

      it('ends every call of DynamoDB in ERR_DYNAMODB_UNAVAILABLE', LIMIT, async () => {
        const store = backend.store({ dynamodbEndpoint: server.url, timeouts });
        const calls = [
          ...[store.get('sid'), store.record('sid'), store.set('sid', { cookie: {} }), store.touch('other', { cookie: {} })],
          ...[store.destroy('third'), store.update('sid', () => {}), store.withLock('sid', () => {}), store.ping()],
          ...[store.all(), store.ids(), store.length(), store.clear()],
        ];
        await Promise.all(calls.map((call) => failing(call, 'ERR_DYNAMODB_UNAVAILABLE')));
      });

      it('ends every call of KMS in ERR_KMS_UNAVAILABLE, and nothing was written', LIMIT, async () => {
        const sid = `saved ${name}`;
        await backend.store().set(sid, { cookie: {} });
        const store = backend.store({ kmsEndpoint: server.url, timeouts });
        const calls = [store.set('new', { cookie: {} }), store.get(sid), store.all(), store.ping()];
        await Promise.all(calls.map((call) => failing(call, 'ERR_KMS_UNAVAILABLE')));
        assert.equal(await backend.store().record('new'), null);
      });
    });
  }

  it('ends encryptSessionData and decryptSessionData, whose default it is', { timeout: 90_000 }, async (t) => {
    const silent = await startSilent();
    t.after(() => silent.close());
    const folder = await mkdtemp(join(tmpdir(), 'credentials-'));
    t.after(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'config'), '[default]\ncredential_process = sleep 100\n');
    const keys = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' };
    const search = { AWS_CONFIG_FILE: join(folder, 'config'), AWS_SHARED_CREDENTIALS_FILE: '/nonexistent' };
    const key = Buffer.alloc(184).toString('base64');
    const sealed = ['', key, Buffer.alloc(12).toString('base64'), Buffer.alloc(16).toString('base64')];
    const outcomes = [
      [keys, ['encryptSessionData', 'text']],
      [keys, ['decryptSessionData', ...sealed]],
      [search, ['encryptSessionData', 'text']],
      [search, ['decryptSessionData', ...sealed]],
    ].map(async ([environment, call]: any) => {
      const { results } = await inProcess({ environment: { ...environment, AWS_ENDPOINT_URL_KMS: silent.url }, calls: [call] });
      return codes(results)[0];
    });
    assert.deepEqual(await Promise.all(outcomes), [
      ...['ERR_KMS_UNAVAILABLE', 'ERR_KMS_UNAVAILABLE'],
      ...['ERR_CREDENTIALS', 'ERR_CREDENTIALS'],
    ]);
  });

  /** Which of the stores' calls to the server ends first. */
  const firstToEnd = async (url: string, options: Record<string, SessionStoreConfig>) => {
    const ended: string[] = [];
    const calls = Object.entries(options).map(async ([name, config]) => {
      await failing(backend.store({ dynamodbEndpoint: url, ...config }).get('sid'), 'ERR_DYNAMODB_UNAVAILABLE');
      ended.push(name);
    });
    await Promise.all(calls);
    return ended[0];
  };

  it('to connect is connectMillis', async () => {
    const hole = await startBlackHole();
    try {
      const rest = { attemptMillis: 1500, callMillis: 1500 };
      const both = {
        long: { timeouts: { connectMillis: 1500, ...rest } },
        short: { timeouts: { connectMillis: 50, ...rest } },
      };
      assert.equal(await firstToEnd(hole.url, both), 'short');
    } finally {
      await hole.close();
    }
  });

  it('of an attempt is attemptMillis', async () => {
    const silent = await startSilent();
    try {
      const both = {
        long: { timeouts: { callMillis: 1500 } },
        short: { timeouts: { attemptMillis: 50, callMillis: 1500 } },
      };
      assert.equal(await firstToEnd(silent.url, both), 'short');
    } finally {
      await silent.close();
    }
  });

  /** A store whose calls to both services proxies can stop, and whose clients are made and connected. */
  async function proxied(t: TestContext, callMillis: number) {
    const [dynamodb, kms] = await Promise.all([StoppingProxy.start(backend.aws.dynamodb), StoppingProxy.start(backend.aws.kms)]);
    t.after(() => Promise.all([dynamodb.close(), kms.close()]));
    const config = { dynamodbEndpoint: dynamodb.url, kmsEndpoint: kms.url };
    const store = backend.store({ ...config, timeouts: { connectMillis: callMillis, attemptMillis: callMillis, callMillis } });
    await store.ping();
    return { dynamodb, kms, store };
  }

  it('of a call covers all its requests together', async (t) => {
    const { dynamodb, kms, store } = await proxied(t, 2500);
    const held = [dynamodb.hold('PutItem', 'request'), dynamodb.hold('GetItem', 'request')];
    const generating = kms.hold('GenerateDataKey', 'answer');
    const ended: string[] = [];
    const first = failing(store.set('slow', { cookie: {} }), 'ERR_DYNAMODB_UNAVAILABLE').then(() => ended.push('two requests'));
    await generating.reached;
    await sleep(1200); // of the 2,500 that the call has
    const second = failing(store.get('sid'), 'ERR_DYNAMODB_UNAVAILABLE').then(() => ended.push('one request'));
    generating.pass();
    await Promise.all([first, second]);
    assert.deepEqual(ended, ['two requests', 'one request']);
    for (const { pass } of held) pass();
  });

  it('of a call covers its wait for earlier writes of the session', async () => {
    const silent = await startSilent();
    try {
      const store = backend.store({ dynamodbEndpoint: silent.url, timeouts: { attemptMillis: 1000, callMillis: 1000 } });
      const ended: string[] = [];
      const note = (name: string, call: Promise<unknown>) =>
        failing(call, 'ERR_DYNAMODB_UNAVAILABLE').then(() => ended.push(name));
      const writes = [
        note('write', store.set('sid', { cookie: {} })),
        note('write', store.touch('sid', { cookie: {} })),
        note('write', store.set('sid', { cookie: {} })),
        note('write', store.destroy('sid')),
      ];
      await sleep(500);
      await Promise.all([...writes, note('later read', store.get('sid'))]);
      assert.deepEqual(ended, ['write', 'write', 'write', 'write', 'later read']);
    } finally {
      await silent.close();
    }
  });

  it("of a call does not end another call's wait for the same data key", async (t) => {
    await backend.store().set('shared', { cookie: {} });
    const { dynamodb, kms, store } = await proxied(t, 3000);
    await backend.aws.reset();
    const read = dynamodb.hold('GetItem', 'answer');
    const asked = kms.hold('Decrypt', 'request');
    const early = failing(store.get('shared'), 'ERR_KMS_UNAVAILABLE');
    await read.reached;
    await sleep(1500); // of the 3,000 that the call has; the load of the data key has as many of its own
    read.pass();
    await asked.reached;
    const late = store.get('shared');
    await early;
    asked.pass();
    assert.deepEqual(await late, { cookie: {} });
    assert.equal((await backend.aws.calls())['kms:Decrypt'], 1);
  });

  it('of a call is over for the next one: the store goes on', LIMIT, async () => {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    try {
      const store = backend.store({ dynamodbEndpoint: proxy.url, timeouts: { attemptMillis: 500, callMillis: 500 } });
      await store.set('sid', { cookie: {}, n: 1 });
      const held = proxy.hold('GetItem', 'request');
      await failing(store.get('sid'), 'ERR_DYNAMODB_UNAVAILABLE');
      assert.deepEqual(await store.get('sid'), { cookie: {}, n: 1 });
      held.pass();
    } finally {
      await proxy.close();
    }
  });

  describe('covers the search for credentials', { concurrency: 4 }, () => {
    it('of a program that hangs', { timeout: 90_000 }, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'credentials-'));
      try {
        const program = join(folder, 'hang');
        await writeFile(program, '#!/bin/sh\nexec sleep 100\n');
        await chmod(program, 0o700);
        await writeFile(join(folder, 'config'), `[default]\ncredential_process = ${program}\n`);
        const { results } = await inProcess({
          environment: { AWS_CONFIG_FILE: join(folder, 'config'), AWS_SHARED_CREDENTIALS_FILE: '/nonexistent' },
          config: { ...backend.config, timeouts },
          calls: [['get', 'sid'], ['length'], ['set', 'sid', { cookie: {} }]],
        });
        assert.deepEqual(codes(results), Array(3).fill('ERR_CREDENTIALS'));
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    it('but does not end it: a later call has what was found', { timeout: 90_000 }, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'credentials-'));
      try {
        const program = join(folder, 'slow');
        const found = JSON.stringify({ Version: 1, AccessKeyId: 'local', SecretAccessKey: 'local' });
        await writeFile(program, `#!/bin/sh\necho started >>${folder}/starts\nsleep 1\necho '${found}'\n`);
        await chmod(program, 0o700);
        await writeFile(join(folder, 'config'), `[default]\ncredential_process = ${program}\n`);
        const { results } = await inProcess({
          environment: { AWS_CONFIG_FILE: join(folder, 'config'), AWS_SHARED_CREDENTIALS_FILE: '/nonexistent' },
          config: { ...backend.config, timeouts: { attemptMillis: 200, callMillis: 500 } },
          calls: Array(12).fill(['get', 'nobody']),
        });
        assert.equal(results[0].error?.code, 'ERR_CREDENTIALS');
        assert.deepEqual(results.at(-1), { value: null });
        assert.equal(await readFile(join(folder, 'starts'), 'utf8'), 'started\n');
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    it('of an instance role that does not answer', { timeout: 90_000 }, async () => {
      const silent = await startSilent();
      try {
        const { results } = await inProcess({
          environment: { AWS_EC2_METADATA_DISABLED: 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT: silent.url },
          config: { ...backend.config, timeouts },
          calls: [['get', 'sid'], ['length'], ['set', 'sid', { cookie: {} }]],
        });
        assert.deepEqual(codes(results), Array(3).fill('ERR_CREDENTIALS'));
      } finally {
        await silent.close();
      }
    });
  });
});

function codes(results: Array<{ error?: { code: string; shown: string } }>): Array<SessionStoreErrorCode | undefined> {
  return results.map(({ error }) => error?.code as SessionStoreErrorCode | undefined);
}
