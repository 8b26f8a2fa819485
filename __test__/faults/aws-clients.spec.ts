// Where calls go, in which region, signed by whom, and over how many connections, as the servers see it.

import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as turn } from 'node:timers/promises';
import { CreateAliasCommand } from '@aws-sdk/client-kms';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { DynamoDBSessionStore, docClient, kmsClient } from 'connect-dynamodb-kms';
import type { Recorded } from '../support/aws-local.ts';
import { type AwsBackend, quietLogger, startAws } from '../support/backends.ts';
import { type Listening, listen, REFUSING_URL, startCounting, startHttp, startRouting } from '../support/http-server.ts';
import { PlainStore } from '../support/plain-store.ts';
import { inProcess, type Job, valuesInProcess } from '../support/store-process.ts';

const DEFAULT_KEY = 'arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a';
const KEY_ABROAD = 'arn:aws:kms:eu-central-1:232282424912:key/11111111-2222-3333-4444-555555555555';
const ROLE = 'arn:aws:iam::232282424912:role/store';
const SERVERS = ['--key-arn', DEFAULT_KEY, '--key-arn', KEY_ABROAD];

/** A save, a read and a ping, which call both services, of a session of its own. */
function someCalls(): Job['calls'] {
  const sid = randomUUID();
  return [['set', sid, { cookie: {} }], ['get', sid], ['ping']];
}

const KEYS = { AWS_ACCESS_KEY_ID: 'AKIAENVIRONMENT', AWS_SECRET_ACCESS_KEY: 'secret' };

function distinct(requests: Recorded[], service: string, field: 'region' | 'accessKeyId'): string[] {
  return [...new Set(requests.filter(({ action }) => action.startsWith(`${service}:`)).map((request) => request[field]))];
}

/** Runs a test on servers of its own. */
async function onServers(args: string[], test: (backend: AwsBackend) => Promise<void>): Promise<void> {
  const backend = await startAws([...SERVERS, ...args]);
  try {
    await test(backend);
  } finally {
    await backend.stop();
  }
}

describe('the region', { concurrency: 4 }, () => {
  const regions = async (backend: AwsBackend, environment: Record<string, string>, options: SessionStoreConfig) => {
    await valuesInProcess({
      environment: { ...KEYS, ...environment },
      config: { ...backend.config, ...options },
      calls: someCalls(),
    });
    const requests = await backend.aws.requests();
    return { dynamodb: distinct(requests, 'dynamodb', 'region'), kms: distinct(requests, 'kms', 'region') };
  };

  it('is us-east-1 unless somebody says otherwise', () =>
    onServers([], async (backend) => {
      assert.deepEqual(await regions(backend, {}, {}), { dynamodb: ['us-east-1'], kms: ['us-east-1'] });
    }));

  it('is that of AWS_REGION for DynamoDB, and that of the key for KMS', () =>
    onServers([], async (backend) => {
      const environment = { AWS_REGION: 'eu-west-1', KMS_KEY_ARN: KEY_ABROAD };
      assert.deepEqual(await regions(backend, environment, {}), { dynamodb: ['eu-west-1'], kms: ['eu-central-1'] });
    }));

  it('is that of the option rather than that of AWS_REGION', () =>
    onServers([], async (backend) => {
      const found = await regions(backend, { AWS_REGION: 'eu-west-1' }, { region: 'ap-south-1', kmsKeyArn: KEY_ABROAD });
      assert.deepEqual(found, { dynamodb: ['ap-south-1'], kms: ['eu-central-1'] });
    }));

  it('of the key counts for encryptSessionData too', () =>
    onServers([], async (backend) => {
      const environment = { ...KEYS, AWS_REGION: 'eu-west-1', KMS_KEY_ARN: KEY_ABROAD, AWS_ENDPOINT_URL_KMS: backend.aws.kms };
      const [sealed] = await valuesInProcess({ environment, calls: [['encryptSessionData', 'text']] });
      const parts = [sealed.encryptedData, sealed.encryptedKey, sealed.iv, sealed.authTag];
      assert.deepEqual(await valuesInProcess({ environment, calls: [['decryptSessionData', ...parts]] }), ['text']);
      assert.deepEqual(distinct(await backend.aws.requests(), 'kms', 'region'), ['eu-central-1']);
    }));

  it('of the handles is that of the environment', () =>
    onServers([], async (backend) => {
      await valuesInProcess({
        environment: {
          ...KEYS,
          AWS_REGION: 'eu-west-1',
          KMS_KEY_ARN: KEY_ABROAD,
          SESSIONS_TABLE: 'sessions',
          AWS_ENDPOINT_URL_DYNAMODB: backend.aws.dynamodb,
          AWS_ENDPOINT_URL_KMS: backend.aws.kms,
        },
        handles: ['kmsClient', 'docClient'],
        calls: someCalls(),
      });
      const requests = await backend.aws.requests();
      assert.deepEqual(distinct(requests, 'dynamodb', 'region'), ['eu-west-1']);
      assert.deepEqual(distinct(requests, 'kms', 'region'), ['eu-central-1']);
    }));
});

