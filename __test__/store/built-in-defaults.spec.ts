// The built-in key and table are those of one gateway. Who meets them by having forgotten a setting is told so, and what to set.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { AwsLocal } from '../support/aws-local.ts';
import { inProcess, type Job, type ShownError } from '../support/store-process.ts';

const DEFAULT_KEY = 'arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a';
const OWN_KEY = 'arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555';
const DEFAULT_TABLE = 'mcp-gateway-sessions';

const ALL_OF_THE_KEY = /built-in default.* option kmsKeyArn .*variable KMS_KEY_ARN /;
const ALL_OF_THE_TABLE = /built-in default.* option tableName .*variable SESSIONS_TABLE /;

describe('the built-in defaults', () => {
  /** Servers that know neither the built-in key nor the built-in table. */
  let aws: AwsLocal;
  before(async () => {
    aws = await AwsLocal.start(['--table', 'sessions', '--key-arn', OWN_KEY]);
  });
  after(() => aws.stop());

  async function failure({ environment = {}, ...job }: Partial<Job>): Promise<ShownError> {
    const endpoints = { AWS_ENDPOINT_URL_DYNAMODB: aws.dynamodb, AWS_ENDPOINT_URL_KMS: aws.kms };
    const credentials = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local', AWS_MAX_ATTEMPTS: '1' };
    const { results } = await inProcess({ environment: { ...endpoints, ...credentials, ...environment }, ...job });
    const [result] = results;
    assert.ok(result?.error, 'it succeeded');
    return result.error;
  }
  const save: Job['calls'] = [['set', 'sid', { cookie: {} }]];
  const read: Job['calls'] = [['get', 'sid']];
  const tableName = 'sessions';

  it('are named with what would have set the key, when KMS does not know it', async () => {
    for (const calls of [save, [['ping']]] as Array<Job['calls']>) {
      const error = await failure({ config: { tableName }, calls });
      assert.equal(error.code, 'ERR_KMS_KEY_UNUSABLE');
      assert.match(error.detail, ALL_OF_THE_KEY);
      assert.ok(error.detail.includes(DEFAULT_KEY), error.detail);
      assert.doesNotMatch(error.message, /KMS_KEY_ARN|kmsKeyArn|232282424912/);
    }
  });

  it('are named with what would have set the key, when KMS denies access to it', async () => {
    await aws.fault({ action: 'kms:GenerateDataKey', status: 400, code: 'AccessDeniedException' });
    const error = await failure({ config: { tableName }, calls: save });
    await aws.clearFaults();
    assert.equal(error.code, 'ERR_ACCESS_DENIED');
    assert.match(error.detail, ALL_OF_THE_KEY);
    assert.match(error.detail, /kms:GenerateDataKey/);
  });

  it('are named with the variable alone where no store is used', async () => {
    const error = await failure({ config: { tableName }, calls: [['encryptSessionData', 'text']] });
    assert.equal(error.code, 'ERR_KMS_KEY_UNUSABLE');
    assert.match(error.detail, /built-in default.* variable KMS_KEY_ARN is not set/);
    assert.doesNotMatch(error.detail, /option kmsKeyArn/);
  });

  it('are not named when somebody set the key, be it the same', async () => {
    for (const job of [
      { config: { tableName, kmsKeyArn: DEFAULT_KEY } },
      { config: { tableName }, environment: { KMS_KEY_ARN: DEFAULT_KEY } },
      { config: { tableName, kmsKeyArn: [DEFAULT_KEY, OWN_KEY] } },
    ]) {
      const error = await failure({ ...job, calls: save });
      assert.equal(error.code, 'ERR_KMS_KEY_UNUSABLE');
      assert.doesNotMatch(error.detail, /built-in/);
    }
  });

  it('are named with what would have set the table, when it does not exist or may not be read', async () => {
    const missing = await failure({ config: { kmsKeyArn: OWN_KEY }, calls: read });
    assert.equal(missing.code, 'ERR_TABLE_NOT_FOUND');
    assert.ok(missing.detail.includes(DEFAULT_TABLE), missing.detail);
    assert.match(missing.detail, ALL_OF_THE_TABLE);
    await aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'AccessDeniedException' });
    const denied = await failure({ config: { kmsKeyArn: OWN_KEY }, calls: read });
    await aws.clearFaults();
    assert.equal(denied.code, 'ERR_ACCESS_DENIED');
    assert.match(denied.detail, ALL_OF_THE_TABLE);
  });

  it('are not named when somebody set the table, be it the same', async () => {
    for (const job of [{ config: { tableName: DEFAULT_TABLE } }, { environment: { SESSIONS_TABLE: DEFAULT_TABLE } }]) {
      const error = await failure({ ...job, calls: read });
      assert.equal(error.code, 'ERR_TABLE_NOT_FOUND');
      assert.doesNotMatch(error.detail, /built-in/);
    }
  });
});
