// Settings of the AWS SDK that nothing can be done with: in the environment and in the configuration files, found before anything is sent.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { startAnswering } from '../support/http-server.ts';
import { inProcess, type Job, valuesInProcess } from '../support/store-process.ts';
import { AUTHORITY, startTls } from '../support/tls-server.ts';

const KEYS = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'secret' };
const KEY_LINES = ['aws_access_key_id = local', 'aws_secret_access_key = secret'];
const ALL: Job['calls'] = [['get', 'a'], ['set', 'a', { cookie: {} }], ['ping']];

let backend: AwsBackend;
let home: string;
before(async () => {
  backend = await startAws();
  home = await mkdtemp(join(tmpdir(), 'settings-'));
});
after(async () => {
  await rm(home, { recursive: true });
  await backend.stop();
});

let files = 0;
async function file(lines: string[]): Promise<string> {
  files += 1;
  const path = join(home, `file-${files}`);
  await writeFile(path, lines.join('\n'));
  return path;
}

/** Fails unless every call fails in this code and its detail names the setting; then, too, a call afterwards with the setting mended would be served. */
async function refused(code: string, named: RegExp, environment: Record<string, string>, config: SessionStoreConfig = {}) {
  const { results } = await inProcess({
    environment: { ...KEYS, ...environment },
    config: { ...backend.config, ...config },
    calls: ALL,
  });
  for (const { error } of results) {
    assert.equal(error?.name, 'SessionStoreError', error?.shown ?? 'it was served');
    assert.equal(error.code, code, error.shown);
    assert.equal(error.retryable, false);
    assert.match(error.detail, named);
  }
}

describe('a setting of retries that the SDK does not know', { concurrency: 4 }, () => {
  for (const [name, value] of [
    ...['legacy', '', 'fast'].map((mode) => ['AWS_RETRY_MODE', mode]),
    ...['', '0', 'three', '-1', '1.5', '99999999999', ' 3'].map((attempts) => ['AWS_MAX_ATTEMPTS', attempts]),
  ] as const) {
    it(`${name}=${JSON.stringify(value)} is ERR_CONFIG, which names it`, () =>
      refused('ERR_CONFIG', new RegExp(`environment's ${name}`), { [name]: value }));
  }

  for (const [key, value] of [
    ['retry_mode', 'legacy'],
    ['max_attempts', '0'],
    ['max_attempts', 'many'],
  ] as const) {
    it(`${key} = ${value} in a profile is ERR_CONFIG, which names key and profile`, async () => {
      const config = await file(['[default]', `${key} = ${value}`, '[profile live]', `${key} = ${value}`, ...KEY_LINES]);
      await refused('ERR_CONFIG', new RegExp(`${key} of the AWS profile default`), { AWS_CONFIG_FILE: config });
      await refused('ERR_CONFIG', new RegExp(`${key} of the AWS profile live`), { AWS_CONFIG_FILE: config, AWS_PROFILE: 'live' });
      await refused('ERR_CONFIG', new RegExp(`${key} of the AWS profile live`), { AWS_CONFIG_FILE: config }, { profile: 'live' });
    });
  }

  it('of encryptSessionData is ERR_CONFIG as well', async () => {
    const environment = { ...KEYS, AWS_RETRY_MODE: 'legacy', AWS_ENDPOINT_URL_KMS: backend.aws.kms };
    const { results } = await inProcess({ environment, calls: [['encryptSessionData', 'text']] });
    assert.equal(results[0]?.error?.code, 'ERR_CONFIG', results[0]?.error?.shown);
  });

  it('that it knows is used', async () => {
    for (const mode of ['standard', 'adaptive', 'Standard']) {
      const environment = { ...KEYS, AWS_RETRY_MODE: mode, AWS_MAX_ATTEMPTS: '2' };
      await valuesInProcess({ environment, config: backend.config, calls: ALL });
    }
  });
});

