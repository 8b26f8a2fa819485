// The templates: each is valid for its own tool, all make the same, and the command prints them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { command, installed } from '../support/command.ts';
import { CDK, CFN_LINT, npmEnvironment, PYTHON_HCL2, pythonEnvironment } from '../support/environments.ts';

const run = promisify(execFile);
const infrastructure = join(installed, 'infrastructure');
const read = (file: string) => readFile(join(infrastructure, file), 'utf8');
const cloudformation = parse(await read('cloudformation.yaml'));
const policy = JSON.parse(await read('iam-policy.json'));

/** What all of them must make. */
const TABLE = {
  billing: 'PAY_PER_REQUEST',
  key: 'sessionId',
  keyType: 'S',
  ttl: 'ttl',
  deletionProtection: true,
  recovery: true,
};
const KEY = { rotation: true, spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' };
const ACTIONS = policy.Statement.map(({ Sid, Action }: any) => [Sid, Action]);

const query = (metric: string) =>
  `SELECT SUM(${metric}) FROM SCHEMA("AWS/DynamoDB", Operation, TableName) WHERE TableName = 'sessions'`;
/** Each alarm: what it looks at, how often that must be, and in how many minutes. */
const ALARMS = [
  { of: query('ThrottledRequests'), threshold: 10 },
  { of: query('SystemErrors'), threshold: 10 },
  { of: 'AWS/DynamoDB UserErrors', threshold: 10 },
  { of: 'connect-dynamodb-kms KmsFailures-sessions', threshold: 1 },
].map((alarm) => ({
  ...alarm,
  comparison: 'GreaterThanOrEqualToThreshold',
  minutes: [3, 5],
  period: 60,
  missing: 'notBreaching',
}));
/** What of the log counts as a failure of KMS. */
const FILTER = {
  pattern: '?ERR_KMS_UNAVAILABLE ?ERR_KMS_THROTTLED ?ERR_KMS_KEY_UNUSABLE',
  metric: 'connect-dynamodb-kms KmsFailures-sessions',
  value: '1',
};

/** The table of a CloudFormation template, in the words above. */
const tableOf = ({ Properties }: any) => ({
  billing: Properties.BillingMode,
  key: Properties.KeySchema.length === 1 && Properties.KeySchema[0].AttributeName,
  keyType: Properties.AttributeDefinitions[0].AttributeType,
  ttl: Properties.TimeToLiveSpecification.Enabled && Properties.TimeToLiveSpecification.AttributeName,
  deletionProtection: Properties.DeletionProtectionEnabled,
  recovery: Properties.PointInTimeRecoverySpecification?.PointInTimeRecoveryEnabled,
});
const keyOf = ({ Properties }: any) => ({
  rotation: Properties.EnableKeyRotation,
  spec: Properties.KeySpec,
  usage: Properties.KeyUsage,
});
/** A value of a CloudFormation template as text, where every reference to a table is one to `sessions`. */
const plainText = (value: any): string => {
  if (typeof value === 'string') return value.replace(/\$\{SessionsTable\}/g, 'sessions');
  if (value['Fn::Sub']) return plainText(value['Fn::Sub']);
  if (value['Fn::Join']) return value['Fn::Join'][1].map(plainText).join(value['Fn::Join'][0]);
  assert.match(value.Ref, /Table/);
  return 'sessions';
};
const alarmOf = ({ Properties }: any) => {
  const [first, ...others] = Properties.Metrics ?? [Properties];
  assert.deepEqual(others, []);
  if (Properties.Statistic) assert.equal(Properties.Statistic, 'Sum');
  assert.deepEqual(Properties.Dimensions ?? [], []);
  assert.deepEqual(Properties.OKActions, Properties.AlarmActions);
  assert.equal(Properties.AlarmActions.length, 1);
  return {
    of: plainText(first.Expression ?? `${first.Namespace} ${plainText(first.MetricName)}`),
    threshold: Properties.Threshold,
    comparison: Properties.ComparisonOperator,
    minutes: [Properties.DatapointsToAlarm, Properties.EvaluationPeriods],
    period: first.Period,
    missing: Properties.TreatMissingData,
  };
};
const filterOf = ({ Properties }: any) => {
  const [transformation, ...others] = Properties.MetricTransformations;
  assert.deepEqual(others, []);
  const { MetricNamespace, MetricName, MetricValue: value } = transformation;
  return { pattern: Properties.FilterPattern, metric: `${MetricNamespace} ${plainText(MetricName)}`, value };
};
const actionsOf = (statements: any[]) => statements.map(({ Sid, Action }) => [Sid, [Action].flat()]);

describe('the CloudFormation template', () => {
  const { SessionsTable, SessionsKey, SessionsPolicy } = cloudformation.Resources;

  it('makes the table, the key and the policy', () => {
    assert.deepEqual(tableOf(SessionsTable), TABLE);
    assert.deepEqual(keyOf(SessionsKey), KEY);
    assert.deepEqual(actionsOf(SessionsPolicy.Properties.PolicyDocument.Statement), ACTIONS);
  });

  it('makes the alarms, if it is given a topic', () => {
    const alarms = Object.values<any>(cloudformation.Resources).filter(({ Type }) => Type === 'AWS::CloudWatch::Alarm');
    assert.deepEqual(alarms.map(alarmOf), ALARMS);
    const { KmsFailures } = cloudformation.Resources;
    assert.deepEqual(filterOf(KmsFailures), FILTER);
    assert.deepEqual(
      [...alarms, KmsFailures].map(({ Condition }) => Condition),
      ['HasAlarms', 'HasAlarms', 'HasAlarms', 'HasLogAlarms', 'HasLogAlarms'],
    );
    for (const { Properties } of alarms) assert.deepEqual(Properties.AlarmActions, [{ Ref: 'AlarmTopicArn' }]);
    const { AlarmTopicArn, LogGroupName } = cloudformation.Parameters;
    assert.deepEqual([AlarmTopicArn.Default, LogGroupName.Default], ['', '']);
  });

  it('is valid for cfn-lint', { timeout: 300_000 }, async () => {
    const { folder } = await pythonEnvironment(CFN_LINT);
    const lint = (path: string) => run(join(folder, 'cfn-lint'), ['--', path]);
    assert.equal((await lint(join(infrastructure, 'cloudformation.yaml'))).stdout, '');
    const home = await mkdtemp(join(tmpdir(), 'cfn-'));
    const broken = (await read('cloudformation.yaml')).replace('DeletionProtectionEnabled', 'DeletionProtection');
    await writeFile(join(home, 'broken.yaml'), broken);
    await assert.rejects(lint(join(home, 'broken.yaml')), { stdout: /DeletionProtection/ });
    await rm(home, { recursive: true });
  });
});

describe('the Terraform module', () => {
  let module: Record<string, any>;
  before(async () => {
    const { python } = await pythonEnvironment(PYTHON_HCL2);
    const files = (await readdir(join(infrastructure, 'terraform'))).sort();
    assert.deepEqual(files, ['alarms.tf', 'main.tf', 'outputs.tf', 'variables.tf']);
    const paths = files.map((file) => join(infrastructure, 'terraform', file));
    const program = `import hcl2, json, sys
print(json.dumps([hcl2.load(open(path)) for path in sys.argv[1:]]))`;
    const { stdout } = await run(python, ['-c', program, ...paths]);
    module = {};
    for (const file of JSON.parse(stdout)) {
      for (const [kind, blocks] of Object.entries<any[]>(file)) module[kind] = [...(module[kind] ?? []), ...[blocks].flat()];
    }
  });

  /** Texts without the quotes that some versions of the parser keep. */
  const plain = (value: any): any => {
    if (typeof value === 'string') return value.replace(/^"(.*)"$/s, '$1');
    if (Array.isArray(value)) return value.map(plain);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [plain(name), plain(inner)]));
  };
  const resource = (type: string) => {
    const found = plain(module.resource).filter((block: any) => type in block);
    assert.equal(found.length, 1, type);
    const [own] = Object.values<any>(found[0][type]);
    return own;
  };

  it('makes the same table and key', () => {
    const table = resource('aws_dynamodb_table');
    const first = (block: any) => [block].flat()[0];
    assert.deepEqual(
      {
        billing: table.billing_mode,
        key: table.range_key === undefined && table.hash_key,
        keyType: first(table.attribute).type,
        ttl: first(table.ttl).enabled && first(table.ttl).attribute_name,
        deletionProtection: table.deletion_protection_enabled,
        recovery: first(table.point_in_time_recovery).enabled,
      },
      TABLE,
    );
    const key = resource('aws_kms_key');
    const { enable_key_rotation: rotation, customer_master_key_spec: spec, key_usage: usage } = key;
    assert.deepEqual({ rotation, spec, usage }, KEY);
  });

  it('allows the same actions', async () => {
    const source = await read('terraform/main.tf');
    const own = source.slice(source.indexOf('resource "aws_iam_role_policy"'));
    const statements = [...own.matchAll(/Sid\s+= "(\w+)"[\s\S]+?Action = \[([^\]]+)\]/g)];
    const actions = statements.map(([, sid, list]) => [sid, [...list!.matchAll(/"([^"]+)"/g)].map(([, action]) => action)]);
    assert.deepEqual(actions, ACTIONS);
  });

  it('makes the same alarms, if it is given a topic', () => {
    const first = (block: any) => [block].flat()[0];
    const text = (value: string) => value.replace(/\$\{aws_dynamodb_table\.sessions\.name\}/g, 'sessions').replaceAll('\\"', '"');
    const resources = plain(module.resource);
    const alarms: any[] = resources
      .filter((block: any) => 'aws_cloudwatch_metric_alarm' in block)
      .map((block: any) => Object.values(block.aws_cloudwatch_metric_alarm)[0]);
    assert.deepEqual(
      alarms.map((alarm) => {
        const { expression, period } = first(alarm.metric_query) ?? alarm;
        assert.deepEqual(alarm.ok_actions, alarm.alarm_actions);
        assert.equal(alarm.alarm_actions.length, 1);
        return {
          of: text(expression ?? `${alarm.namespace} ${alarm.metric_name}`),
          threshold: alarm.threshold,
          comparison: alarm.comparison_operator,
          minutes: [alarm.datapoints_to_alarm, alarm.evaluation_periods],
          period,
          missing: alarm.treat_missing_data,
        };
      }),
      ALARMS,
    );
    const filter = resource('aws_cloudwatch_log_metric_filter');
    const { namespace, name, value } = first(filter.metric_transformation);
    assert.deepEqual({ pattern: filter.pattern, metric: `${namespace} ${text(name)}`, value }, FILTER);
    assert.deepEqual(
      [...alarms, filter].map(({ count }) => count),
      ['alarms', 'alarms', 'alarms', 'log_alarms', 'log_alarms'].map((local) => `\${local.${local}}`),
    );
  });

  it('has the variables that it uses, and outputs for the store', async () => {
    const names = (blocks: any[]) =>
      plain(blocks)
        .flatMap((block: any) => Object.keys(block))
        .sort();
    const sources = await Promise.all(['main', 'alarms', 'outputs'].map((file) => read(`terraform/${file}.tf`)));
    const source = sources.join('');
    const used = [...new Set([...source.matchAll(/\bvar\.(\w+)/g)].map(([, name]) => name))].sort();
    assert.deepEqual(names(module.variable!), used);
    assert.deepEqual(names(module.output!), ['kms_key_arn', 'table_name']);
  });
});

