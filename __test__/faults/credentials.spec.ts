// Credentials that change, that come late, that a service fails to issue, and those of profiles that the option `profile` names.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { startAnswering, startHttp, startSilent } from '../support/http-server.ts';
import { Program } from '../support/program.ts';
import { inProcess } from '../support/store-process.ts';

const ROLE = 'arn:aws:iam::232282424912:role/store';

let home: string;
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'credentials-'));
});
after(() => rm(home, { recursive: true }));

let files = 0;
async function file(lines: string[]): Promise<string> {
  files += 1;
  const path = join(home, `file-${files}`);
  await writeFile(path, lines.join('\n'));
  return path;
}

function keys(id: string, profile = 'default'): string[] {
  return [`[${profile}]`, `aws_access_key_id = ${id}`, 'aws_secret_access_key = secret'];
}

async function onServers(args: string[], test: (backend: AwsBackend) => Promise<void>): Promise<void> {
  const backend = await startAws(args);
  try {
    await test(backend);
  } finally {
    await backend.stop();
  }
}

/** The id of the key that signed the last request to DynamoDB. */
async function signer(backend: AwsBackend): Promise<string | undefined> {
  const requests = (await backend.aws.requests()).filter(({ action }) => action.startsWith('dynamodb:'));
  return requests.at(-1)?.accessKeyId;
}

describe('credentials in a file', { timeout: 300_000 }, () => {
  /** A process whose stores are asked one call at a time. */
  class Stores {
    readonly #program: Program;
    constructor(environment: Record<string, string>, config: SessionStoreConfig) {
      this.#program = new Program('credentials-program', environment, config);
    }
    /** What `get` of a store gives: its code, or `null` for no session. */
    async get(store: string): Promise<string | null> {
      this.#program.write(store);
      return JSON.parse(await this.#program.line());
    }
    end = () => this.#program.end('SIGKILL');
  }

  it('are read again after a refusal, and by a new store', () =>
    onServers([], async (backend) => {
      const path = join(home, 'rotated');
      await writeFile(path, keys('AKIAOLD').join('\n'));
      const stores = new Stores({ AWS_SHARED_CREDENTIALS_FILE: path }, backend.config);
      try {
        assert.equal(await stores.get('one'), null);
        assert.equal(await signer(backend), 'AKIAOLD');
        await writeFile(path, keys('AKIANEW').join('\n'));
        assert.equal(await stores.get('one'), null);
        assert.equal(await signer(backend), 'AKIAOLD', 'it is still good');
        await backend.aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'ExpiredTokenException', times: 1 });
        assert.equal(await stores.get('one'), 'ERR_CREDENTIALS');
        assert.equal(await stores.get('one'), null);
        assert.equal(await signer(backend), 'AKIANEW');
        await writeFile(path, keys('AKIANEWEST').join('\n'));
        assert.equal(await stores.get('two'), null);
        assert.equal(await signer(backend), 'AKIANEWEST', 'a new store reads them anew');
      } finally {
        await stores.end();
      }
    }));

  it('that are not used may be unusable', () =>
    onServers([], async (backend) => {
      const own = { AWS_ACCESS_KEY_ID: 'AKIAOWN', AWS_SECRET_ACCESS_KEY: 'secret' };
      for (const lines of [
        [...keys('AKIAFILE'), 'aws_session_token ='],
        ['[default]', 'aws_access_key_id = <your key>', 'aws_secret_access_key = <your secret>'],
        ['[default]', 'aws_access_key_id =', 'aws_secret_access_key ='],
      ]) {
        const { results } = await inProcess({
          environment: { ...own, AWS_SHARED_CREDENTIALS_FILE: await file(lines) },
          config: backend.config,
          calls: [['get', 'a']],
        });
        assert.deepEqual(results[0], { value: null }, results[0]?.error?.shown);
        assert.equal(await signer(backend), 'AKIAOWN');
      }
    }));

  it('whose session token is empty are used without one', () =>
    onServers([], async (backend) => {
      const { results } = await inProcess({
        environment: { AWS_SHARED_CREDENTIALS_FILE: await file([...keys('AKIAFILE'), 'aws_session_token =']) },
        config: backend.config,
        calls: [['get', 'a']],
      });
      assert.deepEqual(results[0], { value: null }, results[0]?.error?.shown);
      assert.equal(await signer(backend), 'AKIAFILE');
    }));

  it('are read again by a new store that has other settings', () =>
    onServers([], async (backend) => {
      const path = join(home, 'rotated-for-others');
      await writeFile(path, keys('AKIAOLD').join('\n'));
      const stores = new Stores({ AWS_SHARED_CREDENTIALS_FILE: path }, backend.config);
      try {
        assert.equal(await stores.get('one'), null);
        await writeFile(path, keys('AKIANEW').join('\n'));
        assert.equal(await stores.get('two 4999'), null);
        assert.equal(await signer(backend), 'AKIANEW');
        assert.equal(await stores.get('one'), null);
        assert.equal(await signer(backend), 'AKIANEW', 'the two share them');
      } finally {
        await stores.end();
      }
    }));

  it('are read again at most once in some seconds while they are refused', () =>
    onServers([], async (backend) => {
      const program = join(home, 'count');
      const log = join(home, 'count.log');
      const found = JSON.stringify({ Version: 1, AccessKeyId: 'AKIA', SecretAccessKey: 'secret' });
      await writeFile(program, `#!/bin/sh\necho started >>${log}\necho '${found}'\n`, { mode: 0o700 });
      const config = await file(['[default]', `credential_process = ${program}`]);
      await backend.aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'UnrecognizedClientException' });
      const { results } = await inProcess({
        environment: { AWS_CONFIG_FILE: config },
        config: backend.config,
        calls: Array(10).fill(['get', 'sid']),
      });
      for (const { error } of results) assert.equal(error?.code, 'ERR_CREDENTIALS', error?.shown);
      assert.equal(await readFile(log, 'utf8'), 'started\n'.repeat(2));
    }));

  it('that were not there are found when they are', () =>
    onServers([], async (backend) => {
      const path = join(home, 'late');
      const stores = new Stores({ AWS_SHARED_CREDENTIALS_FILE: path }, backend.config);
      try {
        assert.equal(await stores.get('one'), 'ERR_CREDENTIALS');
        await writeFile(path, keys('AKIALATE').join('\n'));
        assert.equal(await stores.get('one'), null);
      } finally {
        await stores.end();
      }
    }));
});

