// Puts the package, as npm would publish it, where the tests import it from: what they test is what a user installs.

import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, run } from './steps.mjs';

/** Packs the package into `folder`. @returns {Promise<string>} the tarball's path. */
export async function pack(folder) {
  await run('npm', ['pack', '--silent', '--pack-destination', folder]);
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  return join(folder, `connect-dynamodb-kms-${version}.tgz`);
}

/** Packs the package and unpacks it into `node_modules` of `target`, beside what is installed there. */
export async function packInto(target) {
  const folder = await mkdtemp(join(tmpdir(), 'pack-'));
  const tarball = await pack(folder);
  const installed = join(root, target, 'node_modules', 'connect-dynamodb-kms');
  await rm(installed, { recursive: true, force: true });
  await mkdir(installed, { recursive: true });
  await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
  await rm(folder, { recursive: true });
}
