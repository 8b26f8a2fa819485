// `doctor`: what can be wrong with the table, each found and mended.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { DynamoDBSessionStore, type SessionStoreConfig } from 'connect-dynamodb-kms';
import { AwsLocal } from '../support/aws-local.ts';
import { quietLogger } from '../support/backends.ts';
import { command } from '../support/command.ts';
import { KEY, Patient } from '../support/doctor.ts';

describe('doctor finds nothing wrong', () => {
  let patient: Patient;
  before(async () => {
    patient = await Patient.start();
  });
  after(() => patient.stop());

  it('with a table of create-table, and says what it looked at', async () => {
    const { status, findings, found } = await patient.examine();
    assert.deepEqual([status, found], [0, []]);
    const seen = findings.map(({ about, what }) => `${about}: ${what}`).join('\n');
    for (const part of [
      /^runtime: Node\.js \d/m,
      /^connection: DynamoDB in us-east-1 answers in \d+ ms$/m,
      /^clock: at most \d+ s off AWS's$/m,
      /^credentials: arn:aws:sts:/m,
      /^table: sessions is ACTIVE, on demand$/m,
      /^table: Time to Live is on ttl$/m,
      /^table: point-in-time recovery is on$/m,
      /^table: deletion protection is on$/m,
      /^key: .+ is enabled and symmetric$/m,
      /^permission: allowed: dynamodb:BatchGetItem, .+, kms:GenerateDataKey$/m,
      /^records: the table holds no sessions yet$/m,
    ]) {
      assert.match(seen, part);
    }
  });

  it('and prints a line for each finding, without secrets', async () => {
    const env = { AWS_SECRET_ACCESS_KEY: 'a-secret-that-nobody-may-see' };
    const { status, stdout, stderr } = await patient.run(['doctor', ...patient.key, '--record-version', '2'], { env });
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^ok {4}table {7}sessions is ACTIVE, on demand$/m);
    assert.match(stdout, /\n\n0 failed, 0 to mend, 0 to know, \d+ ok\n$/);
    assert.equal((stdout + stderr).includes(env.AWS_SECRET_ACCESS_KEY), false);
  });

  it('and leaves the table as it is', async () => {
    const items = async () => (await patient.aws.dynamodbCall('Scan', { TableName: 'sessions' })).Items;
    await patient.aws.dynamodbCall('PutItem', {
      TableName: 'sessions',
      Item: { sessionId: { S: 'TOKEN#1' }, owner: { S: 'x' } },
    });
    const before = await items();
    await patient.aws.reset();
    await patient.examine(['--prefix', 'gateway:']);
    assert.deepEqual(await items(), before);
    const tried = (await patient.aws.requests()).filter(({ action }) => /:(Put|Update|Delete)Item$/.test(action));
    assert.deepEqual(tried.map(({ action }) => action).sort(), [
      'dynamodb:DeleteItem',
      'dynamodb:PutItem',
      'dynamodb:UpdateItem',
    ]);
    for (const { body } of tried) {
      assert.ok(body.ConditionExpression, 'DynamoDB refuses it');
      const key = (body.Key ?? body.Item).sessionId.S;
      assert.ok(key.startsWith('gateway:'), 'a policy may allow these keys alone');
    }
  });
});