describe('a key that no request can be signed with', { concurrency: 4 }, () => {
  for (const [name, value] of [
    ['AWS_ACCESS_KEY_ID', 'local\n'],
    ['AWS_ACCESS_KEY_ID', 'lo cal'],
    ['AWS_ACCESS_KEY_ID', 'löcal'],
    ['AWS_SECRET_ACCESS_KEY', 'secret\n'],
    ['AWS_SESSION_TOKEN', 'to\nken'],
    ['AWS_SESSION_TOKEN', 'tökén'],
  ] as const) {
    it(`${name}=${JSON.stringify(value)} is ERR_CREDENTIALS, which names it`, () =>
      refused('ERR_CREDENTIALS', new RegExp(name, 'i'), { [name]: value }));
  }

  it('is ERR_CREDENTIALS from a file, too, also where it is to assume a role', async () => {
    const keys = await file(['[default]', 'aws_access_key_id = löcal', 'aws_secret_access_key = secret']);
    const roles = await file([
      ...['[profile role]', 'role_arn = arn:aws:iam::232282424912:role/store', 'source_profile = base'],
      ...['[profile base]', 'aws_access_key_id = löcal', 'aws_secret_access_key = secret'],
    ]);
    const none = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_ENDPOINT_URL_STS: backend.aws.sts };
    const own = /aws_access_key_id of the AWS profile default/;
    await refused('ERR_CREDENTIALS', own, { ...none, AWS_SHARED_CREDENTIALS_FILE: keys });
    const ofBase = /aws_access_key_id of the AWS profile base/;
    const role = { AWS_CONFIG_FILE: roles, AWS_PROFILE: 'role' };
    await refused('ERR_CREDENTIALS', ofBase, { ...none, AWS_CONFIG_FILE: roles }, { profile: 'role' });
    await refused('ERR_CREDENTIALS', ofBase, { ...none, ...role });
    await valuesInProcess({ environment: { ...KEYS, ...role }, config: backend.config, calls: ALL });
    const roleArn = 'arn:aws:iam::232282424912:role/store';
    await refused(
      'ERR_CREDENTIALS',
      /AWS_ACCESS_KEY_ID/i,
      { ...none, AWS_ACCESS_KEY_ID: 'local\n', AWS_SECRET_ACCESS_KEY: 'secret' },
      { roleArn },
    );
  });

  it('is ERR_CREDENTIALS, which names the profile, where the profile assumes a role with it', async () => {
    const bad = { Version: 1, AccessKeyId: 'local\n', SecretAccessKey: 'secret' };
    const program = await file([`console.log(${JSON.stringify(JSON.stringify(bad))})`]);
    const container = await startAnswering(
      200,
      { 'content-type': 'application/json' },
      JSON.stringify({ ...bad, Token: 'token', Expiration: '2100-01-01T00:00:00Z' }),
    );
    const role = 'role_arn = arn:aws:iam::232282424912:role/store';
    const config = await file([
      ...['[profile of-environment]', role, 'credential_source = Environment'],
      ...['[profile of-container]', role, 'credential_source = EcsContainer'],
      ...['[profile of-program]', role, 'source_profile = program'],
      ...['[profile program]', `credential_process = ${process.execPath} ${program}`],
    ]);
    const files = { AWS_CONFIG_FILE: config, AWS_ENDPOINT_URL_STS: backend.aws.sts };
    const none = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' };
    try {
      const own = { ...files, AWS_ACCESS_KEY_ID: 'local\n' };
      await refused('ERR_CREDENTIALS', /environment's AWS_ACCESS_KEY_ID/, own, { profile: 'of-environment' });
      const contained = { ...files, ...none, AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url };
      await refused('ERR_CREDENTIALS', /AWS profile of-container/, contained, { profile: 'of-container' });
      await refused('ERR_CREDENTIALS', /AWS profile of-program/, { ...files, ...none }, { profile: 'of-program' });
      await refused('ERR_CREDENTIALS', /AWS profile of-program/, { ...files, ...none, AWS_PROFILE: 'of-program' });
    } finally {
      await container.close();
    }
  });
});

