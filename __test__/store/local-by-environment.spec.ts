// Local mode by the variable SESSIONS_LOCAL, so that an application needs no branch for development: what it does, what it does not, and where it is refused.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { DynamoDBSessionStore, encryptSessionData } from 'connect-dynamodb-kms';
import { quietLogger } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { inProcess, type Job, valuesInProcess } from '../support/store-process.ts';

const FILES = ['.gitignore', 'key', 'sessions.redb'];
const ROUND_TRIP: Job['calls'] = [['set', 'sid', { cookie: {}, user: 'ada' }], ['get', 'sid'], ['stats']];
/** Where nobody listens: a call to AWS would fail. */
const NO_AWS = { AWS_ENDPOINT_URL: 'http://127.0.0.1:9', AWS_MAX_ATTEMPTS: '1' };

describe('local mode by the environment', { timeout: 300_000 }, () => {
  let parent: string;
  let path: string;
  let count = 0;
  before(async () => {
    parent = await mkdtemp(join(tmpdir(), 'local-by-environment-'));
  });
  beforeEach(() => {
    path = join(parent, `sessions-${count++}`);
  });
  after(() => rm(parent, { recursive: true }));

  /** What a store made in this process gave, with variables that are gone afterwards. */
  async function withVariables<T>(variables: Record<string, string>, work: () => T): Promise<Awaited<T>> {
    Object.assign(process.env, variables);
    try {
      return await work();
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name];
    }
  }

  it('keeps the sessions of a store without the option in that folder, and sends nothing', async () => {
    const environment = { ...NO_AWS, SESSIONS_LOCAL: path };
    const [, session, stats] = await valuesInProcess({ environment, config: { recordVersion: 2 }, calls: ROUND_TRIP });
    assert.deepEqual(session, { cookie: {}, user: 'ada' });
    assert.deepEqual([stats.requests.dynamodb.sent, stats.requests.kms.sent], [0, 0]);
    assert.deepEqual((await readdir(path)).sort(), FILES);
    const [again] = await valuesInProcess({ environment, config: { recordVersion: 2 }, calls: [['get', 'sid']] });
    assert.deepEqual(again, session, 'another process on the folder');
  });

  it('uses none of the options about AWS, and checks them', async () => {
    const config = {
      kmsKeyArn: 'arn:aws:kms:eu-west-1:111122223333:alias/own',
      endpoint: 'http://127.0.0.1:9',
      region: 'eu-west-1',
    };
    const environment = { SESSIONS_LOCAL: path };
    const [, session] = await valuesInProcess({ environment, config: { ...config, recordVersion: 2 }, calls: ROUND_TRIP });
    assert.deepEqual(session, { cookie: {}, user: 'ada' });
    const { results } = await inProcess({ environment, config: { ...config, endpoint: 'localhost' }, calls: [] });
    assert.match(results[0]!.error!.detail, /^endpoint must be/);
  });

  it('leaves a store with the option its own folder', async () => {
    const own = `${path}-own`;
    const environment = { SESSIONS_LOCAL: path, NODE_ENV: 'production' };
    await valuesInProcess({ environment, config: { recordVersion: 2, local: { path: own } }, calls: ROUND_TRIP });
    assert.deepEqual((await readdir(own)).sort(), FILES);
    await assert.rejects(readdir(path), { code: 'ENOENT' });
  });

  it('is off where the variable is empty', async () => {
    const environment = { ...NO_AWS, SESSIONS_LOCAL: '', NODE_ENV: 'production' };
    const { results } = await inProcess({ environment, calls: [['get', 'sid']] });
    assert.match(results[0]!.error!.code, /^ERR_(DYNAMODB_UNAVAILABLE|CREDENTIALS)$/);
  });

  it('is refused in production, at construction and before the folder is made', async () => {
    for (const consent of [undefined, '', 'no', 'true', 'YES']) {
      const given: Record<string, string> = consent === undefined ? {} : { SESSIONS_LOCAL_IN_PRODUCTION: consent };
      await withVariables({ SESSIONS_LOCAL: path, NODE_ENV: 'production', ...given }, async () => {
        const { detail } = await failing((async () => new DynamoDBSessionStore({ logger: quietLogger() }))(), 'ERR_CONFIG');
        assert.match(
          detail,
          /SESSIONS_LOCAL\b.*NODE_ENV is production; unset SESSIONS_LOCAL, or set SESSIONS_LOCAL_IN_PRODUCTION to yes/,
        );
        await failing(encryptSessionData('text'), 'ERR_CONFIG');
      });
    }
    await assert.rejects(readdir(path), { code: 'ENOENT' });
  });

  it('is taken in production by who says so twice', async () => {
    const environment = { SESSIONS_LOCAL: path, NODE_ENV: 'production', SESSIONS_LOCAL_IN_PRODUCTION: 'yes' };
    const [, session] = await valuesInProcess({ environment, config: { recordVersion: 2 }, calls: ROUND_TRIP });
    assert.deepEqual(session, { cookie: {}, user: 'ada' });
  });

  it('does not forbid AWS in production, nor itself elsewhere', async () => {
    await withVariables({ NODE_ENV: 'production' }, () => new DynamoDBSessionStore({ logger: quietLogger() }).close());
    const variables = { NODE_ENV: 'development', SESSIONS_LOCAL: path };
    await withVariables(variables, () => new DynamoDBSessionStore({ logger: quietLogger() }).close());
  });

  it('is not turned on by white space', async () => {
    for (const blank of ['', ' ', '\t\n']) {
      await withVariables({ SESSIONS_LOCAL: blank, NODE_ENV: 'production' }, async () => {
        const logger = quietLogger();
        const store = new DynamoDBSessionStore({ recordVersion: 2, logger });
        await store.close();
        assert.deepEqual(logger.lines, [], JSON.stringify(blank));
      });
    }
  });

  it('says so in one warning a process and folder, and says nothing of the option', async () => {
    const lines = await withVariables({ SESSIONS_LOCAL: path }, () => {
      const logger = quietLogger();
      const options = { recordVersion: 2, logger } as const;
      for (let store = 0; store < 3; store++) new DynamoDBSessionStore(options);
      new DynamoDBSessionStore({ ...options, local: { path: `${path}-own` } });
      return logger.lines;
    });
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.ok(
      lines[0]!.startsWith('warn connect-dynamodb-kms: local mode is on because the environment has SESSIONS_LOCAL'),
      lines[0],
    );
    assert.ok(lines[0]!.includes(path) && lines[0]!.includes('key'), lines[0]);
    const logger = quietLogger();
    new DynamoDBSessionStore({ recordVersion: 2, logger });
    assert.deepEqual(logger.lines, [], 'without the variable');
  });

  it('is that of the envelope on its own, too', async () => {
    const environment = { ...NO_AWS, SESSIONS_LOCAL: path };
    const [sealed] = await valuesInProcess({ environment, calls: [['encryptSessionData', 'a refresh token']] });
    assert.deepEqual((await readdir(path)).sort(), FILES);
    const parts = [sealed.encryptedData, sealed.encryptedKey, sealed.iv, sealed.authTag];
    const [opened] = await valuesInProcess({ environment, calls: [['decryptSessionData', ...parts]] });
    assert.equal(opened, 'a refresh token');
    const other = { ...environment, SESSIONS_LOCAL: `${path}-other` };
    const { results } = await inProcess({ environment: other, calls: [['decryptSessionData', ...parts]] });
    assert.equal(results[0]!.error!.code, 'ERR_INTEGRITY');
  });

  it('is that of the thread: a worker with an environment of its own has its own', async (t) => {
    const program = `
      const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
      const { parentPort } = require('node:worker_threads');
      const store = new DynamoDBSessionStore({ recordVersion: 2, logger: { warn() {}, debug() {} } });
      store.set('sid', { user: 'ada' }).then(() => store.close()).then(() => parentPort.postMessage('saved'));
    `;
    const worker = new Worker(program, { eval: true, env: { SESSIONS_LOCAL: path } });
    t.after(() => worker.terminate());
    assert.deepEqual(await once(worker, 'message'), ['saved']);
    assert.deepEqual((await readdir(path)).sort(), FILES);
  });
});