describe('doctor finds a table', () => {
  let patient: Patient;
  before(async () => {
    patient = await Patient.start(['--dynamodb-region', 'us-east-1']);
  });
  after(() => patient.stop());
  afterEach(() => patient.aws.clearFaults());

  /** A table of this name with another key, Time to Live or status. */
  const make = (name: string, key: [string, string][], more = {}) =>
    patient.aws.dynamodbCall('CreateTable', {
      TableName: name,
      KeySchema: key.map(([part], index) => ({ AttributeName: part, KeyType: index ? 'RANGE' : 'HASH' })),
      AttributeDefinitions: key.map(([part, type]) => ({ AttributeName: part, AttributeType: type })),
      BillingMode: 'PAY_PER_REQUEST',
      ...more,
    });

  it('that does not exist, and the command that makes it', async () => {
    const { status, findings, found } = await patient.examine(['--table-name', 'new-sessions']);
    assert.equal(status, 1);
    assert.deepEqual(found, ['fail table: new-sessions does not exist in this account in us-east-1']);
    assert.equal(findings[0]!.level, 'fail', 'the worst comes first');
    const [npx, program, ...args] = findings[0]!.next!.split(' ');
    assert.deepEqual([npx, program], ['npx', 'connect-dynamodb-kms']);
    assert.equal((await command(args)).status, 0);
    assert.equal((await patient.examine(['--table-name', 'new-sessions'])).status, 0);
  });

  it('of another region than the configured one', async () => {
    const { status, findings, found } = await patient.examine(['--region', 'eu-west-1']);
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail table: sessions does not exist in eu-west-1, but in us-east-1, where the key is/);
    assert.match(findings[0]!.next!, /^npx connect-dynamodb-kms doctor --table-name sessions --region us-east-1 /);
  });

  for (const [what, key, seen] of [
    ['another key', [['id', 'S']], 'id (S, HASH)'],
    ['a number as its key', [['sessionId', 'N']], 'sessionId (N, HASH)'],
    ['a sort key', [['sessionId', 'S'], ['at', 'N']], 'sessionId (S, HASH), at (N, RANGE)'], // biome-ignore format: a row
  ] as [string, [string, string][], string][]) {
    it(`with ${what}`, async () => {
      const name = `foreign-${what.replaceAll(' ', '-')}`;
      await make(name, key);
      const { status, found } = await patient.examine(['--table-name', name]);
      assert.equal(status, 1);
      assert.deepEqual(found, [
        `fail table: ${name} has the key ${seen}; sessions need the partition key sessionId (S, HASH) alone`,
      ]);
    });
  }

  it('without Time to Live, backups and deletion protection, and the command that mends it', async () => {
    await make('bare', [['sessionId', 'S']]);
    const { status, findings, found } = await patient.examine(['--table-name', 'bare']);
    assert.equal(status, 1);
    assert.deepEqual(found, [
      'warn table: Time to Live is off: ended sessions are never removed',
      'note table: point-in-time recovery is off',
      'note table: deletion protection is off',
    ]);
    assert.equal((await command(findings[0]!.next!.split(' ').slice(2))).status, 0);
    assert.deepEqual((await patient.examine(['--table-name', 'bare'])).found, []);
  });

  it('with its Time to Live on another attribute', async () => {
    await make('other-ttl', [['sessionId', 'S']]);
    const TimeToLiveSpecification = { AttributeName: 'expires', Enabled: true };
    await patient.aws.dynamodbCall('UpdateTimeToLive', { TableName: 'other-ttl', TimeToLiveSpecification });
    const { status, findings, found } = await patient.examine(['--table-name', 'other-ttl']);
    assert.equal(status, 1);
    assert.equal(found[0], 'warn table: Time to Live is on expires, not on ttl: ended sessions are never removed');
    assert.match(findings[0]!.next!, /Enabled=false,AttributeName=expires; an hour later: npx connect-dynamodb-kms create-table/);
  });

  it('that is still being made', async () => {
    const creating = await AwsLocal.start(['--key-arn', KEY, '--creating', '1000']);
    try {
      const definition = {
        TableName: 'sessions',
        KeySchema: [{ AttributeName: 'sessionId', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'sessionId', AttributeType: 'S' }],
        BillingMode: 'PAY_PER_REQUEST',
      };
      await creating.dynamodbCall('CreateTable', definition);
      const settings = ['--table-name', 'sessions', '--dynamodb-endpoint', creating.dynamodb, '--kms-endpoint', creating.kms];
      const { status, found } = await patient.examineWith([...settings, '--kms-key-arn', KEY, '--record-version', '2']);
      assert.deepEqual([status, found], [1, ['fail table: sessions is CREATING']]);
    } finally {
      await creating.stop();
    }
  });

  it('that nobody named', async () => {
    const settings = ['--dynamodb-endpoint', patient.aws.dynamodb, ...patient.key, '--record-version', '2'];
    const { status, found } = await patient.examineWith(settings);
    assert.equal(status, 1);
    assert.ok(
      found.includes('warn table: nobody named it, so it is the built-in default mcp-gateway-sessions'),
      found.join('\n'),
    );
  });

  it('whose settings may not be seen, and goes on with what may be', async () => {
    for (const operation of ['DescribeTimeToLive', 'DescribeContinuousBackups']) {
      await patient.aws.fault({ action: `dynamodb:${operation}`, status: 400, code: 'AccessDeniedException', message: 'no' });
    }
    const { status, found } = await patient.examine();
    assert.deepEqual(
      [status, found.map((line) => line.replace(/ \(.*/, ''))],
      [0, ['note table: its Time to Live could not be seen', 'note table: its point-in-time recovery could not be seen']],
    );
  });

  it('that may not be described, and says what it could not see', async () => {
    await patient.aws.fault({ action: 'dynamodb:DescribeTable', status: 400, code: 'AccessDeniedException', message: 'no' });
    const { status, found } = await patient.examine();
    await patient.aws.clearFaults();
    assert.deepEqual(
      [status, found.map((line) => line.replace(/ \(.*\);/, ';').replace(/ on arn:[^;]+/, ''))],
      [
        1,
        [
          'warn permission: dynamodb:DescribeTable is not allowed; only ping() and commands that read the whole table, such as survey, need it',
          'note table: its key and its deletion protection could not be seen',
        ],
      ],
    );
  });
});