it('a panic is an ERR_INTERNAL at most, which is counted and logged as what it is', async () => {
  // Without any certificate of the system, a development build of the TLS library panics; a release goes on, and reaches nobody.
  const environment = { ...KEYS, SSL_CERT_FILE: '/nonexistent', SSL_CERT_DIR: '/nonexistent' };
  const tls = await startTls(backend.aws.dynamodb);
  try {
    const config = { ...backend.config, dynamodbEndpoint: tls.url, timeouts: { callMillis: 2000 } };
    // What the first ones leave behind must not hold the later ones up.
    const calls: Job['calls'] = [...ALL!, ['all'], ...ALL!, ['stats']];
    const { results } = await inProcess({ environment, config, calls });
    const { errors } = results.pop()!.value;
    const counted: Record<string, number> = {};
    for (const { error } of results) {
      assert.equal(error?.name, 'SessionStoreError', error?.shown);
      assert.ok(['ERR_INTERNAL', 'ERR_DYNAMODB_UNAVAILABLE'].includes(error.code), error.shown);
      counted[error.code] = (counted[error.code] ?? 0) + 1;
    }
    assert.deepEqual(errors, counted);
  } finally {
    await tls.close();
  }
});

describe('an endpoint that cannot be', { concurrency: 4 }, () => {
  it('of FIPS or of dual-stack beside one of our own is ERR_CONFIG', async () => {
    for (const name of ['AWS_USE_FIPS_ENDPOINT', 'AWS_USE_DUALSTACK_ENDPOINT']) {
      await refused('ERR_CONFIG', new RegExp(name), { [name]: 'true' });
    }
    const config = await file(['[default]', 'use_fips_endpoint = true']);
    await refused('ERR_CONFIG', /use_fips_endpoint/, { AWS_CONFIG_FILE: config });
  });

  it('of FIPS or of dual-stack beside one of the environment is ERR_CONFIG', async () => {
    const { results } = await inProcess({
      environment: { ...KEYS, AWS_USE_FIPS_ENDPOINT: 'true', AWS_ENDPOINT_URL: backend.aws.dynamodb },
      config: { tableName: 'sessions' },
      calls: ALL,
    });
    for (const { error } of results) assert.equal(error?.code, 'ERR_CONFIG', error?.shown);
  });

  it('of the environment that is no URL is ERR_CONFIG', async () => {
    for (const [name, value] of [
      ['AWS_ENDPOINT_URL', 'localhost:8000'],
      ['AWS_ENDPOINT_URL_DYNAMODB', 'not a url'],
      ['AWS_ENDPOINT_URL_KMS', 'ftp://localhost'],
    ] as const) {
      const { results } = await inProcess({
        environment: { ...KEYS, [name]: value },
        config: { tableName: 'sessions' },
        calls: ALL,
      });
      for (const { error } of results) {
        assert.equal(error?.code, 'ERR_CONFIG', error?.shown);
        assert.match(error.detail, new RegExp(name));
      }
    }
  });

  it('for an account that is none, and a region that has white space, are ERR_CONFIG', async () => {
    for (const region of ['us-east-1 ', '\teu-west-1', 'us east', 'us-east-1\n']) {
      await refused('ERR_CONFIG', /AWS_REGION/, { AWS_REGION: region });
    }
    const config = await file(['[default]', 'region = us east']);
    await refused('ERR_CONFIG', /region of the AWS profile default/, { AWS_CONFIG_FILE: config });
    const { results } = await inProcess({
      environment: { ...KEYS, AWS_ACCOUNT_ID: 'an account', AWS_ACCOUNT_ID_ENDPOINT_MODE: 'required' },
      config: { tableName: 'sessions' },
      calls: [['get', 'a']],
    });
    assert.equal(results[0]?.error?.code, 'ERR_CONFIG', results[0]?.error?.shown);
  });
});

