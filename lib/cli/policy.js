'use strict';

// `policy`: the least IAM policy for the store of these options.

const { command } = require('./command.js');
const { POLICY } = require('./iam-policy.js');
const { withOperator } = require('./operator.js');
const { printJson } = require('./terminal.js');
const { UsageError } = require('./usage-error.js');

/** @typedef {import('./iam-policy.js').Statement} Statement */

/** What only some servers call has statements that are named so. */
const OPTIONAL = /^OnlyFor/;

/** What the commands that look at the table and the key need beside the store. */
const FOR_DOCTOR = ['dynamodb:DescribeTable', 'dynamodb:DescribeTimeToLive', 'dynamodb:DescribeContinuousBackups'];
const FOR_CREATE_TABLE = [
  'dynamodb:CreateTable',
  'dynamodb:TagResource',
  'dynamodb:UpdateTable',
  'dynamodb:UpdateTimeToLive',
  'dynamodb:UpdateContinuousBackups',
];

/** @param {string} region */
function partitionOf(region) {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}

/** @param {string} arn */
function parts(arn) {
  const [, partition, , region, account, resource] = arn.split(':');
  return { partition, region, account, resource };
}

/**
 * A key in a statement. An alias is no resource of KMS's actions, so a condition names it.
 * @param {string} arn
 */
function resourceOf(arn) {
  const { partition, region, account, resource } = parts(arn);
  if (!resource?.startsWith('alias/')) return { Resource: arn };
  return {
    Resource: `arn:${partition}:kms:${region}:${account}:key/*`,
    Condition: { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': resource } },
  };
}

/**
 * Keys by the way a statement names them: plain ones together, and each alias by itself.
 * @param {string} sid
 * @param {string[]} actions
 * @param {string[]} arns
 * @param {Record<string, string> | undefined} context
 * @returns {Statement[]}
 */
function ofKeys(sid, actions, arns, context) {
  const all = arns.map(resourceOf);
  const plain = all.filter(({ Condition }) => Condition === undefined).map(({ Resource }) => Resource);
  const own = all.filter(({ Condition }) => Condition !== undefined);
  const named = plain.length > 0 ? [{ Resource: plain.length === 1 ? plain[0] : plain, Condition: undefined }, ...own] : own;
  return named.map(({ Resource, Condition }, index) => {
    const conditions = { ...Condition, ...(context && { StringEquals: context }) };
    return {
      Sid: index === 0 ? sid : `${sid}${index + 1}`,
      Effect: 'Allow',
      Action: actions,
      Resource,
      ...(Object.keys(conditions).length > 0 && { Condition: conditions }),
    };
  });
}

/**
 * The context of all calls of KMS, where all records have it.
 * @param {Record<string, any>} config
 * @param {string} table
 */
function contextOf({ recordVersion, acceptVersions, encryptionContext = {} }, table) {
  if (recordVersion !== 2 || acceptVersions?.join() !== '2') return undefined;
  const pairs = { purpose: 'session-store', table, v: '2', ...encryptionContext };
  return Object.fromEntries(Object.entries(pairs).map(([name, value]) => [`kms:EncryptionContext:${name}`, value]));
}

/**
 * @param {Record<string, any>} config
 * @param {{ accountId?: string, sessionsOnly: boolean, operator: boolean }} which
 */
function policyOf(config, { accountId, sessionsOnly, operator }) {
  // An empty variable counts as unset.
  const table = config.tableName ?? (process.env.SESSIONS_TABLE || 'TABLE');
  const region = config.region ?? (process.env.AWS_REGION || 'REGION');
  const named = [config.kmsKeyArn ?? (process.env.KMS_KEY_ARN || [])].flat();
  const keys = named.length > 0 ? named : [`arn:${partitionOf(region)}:kms:REGION:ACCOUNT:key/KEY-ID`];
  const account = accountId ?? parts(keys[0]).account;
  const tableArn = `arn:${partitionOf(region)}:dynamodb:${region}:${account}:table/${table}`;
  const context = contextOf(config, table);
  const statements = POLICY.Statement.filter(({ Sid }) => !(sessionsOnly && OPTIONAL.test(Sid))).flatMap((statement) => {
    if (!statement.Action.every((action) => action.startsWith('kms:'))) return [{ ...statement, Resource: tableArn }];
    const [first, ...older] = keys;
    return [
      ...ofKeys(statement.Sid, statement.Action, [first], context),
      ...ofKeys('OlderKeys', ['kms:Decrypt'], older, context),
    ];
  });
  if (operator) {
    statements.push({ Sid: 'OnlyForDoctor', Effect: 'Allow', Action: FOR_DOCTOR, Resource: tableArn });
    statements.push(...ofKeys('OnlyForDoctorKeys', ['kms:DescribeKey'], keys, undefined));
    statements.push({ Sid: 'OnlyForCreateTable', Effect: 'Allow', Action: FOR_CREATE_TABLE, Resource: tableArn });
  }
  return { Version: POLICY.Version, Statement: statements };
}

module.exports = command({
  name: 'policy',
  description: `Prints the least IAM policy for a server whose store has these options. What is not given stands in capitals. The
account is that of the first key, unless --account-id names another. Older keys may only unwrap. If all records are of
version 2, the keys can be used with the store's encryption context alone.`,
  store: ['table-name', 'kms-key-arn', 'region', 'record-version', 'accept-versions', 'encryption-context'],
  options: {
    'account-id': { type: 'string', value: 'ID', help: "the table's account, if the key is in another" },
    'sessions-only': { type: 'boolean', help: 'without all(), ids(), length(), clear() and ping()' },
    operator: { type: 'boolean', help: 'with what doctor and create-table need' },
  },
  examples: [
    'policy --table-name sessions --region us-east-1 --kms-key-arn arn:aws:kms:us-east-1:111122223333:key/1234abcd',
    'policy --record-version 2 --accept-versions 2 --sessions-only',
  ],
  statuses: '0 done, 2 wrong usage.',
  async run({ values, config }) {
    const accountId = values['account-id'];
    if (accountId !== undefined && !/^\d{12}$/.test(accountId))
      throw new UsageError('--account-id takes the 12 digits of an account');
    await withOperator(config, async () => {}); // checks the options as a store does
    const which = { accountId, sessionsOnly: values['sessions-only'] === true, operator: values.operator === true };
    printJson(policyOf(config, which));
    return 0;
  },
});