/** A key that sealed sessions before. */
const FORMER = 'arn:aws:kms:us-east-1:111122223333:key/00000000-12ab-34cd-56ef-1234567890ab';

describe('doctor finds records', () => {
  let patient: Patient;
  before(async () => {
    patient = await Patient.start(['--key-arn', FORMER]);
  });
  after(() => patient.stop());

  const save = async (sid: string, options: SessionStoreConfig) => {
    const store = new DynamoDBSessionStore({
      tableName: 'sessions',
      dynamodbEndpoint: patient.aws.dynamodb,
      kmsEndpoint: patient.aws.kms,
      kmsKeyArn: KEY,
      logger: quietLogger(),
      ...options,
    });
    await store.set(sid, { cookie: {} } as any);
    await store.close();
  };

  it('of version 2 where version 1 is configured, and of versions that are not read', async () => {
    const settings = [...patient.table, ...patient.key];
    const empty = await patient.examineWith(settings);
    assert.equal(empty.status, 0);
    assert.match(empty.found.join(), /^note records: version 1 is configured; new tables should have version 2/);

    await save('a', { recordVersion: 2 });
    await save('b', { recordVersion: 2 });
    await save('c', { recordVersion: 1 });
    const turned = await patient.examineWith(settings);
    assert.equal(turned.status, 1);
    assert.match(turned.found[0]!, /^warn records: version 1 is configured, but 2 of 3 records .+ have version 2/);
    assert.deepEqual((await patient.examine()).found, []);

    const strict = await patient.examine(['--accept-versions', '2']);
    assert.equal(strict.status, 1);
    assert.match(strict.found[0]!, /^fail records: 1 of 3 records .+ have version 1, which the settings do not read$/);
  });

  it('that the key of the settings cannot open', async () => {
    const ids = ['a', 'b', 'c'];
    for (const id of ids) await save(id, { recordVersion: 2, kmsKeyArn: FORMER });
    const { status, findings, found } = await patient.examine();
    assert.equal(status, 1);
    assert.match(
      found.join('\n'),
      /^fail records: 3 of 3 sessions that were looked at cannot be opened \(ERR_INTEGRITY: [^\n]+\)$/,
    );
    assert.match(findings[0]!.next!, /give kmsKeyArn the key that sealed them, behind the new one/);
    await save('b', { recordVersion: 2 });
    const some = await patient.examine();
    assert.match(some.found.join('\n'), /^warn records: 2 of 3 sessions that were looked at cannot be opened [^\n]+$/);
    assert.equal(some.status, 1);
    assert.deepEqual((await patient.examine(['--kms-key-arn', FORMER])).found, []);
    const context = await patient.examine(['--kms-key-arn', FORMER, '--encryption-context', 'team=web']);
    assert.match(context.found.join('\n'), /^fail records: 3 of 3 sessions/);
  });
});