describe('certificates that the environment adds', { concurrency: 4 }, () => {
  const through = async (environment: Record<string, string>) => {
    const [dynamodb, kms] = [await startTls(backend.aws.dynamodb), await startTls(backend.aws.kms)];
    try {
      return await inProcess({
        environment: { ...KEYS, ...environment },
        config: { tableName: 'sessions', dynamodbEndpoint: dynamodb.url, kmsEndpoint: kms.url, timeouts: { callMillis: 2000 } },
        calls: [
          ['set', 'tls', { cookie: {} }],
          ['get', 'tls'],
        ],
      });
    } finally {
      await Promise.all([dynamodb.close(), kms.close()]);
    }
  };

  for (const name of ['AWS_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS']) {
    it(`by ${name} are trusted`, async () => {
      const bundle = await file(['# of the company', AUTHORITY]);
      const { results } = await through({ [name]: bundle });
      assert.deepEqual(results[1]?.value, { cookie: {} }, results[0]?.error?.shown);
    });

    it(`by ${name} that are none or cannot be read are ERR_CONFIG, which names it`, async () => {
      const broken = AUTHORITY.replace(/M/g, '!');
      for (const path of ['/nonexistent', home, await file([]), await file(['no certificate']), await file([broken])]) {
        await refused('ERR_CONFIG', new RegExp(`${name}.*${path}`), { [name]: path });
      }
    });
  }

  it('by ca_bundle of the profile are trusted', async () => {
    const config = await file(['[default]', `ca_bundle = ${await file([AUTHORITY])}`]);
    const { results } = await through({ AWS_CONFIG_FILE: config });
    assert.deepEqual(results[1]?.value, { cookie: {} }, results[0]?.error?.shown);
  });

  it('by ca_bundle of the profile that cannot be read are ERR_CONFIG, which names key and profile', async () => {
    const config = await file(['[default]', 'ca_bundle = /nonexistent']);
    await refused('ERR_CONFIG', /^ca_bundle of the AWS profile default must/, { AWS_CONFIG_FILE: config });
  });

  it('are missed where they are not there', async () => {
    const { results } = await through({});
    for (const { error } of results) assert.match(error?.code ?? 'none', /_UNAVAILABLE$/);
  });
});

describe('a proxy of a kind that cannot be used', { concurrency: 4 }, () => {
  const socks = 'socks5h://127.0.0.1:1';
  for (const name of ['ALL_PROXY', 'all_proxy', 'HTTP_PROXY', 'http_proxy']) {
    it(`in ${name} is ERR_CONFIG, which names it`, () =>
      refused('ERR_CONFIG', new RegExp(`environment's ${name} `), { [name]: socks }));
  }

  it('is ERR_CONFIG for https:// as well', async () => {
    const config = { dynamodbEndpoint: 'https://127.0.0.1:1', kmsEndpoint: 'https://127.0.0.1:1' };
    for (const name of ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY']) {
      const environment = { HTTP_PROXY: 'http://127.0.0.1:1', [name]: socks };
      await refused('ERR_CONFIG', new RegExp(`environment's ${name} `), environment, config);
    }
  });

  it('does no harm where it is not used', async () => {
    const unused: Record<string, string>[] = [{ ALL_PROXY: socks, NO_PROXY: '127.0.0.1,localhost' }, { HTTPS_PROXY: socks }];
    for (const environment of unused) {
      await valuesInProcess({ environment: { ...KEYS, ...environment }, config: backend.config, calls: ALL });
    }
  });

  it('is named where it hides the service that issues credentials', () =>
    refused(
      'ERR_CREDENTIALS',
      /environment's ALL_PROXY /,
      { ALL_PROXY: socks, NO_PROXY: '127.0.0.1', AWS_ENDPOINT_URL_STS: 'http://sts.invalid' },
      { roleArn: 'arn:aws:iam::232282424912:role/store' },
    ));
});
