// When the scripts install a folder's dependencies again.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/steps.mjs', import.meta.url));

describe('dependencies', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stale-install-'));
    await mkdir(join(folder, 'dependency'));
    await writeFile(join(folder, 'dependency', 'package.json'), '{ "name": "dependency", "version": "1.0.0" }');
    await writeFile(join(folder, 'package.json'), '{ "dependencies": { "dependency": "file:dependency" } }');
  });
  after(() => rm(folder, { recursive: true }));

  /** Whether they had to be installed. */
  const install = async () => {
    const program = `import { installIfStale } from ${JSON.stringify(script)};
      console.log('installed', await installIfStale(${JSON.stringify(folder)}));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
    return stdout.endsWith('installed true\n');
  };

  for (const { where, file } of [
    { where: 'without a lock', file: 'package.json' },
    { where: 'with one', file: 'package-lock.json' },
  ])
    it(`are installed again, ${where}, after a change of ${file}`, async () => {
      await writeFile(join(folder, '.npmrc'), `package-lock=${file === 'package-lock.json'}\n`);
      await rm(join(folder, 'node_modules'), { recursive: true, force: true });
      assert.equal(await install(), true);
      const past = new Date(Date.now() - 60_000);
      if (file === 'package-lock.json') await utimes(join(folder, file), past, past);
      assert.equal(await install(), false);
      await utimes(join(folder, 'node_modules', '.package-lock.json'), new Date(0), new Date(0));
      assert.equal(await install(), true);
    });
});
