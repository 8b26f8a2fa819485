// `policy`: the least that a server with these options needs.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { command, installed } from '../support/command.ts';
import { Patient } from '../support/doctor.ts';

const standard = JSON.parse(await readFile(join(installed, 'infrastructure', 'iam-policy.json'), 'utf8'));
const KEY = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const OLDER = 'arn:aws:kms:eu-west-1:444455556666:key/00000000-12ab-34cd-56ef-1234567890ab';
const ALIAS = 'arn:aws:kms:us-east-1:111122223333:alias/sessions';

interface Statement {
  Sid: string;
  Action: string[];
  Resource: string | string[];
  Condition?: Record<string, Record<string, string>>;
}

async function policy(args: string[] = [], env = {}): Promise<Statement[]> {
  const { status, stdout, stderr } = await command(['policy', ...args], { env });
  assert.equal(status, 0, stderr);
  const { Version, Statement } = JSON.parse(stdout);
  assert.equal(Version, '2012-10-17');
  return Statement;
}

const named = (statements: Statement[], sid: string) => statements.find(({ Sid }) => Sid === sid);

describe('policy', () => {
  it('is the policy of infrastructure/ where nothing is named', async () => {
    assert.deepEqual(await policy(), standard.Statement);
  });

  it('names the table and the key of the options, and of the environment', async () => {
    const options = await policy(['--table-name', 'sessions', '--region', 'us-east-1', '--kms-key-arn', KEY]);
    const table = 'arn:aws:dynamodb:us-east-1:111122223333:table/sessions';
    assert.deepEqual(
      options.map(({ Resource }) => Resource),
      [table, table, table, KEY],
    );
    assert.deepEqual(await policy([], { SESSIONS_TABLE: 'sessions', AWS_REGION: 'us-east-1', KMS_KEY_ARN: KEY }), options);
  });

  it('takes an empty variable for one that is not set', async () => {
    assert.deepEqual(await policy([], { SESSIONS_TABLE: '', AWS_REGION: '', KMS_KEY_ARN: '' }), standard.Statement);
  });

  it('takes the account of the table, and the partition of its region', async () => {
    const args = ['--table-name', 'sessions', '--kms-key-arn', KEY];
    const other = await policy([...args, '--region', 'cn-north-1', '--account-id', '123456789012']);
    assert.equal(other[0]!.Resource, 'arn:aws-cn:dynamodb:cn-north-1:123456789012:table/sessions');
    assert.equal((await command(['policy', '--account-id', 'me'])).status, 2);
  });

  it('lets older keys unwrap alone', async () => {
    const statements = await policy(['--kms-key-arn', KEY, '--kms-key-arn', OLDER]);
    assert.deepEqual(named(statements, 'DataKeys')!.Resource, KEY);
    const { Action, Resource } = named(statements, 'OlderKeys')!;
    assert.deepEqual([Action, Resource], [['kms:Decrypt'], OLDER]);
  });

  it('names an alias in a condition, since it is no resource of these actions', async () => {
    const { Resource, Condition } = named(await policy(['--kms-key-arn', ALIAS]), 'DataKeys')!;
    assert.equal(Resource, 'arn:aws:kms:us-east-1:111122223333:key/*');
    assert.deepEqual(Condition, { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/sessions' } });
  });

  it('asks for the encryption context where all records have one', async () => {
    const args = ['--table-name', 'sessions', '--kms-key-arn', KEY, '--record-version', '2'];
    assert.equal(named(await policy(args), 'DataKeys')!.Condition, undefined, 'version 1 is read, too');
    const strict = await policy([...args, '--accept-versions', '2', '--encryption-context', 'team=web']);
    assert.deepEqual(named(strict, 'DataKeys')!.Condition, {
      StringEquals: {
        'kms:EncryptionContext:purpose': 'session-store',
        'kms:EncryptionContext:table': 'sessions',
        'kms:EncryptionContext:v': '2',
        'kms:EncryptionContext:team': 'web',
      },
    });
  });

  it('leaves out what only some servers call', async () => {
    const statements = await policy(['--sessions-only']);
    assert.deepEqual(
      statements.map(({ Sid }) => Sid),
      ['Sessions', 'DataKeys'],
    );
  });

  it('adds what the operator needs', async () => {
    const actions = (await policy(['--operator'])).flatMap(({ Action }) => Action);
    for (const action of ['dynamodb:DescribeTimeToLive', 'kms:DescribeKey', 'dynamodb:CreateTable']) {
      assert.ok(actions.includes(action), action);
    }
  });

  it('allows doctor and create-table all that they call, and no more', async () => {
    const patient = await Patient.start(); // with create-table
    try {
      const definition = {
        TableName: 'bare',
        KeySchema: [{ AttributeName: 'sessionId', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'sessionId', AttributeType: 'S' }],
        BillingMode: 'PAY_PER_REQUEST',
      };
      await patient.aws.dynamodbCall('CreateTable', definition);
      const endpoint = ['--dynamodb-endpoint', patient.aws.dynamodb];
      const updated = await command(['create-table', '--update', '--table-name', 'bare', ...endpoint]);
      assert.equal(updated.status, 0, updated.stderr);
      assert.equal((await patient.examine()).status, 0);
      // The first needs no permission; the second is that of the tags in CreateTable.
      const called = Object.keys(await patient.aws.calls()).filter((action) => action !== 'sts:GetCallerIdentity');
      const allowed = (await policy(['--operator'])).flatMap(({ Action }) => Action);
      assert.deepEqual([...called, 'dynamodb:TagResource'].sort(), [...new Set(allowed)].sort());
    } finally {
      await patient.stop();
    }
  });

  it('checks the options as a store does', async () => {
    const { status, stderr } = await command(['policy', '--kms-key-arn', 'key/1']);
    assert.equal(status, 2);
    assert.match(stderr, /ERR_CONFIG: kmsKeyArn/);
  });
});
