// docs/operating.md: every command on the page prints what the page says. `UPDATE_PAGE=1` writes it there.

import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DynamoDBSessionStore, type SessionStoreConfig } from 'connect-dynamodb-kms';
import { AwsLocal } from '../support/aws-local.ts';
import { quietLogger } from '../support/backends.ts';
import { command } from '../support/command.ts';
import { consoleBlocks, rewrite, shownOf } from '../support/console-page.ts';
import { numbered } from '../support/table-fill.ts';

const page = fileURLToPath(new URL('../../docs/operating.md', import.meta.url));
const blocks = await consoleBlocks(page);
const KEY = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

/** What differs from run to run, and from the servers to AWS, in the words of the page. */
const VARIABLE: [RegExp, string][] = [
  [/\b\d+ ms\b/g, '12 ms'],
  [/at most \d+ s off/g, 'at most 1 s off'],
  [/Node\.js \S+ on \S+, connect-dynamodb-kms \S+/g, 'Node.js 24.11.0 on linux-x64, connect-dynamodb-kms 1.0.0'],
  [/\b20\d\d-\d\d-\d\dT[\d:.]+Z/g, '2026-12-04T20:00:00Z'],
  [/arn:aws:sts::\d+:\S+/g, 'arn:aws:sts::111122223333:assumed-role/gateway/i-0abc'],
  [/arn:aws:dynamodb:dynoxide:0+:/g, 'arn:aws:dynamodb:us-east-1:111122223333:'],
];
const masked = (text: string) => VARIABLE.reduce((so, [variable, word]) => so.replace(variable, word), text);

describe('docs/operating.md', () => {
  let aws: AwsLocal;
  let home: string;
  before(async () => {
    aws = await AwsLocal.start(['--key-arn', KEY]);
    home = await realpath(await mkdtemp(join(tmpdir(), 'operating-')));
  });
  after(async () => {
    await aws.stop();
    await rm(home, { recursive: true });
  });

  async function withStore(options: SessionStoreConfig, work: (store: DynamoDBSessionStore) => Promise<unknown>) {
    const place = { tableName: 'sessions', kmsKeyArn: KEY, dynamodbEndpoint: aws.dynamodb, kmsEndpoint: aws.kms };
    const store = new DynamoDBSessionStore({ ...place, logger: quietLogger(), ...options });
    await work(store);
    await store.close();
  }

  /** What is true when a block with this name runs. Each gives what ends it. */
  const SETTINGS: Record<string, () => Promise<() => Promise<unknown>>> = {
    'bare-table': async () => {
      await aws.dynamodbCall('CreateTable', {
        TableName: 'older-sessions',
        KeySchema: [{ AttributeName: 'sessionId', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'sessionId', AttributeType: 'S' }],
        BillingMode: 'PAY_PER_REQUEST',
      });
      return async () => {};
    },
    'disabled-key-and-denied-action': async () => {
      await aws.kmsCall('DisableKey', { KeyId: KEY });
      const message =
        'User: arn:aws:sts::111122223333:assumed-role/gateway/i-0abc is not authorized to perform: dynamodb:DeleteItem';
      await aws.fault({ action: 'dynamodb:DeleteItem', status: 400, code: 'AccessDeniedException', message });
      return async () => {
        await aws.clearFaults();
        await aws.kmsCall('EnableKey', { KeyId: KEY });
      };
    },
    sessions: async () => {
      for (const [recordVersion, count] of [
        [1, 40],
        [2, 2],
      ] as const) {
        await withStore({ recordVersion }, async (store) => {
          for (let number = 100; number < 100 + count; number++)
            await store.set(`${recordVersion}-${number}`, numbered(number) as any);
        });
      }
      return async () => {};
    },
    'two-sessions': async () => {
      await withStore({ recordVersion: 2 }, async (store) => {
        await store.clear();
        await store.set('iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A', numbered(2) as any);
        await store.set('7tqGhXqBdbT3dRzW5jNnJpAvQ9sYfKcE', numbered(1) as any);
      });
      return async () => {};
    },
    'local-folder': async () => {
      const store = new DynamoDBSessionStore({
        recordVersion: 2,
        tableName: 'sessions',
        local: { path: join(home, '.sessions') },
        logger: quietLogger(),
      });
      await store.set('a', { cookie: {} } as any);
      await store.close();
      return async () => {};
    },
  };

  it('has commands', () => {
    const shown = new Set(blocks.map(({ args }) => args[0]));
    for (const name of [
      'create-table',
      'doctor',
      'policy',
      'cloudformation',
      'terraform',
      'survey',
      'reseal',
      'ls',
      'show',
      'destroy',
    ])
      assert.ok(shown.has(name), name);
  });

  for (const [index, block] of blocks.entries()) {
    it(`${index + 1}: ${block.args.join(' ')}`, async () => {
      const env = {
        AWS_REGION: 'us-east-1',
        SESSIONS_TABLE: 'sessions',
        KMS_KEY_ARN: KEY,
        AWS_ENDPOINT_URL_DYNAMODB: aws.dynamodb,
        AWS_ENDPOINT_URL_KMS: aws.kms,
        AWS_ENDPOINT_URL_STS: aws.sts,
      };
      const end = block.setting === undefined ? undefined : await SETTINGS[block.setting]!();
      const { stdout, stderr } = await command(block.args, { cwd: home, env });
      await end?.();
      assert.equal(stderr, '');
      const shown = shownOf(block, masked(stdout));
      if (process.env.UPDATE_PAGE) await rewrite(page, block, shown);
      else assert.equal(shown, block.output);
    });
  }
});
