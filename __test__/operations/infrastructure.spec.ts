// The policies allow what the store calls, all of it and nothing more.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { type AwsBackend, startAws } from '../support/backends.ts';

interface Statement {
  Sid: string;
  Effect: string;
  Action: string[];
  Resource: unknown;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const policy = JSON.parse(await readFile(join(root, 'infrastructure', 'iam-policy.json'), 'utf8'));
const template = parse(await readFile(join(root, 'infrastructure', 'cloudformation.yaml'), 'utf8'));
const templatePolicy = template.Resources.SessionsPolicy.Properties.PolicyDocument;

function actions(statements: Statement[], named?: string): string[] {
  return statements
    .filter(({ Effect, Sid }) => Effect === 'Allow' && (named === undefined || Sid === named))
    .flatMap(({ Action }) => Action)
    .sort();
}

/** Every IAM action that the Rust code names at a call of the store. The operator's command has calls of its own. */
async function actionsInTheCode(): Promise<string[]> {
  const folder = join(root, 'src', 'aws');
  const files = (await readdir(folder, { recursive: true })).filter(
    (file) => file.endsWith('.rs') && !file.startsWith('operator'),
  );
  const sources = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return [
    ...new Set(sources.flatMap((source) => [...source.matchAll(/"((?:dynamodb|kms):[A-Z]\w+)"/g)].map(([, action]) => action!))),
  ].sort();
}

describe('the infrastructure files', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  it('allow exactly the actions that the code calls', async () => {
    assert.deepEqual(actions(policy.Statement), await actionsInTheCode());
    assert.deepEqual(actions(templatePolicy.Statement), actions(policy.Statement));
  });

  it('allow exactly the actions that the servers see, statement by statement', async () => {
    const store = backend.store({ keyCache: false });
    const seen = async (work: () => Promise<unknown>) => {
      await backend.aws.reset();
      await work();
      return Object.keys(await backend.aws.calls()).sort();
    };
    const session = { cookie: {} };
    const sessions = await seen(async () => {
      await store.set('a', session);
      await store.get('a');
      while (store.stats().batchReads.requests === 0) await Promise.all(['a', 'b', 'c', 'd'].map((sid) => store.get(sid)));
      await store.touch('a', { ...session });
      await store.destroy('a');
    });
    assert.deepEqual(sessions, [...actions(policy.Statement, 'Sessions'), ...actions(policy.Statement, 'DataKeys')].sort());
    await store.set('b', session);
    const administration = await seen(async () => {
      await store.ids();
      await store.length();
      await store.clear();
    });
    assert.deepEqual(administration, actions(policy.Statement, 'OnlyForAllIdsLengthAndClear'));
    const ping = await seen(() => store.ping());
    assert.deepEqual(ping, [...actions(policy.Statement, 'OnlyForPing'), ...actions(policy.Statement, 'DataKeys')].sort());
  });

  it('make the table that the store expects', () => {
    const { KeySchema, AttributeDefinitions, TimeToLiveSpecification, BillingMode } = template.Resources.SessionsTable.Properties;
    assert.deepEqual(KeySchema, [{ AttributeName: 'sessionId', KeyType: 'HASH' }]);
    assert.deepEqual(AttributeDefinitions, [{ AttributeName: 'sessionId', AttributeType: 'S' }]);
    assert.deepEqual(TimeToLiveSpecification, { AttributeName: 'ttl', Enabled: true });
    assert.equal(BillingMode, 'PAY_PER_REQUEST');
  });

  it('make a key that can wrap data keys, and keep key and table when the stack goes', () => {
    const { SessionsKey, SessionsTable } = template.Resources;
    assert.equal(SessionsKey.Properties.KeySpec, 'SYMMETRIC_DEFAULT');
    assert.equal(SessionsKey.Properties.KeyUsage, 'ENCRYPT_DECRYPT');
    assert.equal(SessionsKey.Properties.EnableKeyRotation, true);
    assert.equal(SessionsKey.DeletionPolicy, 'Retain');
    assert.equal(SessionsTable.DeletionPolicy, 'Retain');
  });
});
