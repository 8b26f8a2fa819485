// From a machine with nothing but Node.js and the packed package to a running gateway, and back from what breaks it.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AwsLocal } from '../support/aws-local.ts';
import { diagnosis, KEY } from '../support/doctor.ts';
import { InstalledApplication } from '../support/installed-application.ts';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../..', import.meta.url));
const { devDependencies } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local', AWS_EC2_METADATA_DISABLED: 'true' };

describe('the first day of a gateway', { timeout: 300_000 }, () => {
  let aws: AwsLocal;
  let home: string;
  before(async () => {
    aws = await AwsLocal.start(['--key-arn', KEY, '--creating', '1']);
    Object.assign(process.env, CREDENTIALS); // of the gateway
    home = await realpath(await mkdtemp(join(tmpdir(), 'first-day-')));
    const packed = await run(process.execPath, ['scripts/pack.mjs', home], { cwd: repository });
    await writeFile(join(home, 'package.json'), JSON.stringify({ private: true }));
    const frameworks = ['fastify', '@fastify/cookie', '@fastify/session'].map((name) => `${name}@${devDependencies[name]}`);
    const quiet = ['--prefer-offline', '--no-audit', '--no-fund'];
    await run('npm', ['install', ...quiet, ...packed.stdout.trim().split('\n'), ...frameworks], { cwd: home });
    await copyFile(new URL('../support/installed/fastify-login.mjs', import.meta.url), join(home, 'fastify-login.mjs'));
  });
  after(async () => {
    await aws.stop();
    await rm(home, { recursive: true });
  });

  const environment = () => ({
    PATH: process.env.PATH,
    HOME: home,
    ...CREDENTIALS,
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL_DYNAMODB: aws.dynamodb,
    AWS_ENDPOINT_URL_KMS: aws.kms,
    AWS_ENDPOINT_URL_STS: aws.sts,
    SESSIONS_TABLE: 'sessions',
    KMS_KEY_ARN: KEY,
  });
  /** As it is typed. */
  const npx = (args: string[], env: Record<string, string | undefined> = {}) =>
    new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
      const options = { cwd: home, env: { ...environment(), ...env } };
      execFile('npx', ['--no-install', 'connect-dynamodb-kms', ...args], options, (error, stdout, stderr) =>
        resolve({ status: Number(error?.code ?? 0), stdout, stderr }),
      );
    });
  const doctor = async (env = {}) => {
    const { status, stdout, stderr } = await npx(['doctor', '--json', '--record-version', '2'], env);
    return { status, ...diagnosis(stdout, stderr) };
  };

  it('begins without a table, and is served an hour later', async () => {
    const before = await doctor();
    assert.equal(before.status, 1);
    assert.deepEqual(before.found, ['fail table: sessions does not exist in this account in us-east-1']);
    const made = await npx(['create-table']);
    assert.equal(made.status, 0, made.stderr);
    assert.deepEqual((await doctor()).found, []);

    const store = { tableName: 'sessions', kmsKeyArn: KEY, recordVersion: 2 as const };
    const config = { ...store, dynamodbEndpoint: aws.dynamodb, kmsEndpoint: aws.kms };
    const gateway = new InstalledApplication(home, 'fastify-login.mjs', config);
    try {
      await gateway.start();
      const { cookie } = await gateway.ask('POST', '/login/ada');
      const { status, body } = await gateway.ask('GET', '/me', cookie);
      assert.deepEqual([status, body.user], [200, 'ada']);
    } finally {
      await gateway.kill();
    }
    const { findings } = await doctor();
    assert.ok(findings.some(({ what }) => what === 'looked at 1: 1 of version 2'));
  });

  for (const [what, breaks, env, expected] of [
    ['the key is disabled', () => aws.kmsCall('DisableKey', { KeyId: KEY }), {}, /^fail key: .+ is Disabled/],
    [
      'the role loses an action',
      () => aws.fault({ action: 'dynamodb:UpdateItem', status: 400, code: 'AccessDeniedException', message: 'no' }),
      {},
      /^fail permission: dynamodb:UpdateItem is not allowed/,
    ],
    ['the clock stands an hour off', () => aws.setClock(3600), {}, /^fail clock: /],
    ['the table has another name', async () => {}, { SESSIONS_TABLE: 'session' }, /^fail table: session does not exist/],
    ['the endpoint is a wrong one', async () => {}, { AWS_ENDPOINT_URL_DYNAMODB: 'http://127.0.0.1:9' }, /^fail connection: /],
  ] as [string, () => Promise<unknown>, Record<string, string>, RegExp][]) {
    it(`finds it when ${what}`, async () => {
      await breaks();
      const { status, found } = await doctor(env);
      await aws.kmsCall('EnableKey', { KeyId: KEY }).catch(() => {});
      await aws.clearFaults();
      await aws.setClock(0);
      assert.equal(status, 1);
      assert.match(found[0]!, expected);
      assert.deepEqual((await doctor()).found, []);
    });
  }
});