describe('the option profile', { concurrency: 4 }, () => {
  /** Works with the option as with the variable. */
  const bothWays = async (
    backend: AwsBackend,
    profile: string,
    environment: Record<string, string>,
    signed: RegExp,
  ): Promise<void> => {
    for (const [variables, options] of [
      [{ AWS_PROFILE: profile }, {}],
      [{}, { profile }],
    ] as const) {
      await backend.aws.reset();
      const { results } = await inProcess({
        environment: { HOME: home, ...environment, ...variables },
        config: { ...backend.config, ...options },
        calls: [['get', 'a']],
      });
      assert.deepEqual(results[0], { value: null }, results[0]?.error?.shown);
      assert.match((await signer(backend)) ?? '', signed);
    }
  };

  it('may name a profile with a role and a source profile, in turn', () =>
    onServers([], async (backend) => {
      const config = await file([
        ...['[profile first]', `role_arn = ${ROLE}`, 'source_profile = base'],
        ...['[profile second]', `role_arn = ${ROLE}2`, 'source_profile = first', 'region = eu-west-1'],
        ...keys('AKIABASE', 'profile base'),
      ]);
      const environment = { AWS_CONFIG_FILE: config, AWS_ENDPOINT_URL_STS: backend.aws.sts };
      await bothWays(backend, 'first', environment, /^ASIA/);
      await bothWays(backend, 'second', environment, /^ASIA/);
    }));

  it('may name one whose role is assumed with what the environment has', () =>
    onServers([], async (backend) => {
      const config = await file(['[profile env]', `role_arn = ${ROLE}`, 'credential_source = Environment']);
      const environment = { AWS_CONFIG_FILE: config, AWS_ENDPOINT_URL_STS: backend.aws.sts };
      const own = { AWS_ACCESS_KEY_ID: 'AKIAENV', AWS_SECRET_ACCESS_KEY: 'secret' };
      const { results } = await inProcess({
        environment: { ...environment, ...own },
        config: { ...backend.config, profile: 'env' },
        calls: [['get', 'a']],
      });
      assert.deepEqual(results[0], { value: null }, results[0]?.error?.shown);
      assert.match((await signer(backend)) ?? '', /^ASIA/);
    }));

  it('may name one with a web identity', () =>
    onServers([], async (backend) => {
      const token = await file(['header.payload.signature']);
      const config = await file(['[profile web]', `role_arn = ${ROLE}`, `web_identity_token_file = ${token}`]);
      await bothWays(backend, 'web', { AWS_CONFIG_FILE: config, AWS_ENDPOINT_URL_STS: backend.aws.sts }, /^ASIA/);
    }));

  it('may name one with a program or with a single sign-on', () =>
    onServers([], async (backend) => {
      const reply = JSON.stringify({ Version: 1, AccessKeyId: 'ASIAPROCESS', SecretAccessKey: 'secret', SessionToken: 'token' });
      const program = await file([`console.log(${JSON.stringify(reply)})`]);
      const start = 'https://example.awsapps.com/start';
      const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
      await mkdir(join(home, '.aws/sso/cache'), { recursive: true });
      const cached = JSON.stringify({ startUrl: start, region: 'us-east-1', accessToken: 'sso-token', expiresAt });
      await writeFile(join(home, `.aws/sso/cache/${createHash('sha1').update(start).digest('hex')}.json`), cached);
      const config = await file([
        ...['[profile process]', `credential_process = ${process.execPath} ${program}`],
        ...['[profile people]', `sso_start_url = ${start}`, 'sso_region = us-east-1'],
        ...['sso_account_id = 232282424912', 'sso_role_name = store'],
      ]);
      const issued = {
        accessKeyId: 'ASIASSO',
        secretAccessKey: 'secret',
        sessionToken: 'token',
        expiration: Date.now() + 3_600_000,
      };
      const portal = await startAnswering(200, {}, JSON.stringify({ roleCredentials: issued }));
      const environment = { AWS_CONFIG_FILE: config, AWS_ENDPOINT_URL_SSO: portal.url };
      await bothWays(backend, 'process', environment, /^ASIAPROCESS$/);
      await bothWays(backend, 'people', environment, /^ASIASSO$/);
      await portal.close();
    }));
});