describe('the CDK construct', () => {
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'cdk-'));
    await symlink(await npmEnvironment(...CDK), join(home, 'node_modules'));
    await copyFile(join(infrastructure, 'cdk', 'sessions.ts'), join(home, 'sessions.ts'));
    await writeFile(
      join(home, 'app.ts'),
      `import { App, Stack } from 'aws-cdk-lib';
import { AccountPrincipal, Role } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Sessions } from './sessions';

declare const process: { argv: string[] };
const app = new App();
const stack = new Stack(app, 'gateway');
const sessions = new Sessions(stack, 'Sessions', { tableName: 'sessions' });
sessions.allow(new Role(stack, 'Server', { assumedBy: new AccountPrincipal('111122223333') }));
if (process.argv[2] === 'alarms') sessions.alarm({ topic: new Topic(stack, 'Topic'), logGroup: new LogGroup(stack, 'Log') });
if (process.argv[2] === 'topic') sessions.alarm({ topic: new Topic(stack, 'Topic') });
console.log(JSON.stringify(app.synth().getStackByName('gateway').template));
`,
    );
  });
  after(() => rm(home, { recursive: true }));

  it('fits the types of aws-cdk-lib', { timeout: 300_000 }, async () => {
    const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext', '--types', ''];
    await run(process.execPath, [tsc, ...options, 'app.ts'], { cwd: home });
  });

  /** The resources of its stack. */
  const synthesized = async (...args: string[]) => {
    const tsx = import.meta.resolve('tsx');
    const { stdout } = await run(process.execPath, ['--import', tsx, 'app.ts', ...args], { cwd: home });
    return Object.values<any>(JSON.parse(stdout).Resources);
  };
  const alarmsOf = (resources: any[]) => resources.filter(({ Type }) => Type === 'AWS::CloudWatch::Alarm').map(alarmOf);

  it('makes the same alarms, if it is asked for them', { timeout: 300_000 }, async () => {
    const resources = await synthesized('alarms');
    assert.deepEqual(alarmsOf(resources), ALARMS);
    assert.deepEqual(resources.filter(({ Type }) => Type === 'AWS::Logs::MetricFilter').map(filterOf), [FILTER]);
    assert.deepEqual(alarmsOf(await synthesized('topic')), ALARMS.slice(0, 3));
    assert.deepEqual(alarmsOf(await synthesized()), []);
  });

  it('makes the same table, key and policy', { timeout: 300_000 }, async () => {
    const resources = await synthesized();
    const only = (type: string) => {
      const found = resources.filter(({ Type }) => Type === type);
      assert.equal(found.length, 1, type);
      return found[0];
    };
    const table = only('AWS::DynamoDB::Table');
    assert.deepEqual(tableOf(table), TABLE);
    assert.equal(table.Properties.TableName, 'sessions');
    assert.equal(table.DeletionPolicy, 'Retain');
    const key = only('AWS::KMS::Key');
    assert.deepEqual(keyOf(key), KEY);
    assert.equal(key.DeletionPolicy, 'Retain');
    assert.deepEqual(actionsOf(only('AWS::IAM::Policy').Properties.PolicyDocument.Statement), ACTIONS);
  });
});

describe('the command prints', () => {
  it('the CloudFormation template', async () => {
    const { status, stdout } = await command(['cloudformation']);
    assert.deepEqual([status, stdout], [0, await read('cloudformation.yaml')]);
  });

  it('the Terraform module, in one file', async () => {
    const { status, stdout } = await command(['terraform']);
    assert.equal(status, 0);
    for (const file of ['main.tf', 'alarms.tf', 'variables.tf', 'outputs.tf']) {
      assert.ok(stdout.includes(await read(`terraform/${file}`)), file);
    }
  });
});