describe('the endpoint', { concurrency: 4 }, () => {
  let backend: AwsBackend;
  /** Both services at one URL. */
  let both: Listening;
  let nowhere: string;
  before(async () => {
    backend = await startAws(SERVERS);
    both = await startRouting({ DynamoDB_: backend.aws.dynamodb, TrentService: backend.aws.kms });
    nowhere = REFUSING_URL;
  });
  after(async () => {
    await both.close();
    await backend.stop();
  });

  const reaches = async (environment: Record<string, string>, config: SessionStoreConfig, handles: Job['handles'] = []) => {
    const [, session] = await valuesInProcess({
      environment: { ...KEYS, SESSIONS_TABLE: 'sessions', AWS_MAX_ATTEMPTS: '1', ...environment },
      config,
      handles,
      calls: someCalls(),
    });
    assert.deepEqual(session, { cookie: {} });
  };

  it('is that of AWS_ENDPOINT_URL for both services', () => reaches({ AWS_ENDPOINT_URL: both.url }, {}));

  it("is that of a service's own variable rather than that of AWS_ENDPOINT_URL", async () => {
    await reaches(
      { AWS_ENDPOINT_URL: nowhere, AWS_ENDPOINT_URL_DYNAMODB: backend.aws.dynamodb, AWS_ENDPOINT_URL_KMS: backend.aws.kms },
      {},
    );
    await reaches({ AWS_ENDPOINT_URL: backend.aws.dynamodb, AWS_ENDPOINT_URL_KMS: backend.aws.kms }, {});
    await reaches({ AWS_ENDPOINT_URL: backend.aws.kms, AWS_ENDPOINT_URL_DYNAMODB: backend.aws.dynamodb }, {});
  });

  it('is that of the option endpoint for both services, whatever the environment says', async () => {
    await reaches({}, { endpoint: both.url });
    await reaches(
      { AWS_ENDPOINT_URL: nowhere, AWS_ENDPOINT_URL_DYNAMODB: nowhere, AWS_ENDPOINT_URL_KMS: nowhere },
      { endpoint: both.url },
    );
  });

  it("is that of a service's own option rather than that of endpoint", async () => {
    await reaches({}, { endpoint: nowhere, dynamodbEndpoint: backend.aws.dynamodb, kmsEndpoint: backend.aws.kms });
    await reaches({}, { endpoint: backend.aws.dynamodb, kmsEndpoint: backend.aws.kms });
    await reaches({}, { endpoint: backend.aws.kms, dynamodbEndpoint: backend.aws.dynamodb });
  });

  it("is that of a service's own option beside the other's variable", async () => {
    await reaches(
      { AWS_ENDPOINT_URL: nowhere, AWS_ENDPOINT_URL_KMS: backend.aws.kms },
      { dynamodbEndpoint: backend.aws.dynamodb },
    );
    await reaches(
      { AWS_ENDPOINT_URL: nowhere, AWS_ENDPOINT_URL_DYNAMODB: backend.aws.dynamodb },
      { kmsEndpoint: backend.aws.kms },
    );
  });

  it('counts for a KMS key of another region as well', async () => {
    await reaches({}, { endpoint: both.url, kmsKeyArn: KEY_ABROAD });
    await reaches({ AWS_ENDPOINT_URL_KMS: backend.aws.kms }, { dynamodbEndpoint: backend.aws.dynamodb, kmsKeyArn: KEY_ABROAD });
  });

  it('of the handles is that of the environment', async () => {
    const variables = { AWS_ENDPOINT_URL_DYNAMODB: backend.aws.dynamodb, AWS_ENDPOINT_URL_KMS: backend.aws.kms };
    await reaches(variables, {}, ['kmsClient', 'docClient']);
    await reaches({ ...variables, AWS_ENDPOINT_URL_DYNAMODB: nowhere }, { dynamodbEndpoint: backend.aws.dynamodb }, [
      'kmsClient',
    ]);
    await reaches({ ...variables, AWS_ENDPOINT_URL_KMS: nowhere }, { kmsEndpoint: backend.aws.kms }, ['docClient']);
  });

  it('may end in a slash or have a path of its own', async () => {
    await reaches({}, { dynamodbEndpoint: `${backend.aws.dynamodb}/`, kmsEndpoint: `${backend.aws.kms}/` });
    await reaches({}, { endpoint: `${both.url}/behind/a/path` });
  });
});

