// `create-table`: what it makes, what it leaves alone, and that it can be repeated.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { AwsLocal } from '../support/aws-local.ts';
import { quietLogger } from '../support/backends.ts';
import { command } from '../support/command.ts';

describe('create-table', () => {
  let aws: AwsLocal;
  before(async () => {
    aws = await AwsLocal.start(['--creating', '2']);
  });
  after(() => aws.stop());

  let tables = 0;
  const newName = () => `sessions-${tables++}`;
  const create = (name: string, ...args: string[]) =>
    command(['create-table', '--table-name', name, '--dynamodb-endpoint', aws.dynamodb, ...args]);
  const ask = (operation: string, body: object) => aws.dynamodbCall(operation, body);
  const makeForeign = (name: string, key: { name: string; type?: string }[]) =>
    ask('CreateTable', {
      TableName: name,
      KeySchema: key.map((part, index) => ({ AttributeName: part.name, KeyType: index ? 'RANGE' : 'HASH' })),
      AttributeDefinitions: key.map((part) => ({ AttributeName: part.name, AttributeType: part.type ?? 'S' })),
      BillingMode: 'PAY_PER_REQUEST',
    });
  const described = async (name: string) => {
    const { Table } = await ask('DescribeTable', { TableName: name });
    const { TimeToLiveDescription } = await ask('DescribeTimeToLive', { TableName: name });
    const { ContinuousBackupsDescription } = await ask('DescribeContinuousBackups', { TableName: name });
    return {
      billing: Table.BillingModeSummary?.BillingMode,
      key: Table.KeySchema,
      protection: Table.DeletionProtectionEnabled ?? false,
      ttl: TimeToLiveDescription.TimeToLiveStatus === 'ENABLED' && TimeToLiveDescription.AttributeName,
      recovery: ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus === 'ENABLED',
      arn: Table.TableArn,
    };
  };
  /** The requests that change something. */
  const changes = async () => Object.keys(await aws.calls()).filter((action) => /:(Create|Update|Put|Delete|Tag)/.test(action));

  it('makes a table that a store works on, and waits until it is there', async () => {
    const name = newName();
    const { status, stdout, stderr } = await create(name, '--tag', 'service=gateway', '--tag', 'cost=a=b');
    assert.equal(status, 0, stderr);
    assert.deepEqual(stdout.split('\n'), [
      `${name} created in us-east-1, on demand, with the partition key sessionId (S)`,
      'Time to Live on ttl switched on',
      'point-in-time recovery switched on',
      '',
    ]);
    const { arn, ...rest } = await described(name);
    assert.deepEqual(rest, {
      billing: 'PAY_PER_REQUEST',
      key: [{ AttributeName: 'sessionId', KeyType: 'HASH' }],
      protection: true,
      ttl: 'ttl',
      recovery: true,
    });
    const { Tags } = await ask('ListTagsOfResource', { ResourceArn: arn });
    assert.deepEqual(
      Tags.toSorted((a: any, b: any) => a.Key.localeCompare(b.Key)),
      [
        { Key: 'cost', Value: 'a=b' },
        { Key: 'service', Value: 'gateway' },
      ],
    );
    const store = new DynamoDBSessionStore({
      tableName: name,
      dynamodbEndpoint: aws.dynamodb,
      kmsEndpoint: aws.kms,
      kmsKeyArn: aws.keyArns[0]!,
      recordVersion: 2,
      logger: quietLogger(),
    });
    await store.set('a', { cookie: {}, user: 'ada' } as any);
    assert.equal(((await store.get('a')) as any).user, 'ada');
    await store.close();
  });

  it('can be repeated, and then changes nothing', async () => {
    const name = newName();
    assert.equal((await create(name)).status, 0);
    await aws.reset();
    const again = await create(name);
    assert.deepEqual([again.status, again.stdout], [0, `${name} exists in us-east-1\n`]);
    assert.deepEqual(await changes(), []);
  });

  it('says what a table lacks, and switches it on only when told', async () => {
    const name = newName();
    await makeForeign(name, [{ name: 'sessionId' }]);
    for (let i = 0; i < 2; i++) await ask('DescribeTable', { TableName: name });
    await aws.reset();
    const before = await create(name);
    assert.equal(before.status, 1, before.stderr);
    assert.match(
      before.stdout,
      /off: Time to Live on ttl, point-in-time recovery, deletion protection\. --update switches it on\n$/,
    );
    assert.deepEqual(await changes(), []);
    const updated = await create(name, '--update');
    assert.equal(updated.status, 0, updated.stderr);
    const { protection, ttl, recovery } = await described(name);
    assert.deepEqual({ protection, ttl, recovery }, { protection: true, ttl: 'ttl', recovery: true });
    assert.equal((await create(name)).status, 0);
  });

  it('leaves out what is not wanted', async () => {
    const name = newName();
    const made = await create(name, '--no-point-in-time-recovery', '--no-deletion-protection');
    assert.equal(made.status, 0, made.stderr);
    const { protection, ttl, recovery } = await described(name);
    assert.deepEqual({ protection, ttl, recovery }, { protection: false, ttl: 'ttl', recovery: false });
  });

  for (const [what, key] of [
    ['another partition key', [{ name: 'id' }]],
    ['a number as its key', [{ name: 'sessionId', type: 'N' }]],
    ['a sort key', [{ name: 'sessionId' }, { name: 'at' }]],
  ] as [string, { name: string; type?: string }[]][]) {
    it(`refuses a table with ${what} before it changes anything`, async () => {
      const name = newName();
      await makeForeign(name, key);
      await aws.reset();
      const { status, stdout } = await create(name, '--update');
      assert.equal(status, 1);
      assert.match(stdout, /^wrong: .+ has the key .+; sessions need the partition key sessionId \(S, HASH\) alone/m);
      assert.deepEqual(await changes(), []);
    });
  }

  it('cannot move the Time to Live of a table, and says how to', async () => {
    const name = newName();
    await makeForeign(name, [{ name: 'sessionId' }]);
    for (let i = 0; i < 2; i++) await ask('DescribeTable', { TableName: name });
    await ask('UpdateTimeToLive', { TableName: name, TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true } });
    const { status, stdout } = await create(name, '--update');
    assert.equal(status, 1);
    assert.match(stdout, /wrong: .+ has its Time to Live on expires\. Switch that off, wait an hour/);
    assert.doesNotMatch(stdout, /off: .*Time to Live/); // --update does not switch that on
    assert.equal((await described(name)).recovery, true, 'the rest is switched on');
  });

  it('waits for AWS to be ready for backups of a new table', async () => {
    const code = 'ContinuousBackupsUnavailableException';
    await aws.fault({ action: 'dynamodb:UpdateContinuousBackups', status: 400, code, message: 'Please retry later', times: 2 });
    const name = newName();
    const { status, stderr } = await create(name);
    assert.equal(status, 0, stderr);
    assert.equal((await described(name)).recovery, true);
  });

  it('says with --dry-run what it would do', async () => {
    const name = newName();
    await aws.reset();
    const { status, stdout } = await create(name, '--dry-run');
    assert.equal(status, 0);
    assert.match(stdout, /would be created[\s\S]*Time to Live on ttl would be switched on/);
    assert.deepEqual(await changes(), []);
  });

  it('prints JSON', async () => {
    const name = newName();
    const report = JSON.parse((await create(name, '--json')).stdout);
    assert.deepEqual(report, { table: name, created: true, enabled: ['timeToLive', 'recovery'], missing: [], dryRun: false });
    const { status, stdout } = await create(name, '--json');
    assert.deepEqual([status, JSON.parse(stdout).created], [0, false]);
  });

  it('ends in order when it is interrupted, and goes on with --update', async () => {
    const slow = await AwsLocal.start(['--creating', '1000']);
    try {
      const args = ['create-table', '--table-name', 'sessions', '--dynamodb-endpoint', slow.dynamodb];
      let child: ChildProcess | undefined;
      const ended = command(args, {
        started: (process) => {
          child = process;
        },
      });
      while (!(await slow.calls())['dynamodb:DescribeTable']) await new Promise((resolve) => setTimeout(resolve, 20));
      while ((await slow.calls())['dynamodb:DescribeTable']! < 2) await new Promise((resolve) => setTimeout(resolve, 20));
      child!.kill('SIGINT');
      const { status, stdout, stderr } = await ended;
      assert.equal(status, 130, stderr);
      assert.match(stdout, /wrong: sessions is still being made/);
      assert.match(stderr, /To go on, run it again with --update/);
    } finally {
      await slow.stop();
    }
  });

  it('ends with 3 where AWS fails, and says so in a line', async () => {
    await aws.fault({ action: 'dynamodb:CreateTable', status: 400, code: 'AccessDeniedException', message: 'not authorized' });
    const { status, stderr } = await create(newName());
    await aws.clearFaults();
    assert.equal(status, 3);
    assert.match(stderr, /^connect-dynamodb-kms create-table: ERR_ACCESS_DENIED: .+dynamodb:CreateTable/);
    assert.doesNotMatch(stderr, /^ +at /m);
  });

  it('goes on where AWS throttles it', async () => {
    await aws.fault({ action: 'dynamodb:DescribeTable', status: 400, code: 'ThrottlingException', times: 12 });
    await aws.fault({ action: 'dynamodb:UpdateTimeToLive', status: 400, code: 'ThrottlingException', times: 8 });
    const name = newName();
    const { status, stderr } = await command(['create-table', '--table-name', name, '--dynamodb-endpoint', aws.dynamodb]);
    await aws.clearFaults();
    assert.equal(status, 0, stderr);
    assert.equal((await described(name)).ttl, 'ttl');
    assert.match(stderr, /^trying again for up to 60 s after ERR_DYNAMODB_THROTTLED: [^\n]+\n$/);
  });

  it('makes nobody wait for an endpoint that does not answer', async () => {
    await aws.reset();
    await aws.fault({ action: 'dynamodb:DescribeTable', status: 500, code: 'InternalServerError', message: 'oops' });
    const { status, stderr } = await create(newName());
    await aws.clearFaults();
    assert.equal(status, 3);
    assert.match(stderr, /^connect-dynamodb-kms create-table: ERR_DYNAMODB_UNAVAILABLE: /);
    // The attempts of one call, which the SDK makes.
    assert.deepEqual(await aws.calls(), { 'dynamodb:DescribeTable': 3 });
  });

  it('says what was done where the credentials are lost, and can go on', async () => {
    const lost = { status: 400, code: 'ExpiredTokenException', message: 'The security token included in the request is expired' };
    for (const args of [[], ['--json']]) {
      const name = newName();
      await aws.fault({ action: 'dynamodb:UpdateContinuousBackups', ...lost });
      const { status, stdout, stderr } = await create(name, ...args);
      await aws.clearFaults();
      assert.equal(status, 3);
      assert.match(stderr, /^connect-dynamodb-kms create-table: ERR_CREDENTIALS: /);
      if (args.length > 0) {
        const { created, enabled, missing } = JSON.parse(stdout);
        assert.deepEqual([created, enabled, missing], [true, ['timeToLive'], ['recovery']]);
      } else {
        assert.match(stdout, /created in [\s\S]+\nTime to Live on ttl switched on\noff: point-in-time recovery\. --update/);
      }
      assert.equal((await create(name, '--update')).status, 0);
    }
  });

  it('waits for a table that an interrupted run has begun', async () => {
    const name = newName();
    await makeForeign(name, [{ name: 'sessionId' }]);
    const { status, stderr } = await create(name, '--update');
    assert.equal(status, 0, stderr);
    assert.equal((await described(name)).recovery, true);
  });

  it('has nothing to do in local mode', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'create-table-'));
    const { status, stdout } = await command(['create-table', '--local', folder]);
    assert.deepEqual([status, stdout], [0, `nothing to do: local mode makes its table by itself, in ${folder}\n`]);
    await rm(folder, { recursive: true });
  });

  it('makes no table that nobody named', async () => {
    await aws.reset();
    const { status, stdout, stderr } = await command(['create-table', '--dynamodb-endpoint', aws.dynamodb]);
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, /name the table: --table-name NAME, or SESSIONS_TABLE/);
    assert.deepEqual(await changes(), []);
  });

  it('refuses tags without a value', async () => {
    const { status, stderr } = await create(newName(), '--tag', 'gateway');
    assert.equal(status, 2);
    assert.match(stderr, /--tag takes KEY=VALUE, not "gateway"/);
  });
});