describe('the region', { concurrency: 4 }, () => {
  it('is that of the option, else of AWS_REGION, else of the profile or its source, else us-east-1', () =>
    onServers([], async (backend) => {
      const config = await file([
        ...keys('AKIA', 'default'),
        'region = eu-west-1',
        ...keys('AKIA', 'profile live'),
        'region = eu-west-2',
        ...['[profile role]', `role_arn = ${ROLE}`, 'source_profile = live'],
        ...keys('AKIA', 'profile plain'),
      ]);
      const regionOf = async (environment: Record<string, string>, options: SessionStoreConfig = {}) => {
        await backend.aws.reset();
        const { results } = await inProcess({
          environment: { AWS_CONFIG_FILE: config, AWS_ENDPOINT_URL_STS: backend.aws.sts, ...environment },
          config: { ...backend.config, ...options },
          calls: [['get', 'a']],
        });
        assert.deepEqual(results[0], { value: null }, results[0]?.error?.shown);
        const requests = (await backend.aws.requests()).filter(({ action }) => action.startsWith('dynamodb:'));
        return requests.at(-1)?.region;
      };
      assert.equal(await regionOf({}), 'eu-west-1');
      assert.equal(await regionOf({ AWS_PROFILE: 'live' }), 'eu-west-2');
      assert.equal(await regionOf({ AWS_PROFILE: 'live' }, { profile: 'default' }), 'eu-west-1');
      assert.equal(await regionOf({}, { profile: 'live' }), 'eu-west-2');
      assert.equal(await regionOf({}, { profile: 'role' }), 'eu-west-2');
      assert.equal(await regionOf({}, { profile: 'plain' }), 'us-east-1');
      assert.equal(await regionOf({ AWS_REGION: 'eu-central-1' }, { profile: 'live' }), 'eu-central-1');
      assert.equal(await regionOf({ AWS_REGION: 'eu-central-1' }, { profile: 'live', region: 'ap-south-1' }), 'ap-south-1');
      assert.equal(await regionOf({ AWS_DEFAULT_REGION: 'eu-central-1' }, { profile: 'plain' }), 'us-east-1');
    }));
});