describe('the credentials', { concurrency: 4 }, () => {
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'home-'));
  });
  after(() => rm(home, { recursive: true }));

  const file = async (name: string, lines: string[]) => {
    const path = join(home, name);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, lines.join('\n'));
    return path;
  };
  /** Runs a store with this environment and gives who signed its calls to both services: one and the same. */
  const signer = async (backend: AwsBackend, environment: Record<string, string>, options: SessionStoreConfig = {}) => {
    await backend.aws.reset();
    await valuesInProcess({
      environment: { HOME: home, ...environment },
      config: { ...backend.config, ...options },
      calls: someCalls(),
    });
    const requests = await backend.aws.requests();
    const [signers, others] = [distinct(requests, 'dynamodb', 'accessKeyId'), distinct(requests, 'kms', 'accessKeyId')];
    assert.equal(signers.length, 1);
    assert.deepEqual(others, signers);
    return signers[0]!;
  };

  it('come from the environment', () =>
    onServers(['--access-key-id', KEYS.AWS_ACCESS_KEY_ID], async (backend) => {
      assert.equal(await signer(backend, KEYS), 'AKIAENVIRONMENT');
    }));

  it('come from a profile: the default one, that of AWS_PROFILE, that of the option', () =>
    onServers([], async (backend) => {
      const path = await file('credentials', [
        ...['[default]', 'aws_access_key_id = AKIADEFAULT', 'aws_secret_access_key = secret'],
        ...['[staging]', 'aws_access_key_id = AKIASTAGING', 'aws_secret_access_key = secret'],
        ...['[live]', 'aws_access_key_id = AKIALIVE', 'aws_secret_access_key = secret'],
      ]);
      const environment = { AWS_SHARED_CREDENTIALS_FILE: path };
      assert.equal(await signer(backend, environment), 'AKIADEFAULT');
      assert.equal(await signer(backend, { ...environment, AWS_PROFILE: 'staging' }), 'AKIASTAGING');
      assert.equal(await signer(backend, environment, { profile: 'live' }), 'AKIALIVE');
      assert.equal(await signer(backend, { ...environment, AWS_PROFILE: 'staging' }, { profile: 'live' }), 'AKIALIVE');
    }));

  it('come from the profile that the option names, even if the environment has others', () =>
    onServers([], async (backend) => {
      const path = await file('named', ['[live]', 'aws_access_key_id = AKIALIVE', 'aws_secret_access_key = secret']);
      assert.equal(await signer(backend, { ...KEYS, AWS_SHARED_CREDENTIALS_FILE: path }, { profile: 'live' }), 'AKIALIVE');
    }));

  it('come from the files in the home folder', () =>
    onServers([], async (backend) => {
      await file('own/.aws/credentials', ['[default]', 'aws_access_key_id = AKIAHOME', 'aws_secret_access_key = secret']);
      assert.equal(await signer(backend, { HOME: join(home, 'own') }), 'AKIAHOME');
    }));

  it('of a profile that does not exist are ERR_CREDENTIALS', () =>
    onServers([], async (backend) => {
      const { results } = await inProcess({
        environment: { HOME: home },
        config: { ...backend.config, profile: 'no-such' },
        calls: [['get', 'a']],
      });
      assert.equal(results[0]?.error?.code, 'ERR_CREDENTIALS', results[0]?.error?.shown);
    }));

  it('come from a credential_process', () =>
    onServers([], async (backend) => {
      const reply = { Version: 1, AccessKeyId: 'ASIAPROCESS', SecretAccessKey: 'secret', SessionToken: 'token' };
      const program = await file('issue.mjs', [`console.log(${JSON.stringify(JSON.stringify(reply))})`]);
      const config = await file('process-config', ['[profile issued]', `credential_process = ${process.execPath} ${program}`]);
      assert.equal(await signer(backend, { AWS_CONFIG_FILE: config }, { profile: 'issued' }), 'ASIAPROCESS');
    }));

  it('come from a web identity token', () =>
    onServers(['--access-key-id', 'AKIANOBODY'], async (backend) => {
      const token = await file('token', ['header.payload.signature']);
      const environment = { AWS_WEB_IDENTITY_TOKEN_FILE: token, AWS_ROLE_ARN: ROLE, AWS_ENDPOINT_URL_STS: backend.aws.sts };
      assert.match(await signer(backend, environment), /^ASIA/);
      const [assumed] = (await backend.aws.requests()).filter(({ action }) => action === 'sts:AssumeRoleWithWebIdentity');
      const form = new URLSearchParams(assumed?.body);
      assert.equal(form.get('RoleArn'), ROLE);
      assert.equal(form.get('WebIdentityToken'), 'header.payload.signature');
    }));

  /** Answers requests by method and path, with JSON or text. */
  const startPaths = (paths: Record<string, (request: IncomingMessage) => unknown>) =>
    startHttp((request, response) => {
      const answer = paths[`${request.method} ${request.url}`];
      if (!answer) return void response.writeHead(404).end();
      const body = answer(request);
      response
        .writeHead(200, { 'x-aws-ec2-metadata-token-ttl-seconds': '21600' })
        .end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  const issued = (id: string) => ({
    Code: 'Success',
    LastUpdated: '2026-01-01T00:00:00Z',
    Type: 'AWS-HMAC',
    AccessKeyId: id,
    SecretAccessKey: 'secret',
    Token: 'token',
    Expiration: new Date(Date.now() + 3_600_000).toISOString(),
  });

  it("come from a container's endpoint, as on ECS and EKS", () =>
    onServers([], async (backend) => {
      const authorizations: Array<string | undefined> = [];
      const container = await startPaths({
        'GET /v2/credentials/1': (request) => {
          authorizations.push(request.headers.authorization);
          return issued('ASIACONTAINER');
        },
      });
      const environment = {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${container.url}/v2/credentials/1`,
        AWS_CONTAINER_AUTHORIZATION_TOKEN: 'let-me-in',
      };
      assert.equal(await signer(backend, environment), 'ASIACONTAINER');
      assert.deepEqual(authorizations, ['let-me-in']);
      await container.close();
    }));

  it("come from an instance's metadata, as on EC2", () =>
    onServers([], async (backend) => {
      const metadata = await startPaths({
        'PUT /latest/api/token': () => 'imds-token',
        'GET /latest/meta-data/iam/security-credentials/': () => 'instance-role',
        'GET /latest/meta-data/iam/security-credentials/instance-role': (request) =>
          request.headers['x-aws-ec2-metadata-token'] === 'imds-token' ? issued('ASIAINSTANCE') : {},
      });
      const environment = { AWS_EC2_METADATA_DISABLED: 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url };
      assert.equal(await signer(backend, environment), 'ASIAINSTANCE');
      await metadata.close();
    }));

  it('come from a single sign-on', () =>
    onServers([], async (backend) => {
      const start = 'https://example.awsapps.com/start';
      const expires = new Date(Date.now() + 3_600_000).toISOString();
      const cache = `sso/.aws/sso/cache/${createHash('sha1').update(start).digest('hex')}.json`;
      await file(cache, [JSON.stringify({ startUrl: start, region: 'us-east-1', accessToken: 'sso-token', expiresAt: expires })]);
      await file('sso/.aws/config', [
        ...['[profile people]', `sso_start_url = ${start}`, 'sso_region = us-east-1'],
        ...['sso_account_id = 232282424912', 'sso_role_name = store'],
      ]);
      const portal = await startPaths({
        'GET /federation/credentials?role_name=store&account_id=232282424912': (request) => ({
          roleCredentials:
            request.headers['x-amz-sso_bearer_token'] === 'sso-token'
              ? { accessKeyId: 'ASIASSO', secretAccessKey: 'secret', sessionToken: 'token', expiration: Date.now() + 3_600_000 }
              : {},
        }),
      });
      const environment = { HOME: join(home, 'sso'), AWS_ENDPOINT_URL_SSO: portal.url };
      assert.equal(await signer(backend, environment, { profile: 'people' }), 'ASIASSO');
      await portal.close();
    }));

  it('of a role are assumed with those of the chain, once, and sign everything', () =>
    onServers(['--access-key-id', KEYS.AWS_ACCESS_KEY_ID], async (backend) => {
      const environment = { ...KEYS, AWS_ENDPOINT_URL_STS: backend.aws.sts, AWS_REGION: 'eu-west-1' };
      // The server takes the environment's key and those that its STS issued.
      assert.match(await signer(backend, environment, { roleArn: ROLE, region: 'us-east-1' }), /^ASIA/);
      const assumed = (await backend.aws.requests()).filter(({ action }) => action.startsWith('sts:'));
      assert.deepEqual(
        assumed.map(({ action, accessKeyId, region }) => [action, accessKeyId, region]),
        [['sts:AssumeRole', 'AKIAENVIRONMENT', 'us-east-1']],
      );
      const form = new URLSearchParams(assumed[0]!.body);
      assert.equal(form.get('RoleArn'), ROLE);
      assert.match(form.get('RoleSessionName') ?? '', /^[\w+=,.@-]{2,64}$/);
    }));

  it('of a role that nobody may assume are ERR_CREDENTIALS, with what STS says', () =>
    onServers([], async (backend) => {
      await backend.aws.fault({
        action: 'sts:AssumeRole',
        status: 403,
        code: 'AccessDenied',
        message: 'may not do sts:AssumeRole',
      });
      const environment = { ...KEYS, AWS_ENDPOINT_URL_STS: backend.aws.sts };
      const { results } = await inProcess({ environment, config: { ...backend.config, roleArn: ROLE }, calls: [['get', 'a']] });
      assert.equal(results[0]?.error?.code, 'ERR_CREDENTIALS', results[0]?.error?.shown);
      assert.match(results[0].error.cause?.message ?? '', /sts:AssumeRole/);
      assert.equal((await backend.aws.calls())['dynamodb:GetItem'], undefined, 'called with the credentials of the chain');
    }));
});

describe('the connections', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws(SERVERS);
  });
  after(() => backend.stop());

  it('are not made at construction', async () => {
    const server = await startCounting(backend.aws.dynamodb);
    const options = { logger: quietLogger(), tableName: 'sessions' };
    const stores = [
      new DynamoDBSessionStore({ recordVersion: 1, ...options, endpoint: server.url }),
      new DynamoDBSessionStore({ recordVersion: 1, ...options, dynamodbEndpoint: server.url, kmsEndpoint: server.url }),
      new DynamoDBSessionStore({ recordVersion: 1, ...options, endpoint: server.url, roleArn: ROLE, profile: 'no-such' }),
      new DynamoDBSessionStore({ recordVersion: 1, ...options, endpoint: server.url, kmsKeyArn: KEY_ABROAD }),
    ];
    // Whatever these had started would be there before this goes to the same server and back several times.
    const other = backend.store();
    for (let round = 0; round < 5; round += 1) await other.ping();
    assert.equal(server.connections(), 0);
    await stores[0]!.get('a');
    assert.equal(server.connections(), 1);
    await Promise.all(stores.map((store) => store.close()));
    await server.close();
  });

  it('are shared by stores with the same settings: one to each service for calls in turn', async () => {
    const [dynamodb, kms] = [await startCounting(backend.aws.dynamodb), await startCounting(backend.aws.kms)];
    const options = { tableName: 'sessions', dynamodbEndpoint: dynamodb.url, kmsEndpoint: kms.url };
    const one = backend.store({ ...options, keyCache: false });
    const two = backend.store({ ...options, keyCache: false, prefix: 'two:', ttlSeconds: 60 });
    for (let round = 0; round < 5; round += 1) {
      await one.set(`${round}`, { cookie: {} });
      await two.set(`${round}`, { cookie: {} });
      await one.get(`${round}`);
      await two.get(`${round}`);
    }
    await one.close();
    const three = backend.store({ ...options, keyCache: false });
    await three.get('0');
    assert.deepEqual([dynamodb.connections(), kms.connections()], [1, 1]);
    await Promise.all([two.close(), three.close()]);
    await Promise.all([dynamodb.close(), kms.close()]);
  });

  it('are let go with the last store that uses them', { timeout: 300_000 }, async () => {
    // Idle ones are kept for a minute and a half; a gateway may make a store for each of its tenants.
    const sockets = new Set<Socket>();
    let ended = 0;
    const server = createServer((socket) => {
      const onward = connect(Number(new URL(backend.aws.dynamodb).port), '127.0.0.1');
      onward.on('error', () => socket.destroy());
      socket.on('close', () => {
        ended += 1;
        onward.destroy();
      });
      socket.pipe(onward).pipe(socket);
    });
    const listening = await listen(server, sockets);
    const store = (callMillis: number) => backend.store({ dynamodbEndpoint: listening.url, timeouts: { callMillis } });
    const [one, same, other] = [store(3001), store(3001), store(3002)];
    for (const each of [one, same, other]) await each.get('a');
    assert.equal(sockets.size, 2);
    await one.close();
    await same.get('a');
    await same.close();
    while (ended < 1) await turn(10);
    await other.get('a');
    assert.equal(sockets.size, 1);
    await other.close();
    while (ended < 2) await turn(10);
    await listening.close();
  });

  it('of the handles, of a store without settings and of encryptSessionData are the same', async () => {
    const [dynamodb, kms] = [await startCounting(backend.aws.dynamodb), await startCounting(backend.aws.kms)];
    const variables = { AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url, AWS_ENDPOINT_URL_KMS: kms.url };
    Object.assign(process.env, variables); // read at the first call of this process that needs them
    const options = { tableName: 'sessions', keyCache: false, logger: quietLogger() };
    const stores = [
      new DynamoDBSessionStore({ recordVersion: 1, ...options, kmsClient, docClient }),
      new DynamoDBSessionStore({ recordVersion: 1, ...options, kmsClient }),
      new DynamoDBSessionStore({ recordVersion: 1, ...options, docClient }),
      new DynamoDBSessionStore(options),
    ];
    for (const store of stores) {
      await store.set('a', { cookie: {} });
      assert.deepEqual(await store.get('a'), { cookie: {} });
    }
    assert.deepEqual([dynamodb.connections(), kms.connections()], [1, 1]);
    for (const name of Object.keys(variables)) delete process.env[name];
    await Promise.all(stores.map((store) => store.close()));
    await Promise.all([dynamodb.close(), kms.close()]);
  });
});

describe('a call', { concurrency: 4 }, () => {
  it('of ping describes the table, makes a data key and unwraps it, once each', () =>
    onServers([], async (backend) => {
      const store = backend.store();
      for (let round = 1; round <= 2; round += 1) {
        await store.ping();
        assert.deepEqual(await backend.aws.calls(), {
          'dynamodb:DescribeTable': round,
          'kms:GenerateDataKey': round,
          'kms:Decrypt': round,
        });
      }
      assert.equal(await store.length(), 0);
    }));

  it('is tried again when the service says so, and then succeeds', () =>
    onServers([], async (backend) => {
      const store = backend.store();
      await backend.aws.fault({ action: 'kms:GenerateDataKey', status: 500, code: 'KMSInternalException', times: 1 });
      await backend.aws.fault({
        action: 'dynamodb:PutItem',
        status: 400,
        code: 'ProvisionedThroughputExceededException',
        times: 1,
      });
      await store.set('a', { cookie: {} });
      assert.deepEqual(await store.get('a'), { cookie: {} });
      assert.deepEqual(await backend.aws.calls(), { 'kms:GenerateDataKey': 2, 'dynamodb:PutItem': 2, 'dynamodb:GetItem': 1 });
    }));

  it('is not tried again when that cannot help', () =>
    onServers([], async (backend) => {
      await backend.aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'AccessDeniedException' });
      await assert.rejects(backend.store().get('a'), { code: 'ERR_ACCESS_DENIED' });
      assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 1 });
    }));

  it('says which SDK makes it, the first as well as later and repeated ones', async () => {
    const agents: unknown[][] = [];
    const server = await startHttp((request, response) => {
      agents.push([request.headers['user-agent'], request.headers['x-amz-user-agent']]);
      const [status, code] = agents.length === 2 ? [500, 'InternalServerError'] : [400, 'AccessDeniedException'];
      response.writeHead(status, { 'x-amzn-requestid': randomUUID() }).end(JSON.stringify({ __type: code }));
    });
    const store = new DynamoDBSessionStore({
      recordVersion: 1,
      tableName: 'sessions',
      endpoint: server.url,
      logger: quietLogger(),
    });
    for (let call = 1; call <= 3; call += 1) await assert.rejects(store.get('a'), { code: 'ERR_ACCESS_DENIED' });
    await server.close();
    assert.equal(agents.length, 4, 'the second was repeated');
    assert.match(`${agents[0]![0]}`, /^aws-sdk-rust\/\S+ /);
    assert.match(`${agents[0]![1]}`, / api\/dynamodb\/\S+ /);
    for (const later of agents.slice(1)) assert.deepEqual(later, agents[0]);
  });

  it('goes to an alias of the KMS key as well as to the key', () =>
    onServers([], async (backend) => {
      const plain = new PlainStore(backend.aws);
      await plain.kms.send(new CreateAliasCommand({ AliasName: 'alias/sessions', TargetKeyId: DEFAULT_KEY }));
      const store = () => backend.store({ kmsKeyArn: 'arn:aws:kms:us-east-1:232282424912:alias/sessions' });
      await store().set('a', { cookie: {} });
      assert.deepEqual(await store().get('a'), { cookie: {} });
      assert.deepEqual(await plain.get('a'), { cookie: {} });
      await store().ping();
      plain.close();
    }));
});
