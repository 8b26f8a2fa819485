// docs/environment.md: the variables that it lists are those that the sources read, and the ignored ones change nothing.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { valuesInProcess } from '../support/store-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const DEFAULT_KEY = 'arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a';
/** Upper-case names in the sources that are no variables. */
const NO_VARIABLES = /^ERR_/;

/** The names in the first cells of the tables under a heading. */
function listed(page: string, heading: string): string[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  assert.ok(section, heading);
  const cells = [...section.matchAll(/^\| (`[^|]*?) \|/gm)].map(([, cell]) => cell!);
  return cells.flatMap((cell) => [...cell.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, name]) => name!));
}

/** All string literals of a folder that look like a variable's name, without those of tests. */
async function inSources(folder: string, quote: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true });
  const files = names.filter((name) => /\.(rs|js)$/.test(name) && !/\btests\b/.test(name));
  const texts = await Promise.all(files.map((name) => readFile(join(root, folder, name), 'utf8')));
  const literal = new RegExp(`${quote}([A-Z][A-Z0-9]*_[A-Z0-9_]+)${quote}`, 'g');
  const found = texts.map((text) => text.split('#[cfg(test)]')[0]!).flatMap((text) => [...text.matchAll(literal)]);
  return [...new Set(found.map(([, name]) => name!))].filter((name) => !NO_VARIABLES.test(name)).toSorted();
}

describe('the list of variables', () => {
  let page: string;
  before(async () => {
    page = await readFile(join(root, 'docs/environment.md'), 'utf8');
  });

  it('has exactly those that stand in for options', async () => {
    const code = await readFile(join(root, 'lib/environment.js'), 'utf8');
    const names = [.../const NAMES = \[(.*?)\]/s.exec(code)![1]!.matchAll(/'(\w+)'/g)].map(([, name]) => name!);
    assert.deepEqual(listed(page, 'Variables of this package').toSorted(), names.toSorted());
    assert.ok(names.includes('KMS_KEY_ARN'));
    const read = await inSources('src/config', '"');
    assert.deepEqual(read.toSorted(), [...names].toSorted(), 'the native side reads the same');
  });

  it('has all that the sources look at for AWS', async () => {
    const aws = listed(page, 'Variables of AWS');
    const looked = await inSources('src/aws', '"');
    assert.ok(looked.includes('AWS_RETRY_MODE'), 'the sources were read');
    assert.deepEqual(
      looked.filter((name) => !aws.includes(name)),
      [],
    );
  });

  it('names as ignored none that the sources look at alone', async () => {
    const ignored = listed(page, 'Variables that are ignored');
    assert.ok(ignored.length > 5);
    const looked = [...(await inSources('src', '"')), ...(await inSources('lib', "'"))];
    assert.deepEqual(
      ignored.filter((name) => looked.includes(name)),
      ['AWS_REGION'], // of the table
    );
  });
});

describe('the ignored variables', () => {
  const KEY = { AWS_ACCESS_KEY_ID: 'AKIAOFTHEENVIRONMENT', AWS_SECRET_ACCESS_KEY: 'secret' };

  /** What the servers saw of a store that has these variables in addition. */
  async function seen(backend: AwsBackend, variables: Record<string, string>) {
    const endpoints = { AWS_ENDPOINT_URL_DYNAMODB: backend.aws.dynamodb, AWS_ENDPOINT_URL_KMS: backend.aws.kms };
    const environment = { ...KEY, ...endpoints, AWS_ENDPOINT_URL_STS: backend.aws.sts, ...variables };
    await backend.aws.reset();
    await valuesInProcess({ environment, config: { tableName: 'sessions' }, calls: [['set', 'sid', { cookie: {} }]] });
    const requests = await backend.aws.requests();
    return requests.map(({ action, accessKeyId, region }) => `${action} ${accessKeyId} ${region}`);
  }

  it('change nothing: a role without a token file, the names of older tools, and what Node.js reads for its own clients', async (t) => {
    const backend = await startAws(['--key-arn', DEFAULT_KEY]);
    t.after(() => backend.stop());
    const usual = [
      `kms:GenerateDataKey ${KEY.AWS_ACCESS_KEY_ID} us-east-1`,
      `dynamodb:PutItem ${KEY.AWS_ACCESS_KEY_ID} us-east-1`,
    ];
    assert.deepEqual(await seen(backend, {}), usual);
    const ignored: Array<Record<string, string>> = [
      { AWS_ROLE_ARN: 'arn:aws:iam::111122223333:role/gateway', AWS_ROLE_SESSION_NAME: 'gateway' },
      { AWS_DEFAULT_REGION: 'eu-west-1' },
      { AWS_DEFAULT_PROFILE: 'none', AWS_SDK_LOAD_CONFIG: '0' },
      { AWS_STS_REGIONAL_ENDPOINTS: 'legacy', AWS_DEFAULTS_MODE: 'mobile' },
      { AWS_METADATA_SERVICE_TIMEOUT: 'x', AWS_METADATA_SERVICE_NUM_ATTEMPTS: 'x' },
      { NODE_USE_ENV_PROXY: '0', NODE_ENV: 'production' },
    ];
    for (const variables of ignored) {
      assert.deepEqual(await seen(backend, variables), usual, Object.keys(variables).join());
    }
  });

  it("leave the default key in its own region, whatever the table's", async (t) => {
    const backend = await startAws(['--key-arn', DEFAULT_KEY]);
    t.after(() => backend.stop());
    assert.deepEqual(await seen(backend, { AWS_REGION: 'eu-west-1' }), [
      `kms:GenerateDataKey ${KEY.AWS_ACCESS_KEY_ID} us-east-1`,
      `dynamodb:PutItem ${KEY.AWS_ACCESS_KEY_ID} eu-west-1`,
    ]);
  });
});