describe('a service that issues credentials', { concurrency: 4 }, () => {
  const OWN = { AWS_ACCESS_KEY_ID: 'AKIAOWN', AWS_SECRET_ACCESS_KEY: 'secret' };

  it('may take longer than an attempt, and its credentials still come', () =>
    onServers([], async (backend) => {
      const slow = await startHttp(async (request, response) => {
        const body = Buffer.concat(await request.toArray());
        await new Promise((resolve) => setTimeout(resolve, 1500));
        const reply = await fetch(backend.aws.sts, { method: 'POST', headers: request.headers as Record<string, string>, body });
        response.writeHead(reply.status, { 'content-type': 'text/xml' }).end(await reply.text());
      });
      try {
        const run = async (timeouts: SessionStoreConfig['timeouts'], calls: number) => {
          const { results } = await inProcess({
            environment: { ...OWN, AWS_ENDPOINT_URL_STS: slow.url },
            config: { ...backend.config, roleArn: ROLE, timeouts },
            calls: Array(calls).fill(['get', 'a']),
          });
          return results;
        };
        const [first] = await run({ attemptMillis: 200 }, 1);
        assert.deepEqual(first, { value: null }, first?.error?.shown);
        const late = await run({ attemptMillis: 200, callMillis: 400 }, 10);
        assert.equal(late[0]?.error?.code, 'ERR_CREDENTIALS');
        assert.equal(late[0].error.retryable, true, 'the search goes on');
        assert.deepEqual(late.at(-1), { value: null });
      } finally {
        await slow.close();
      }
    }));

  it('and that fails or says nothing is retryable, whichever it is', { timeout: 300_000 }, () =>
    onServers([], async (backend) => {
      const [broken, silent] = [await startAnswering(500, {}, 'broken'), await startSilent()];
      const roles = await file([
        ...keys('AKIABASE', 'profile base'),
        '[profile role]',
        `role_arn = ${ROLE}`,
        'source_profile = base',
      ]);
      const start = 'https://broken.awsapps.com/start';
      const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
      await mkdir(join(home, 'sso/.aws/sso/cache'), { recursive: true });
      const cached = JSON.stringify({ startUrl: start, region: 'us-east-1', accessToken: 'sso-token', expiresAt });
      await writeFile(join(home, `sso/.aws/sso/cache/${createHash('sha1').update(start).digest('hex')}.json`), cached);
      const sso = await file([
        ...['[default]', `sso_start_url = ${start}`, 'sso_region = us-east-1'],
        ...['sso_account_id = 232282424912', 'sso_role_name = store'],
      ]);
      const token = await file(['header.payload.signature']);
      const cases = ({ url }: { url: string }): Array<[string, Record<string, string>, SessionStoreConfig]> => [
        ['a role', { ...OWN, AWS_ENDPOINT_URL_STS: url }, { roleArn: ROLE }],
        ['a role of a profile', { AWS_CONFIG_FILE: roles, AWS_ENDPOINT_URL_STS: url }, { profile: 'role' }],
        ['a web identity', { AWS_WEB_IDENTITY_TOKEN_FILE: token, AWS_ROLE_ARN: ROLE, AWS_ENDPOINT_URL_STS: url }, {}],
        ['a container', { AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/credentials` }, {}],
        ['an instance', { AWS_EC2_METADATA_DISABLED: 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT: url }, {}],
        ['a single sign-on', { HOME: join(home, 'sso'), AWS_CONFIG_FILE: sso, AWS_ENDPOINT_URL_SSO: url }, {}],
      ];
      const check = async (server: { url: string }, how: string) => {
        const runs = cases(server).map(async ([what, environment, options]) => {
          const { results } = await inProcess({
            environment,
            config: { ...backend.config, timeouts: { callMillis: 15_000 }, ...options },
            calls: [['get', 'a']],
          });
          assert.equal(results[0]?.error?.code, 'ERR_CREDENTIALS', `${what} ${how}: ${results[0]?.error?.shown}`);
          assert.equal(results[0].error.retryable, true, `${what} ${how}: ${results[0].error.shown}`);
        });
        await Promise.all(runs);
      };
      await check(broken, 'broken');
      await check(silent, 'silent');
      await Promise.all([broken.close(), silent.close()]);
    }),
  );

  it('and that refuses is not retryable, nor is one that is not there', () =>
    onServers([], async (backend) => {
      await backend.aws.fault({ action: 'sts:AssumeRole', status: 403, code: 'AccessDenied' });
      const refused = { ...OWN, AWS_ENDPOINT_URL_STS: backend.aws.sts };
      const absent = { AWS_EC2_METADATA_DISABLED: 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:1' };
      for (const [environment, options] of [
        [refused, { roleArn: ROLE }],
        [absent, {}],
      ] as const) {
        const config = { ...backend.config, ...options, timeouts: { callMillis: 15_000 } };
        const { results } = await inProcess({ environment, config, calls: [['get', 'a']] });
        assert.equal(results[0]?.error?.code, 'ERR_CREDENTIALS', results[0]?.error?.shown);
        assert.equal(results[0].error.retryable, false, results[0].error.shown);
      }
    }));
});
