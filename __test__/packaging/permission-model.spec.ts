// The permission model of Node.js: what docs/platforms.md says that the package needs.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { installed } from '../support/command.ts';

const run = promisify(execFile);
const flag = process.version.startsWith('v20.') ? '--experimental-permission' : '--permission';
/** The folder of the tests stands for that of an application. */
const application = fileURLToPath(new URL('../', import.meta.url));

describe('under the permission model, a store', () => {
  let backend: AwsBackend;
  let elsewhere: string;
  before(async () => {
    backend = await startAws();
    elsewhere = await realpath(await mkdtemp(join(tmpdir(), 'permission-')));
  });
  after(async () => {
    await backend.stop();
    await rm(elsewhere, { recursive: true });
  });

  /** Saves and reads a session with these options, and says whether JavaScript may write files. */
  const use = async (options: object, ...flags: string[]) => {
    const program = `
      const { DynamoDBSessionStore } = require(${JSON.stringify(installed)});
      const store = new DynamoDBSessionStore(${JSON.stringify({ ...options, recordVersion: 2 })});
      store.set('an id', { cookie: {}, user: 'ada' })
        .then(() => store.get('an id'))
        .then(({ user }) => console.log(JSON.stringify({ user, writes: process.permission.has('fs.write') })))
        .finally(() => store.close());`;
    const { stdout } = await run(process.execPath, [flag, `--allow-fs-read=${application}*`, ...flags, '-e', program], {
      cwd: application,
    });
    return JSON.parse(stdout);
  };

  it('works with addons and its own folder allowed, on AWS and in local mode', async () => {
    assert.deepEqual(await use(backend.config, '--allow-addons'), { user: 'ada', writes: false });
    const local = { local: { path: join(elsewhere, 'sessions') } };
    assert.deepEqual(await use(local, '--allow-addons'), { user: 'ada', writes: false });
  });

  it('says that addons are not allowed', async () => {
    await assert.rejects(use({ local: { path: elsewhere } }), ({ stderr }: any) => {
      assert.match(stderr, /connect-dynamodb-kms cannot load the binary .+ loading addons is disabled/);
      return true;
    });
  });
});
