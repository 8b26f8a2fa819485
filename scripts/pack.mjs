// The packages as npm would publish them: `connect-dynamodb-kms`, and one with a binary for each platform that was built in this folder.
// The tests import them from where they are installed, so that they test what a user installs. `node scripts/pack.mjs FOLDER` packs
// them into a folder.

import { copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makePlatformFolders } from './release/platforms.mjs';
import { root, run } from './steps.mjs';

const QUIET = { stdio: ['ignore', 'ignore', 'inherit'] };
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
const BINARY = /^connect-dynamodb-kms\.(.+)\.node$/;

/** Packs the package and those of the binaries that lie beside it into `folder`. @returns {Promise<string[]>} the tarballs, the package first. */
export async function pack(folder) {
  await mkdir(join(root, 'npm'), { recursive: true });
  const scratch = await mkdtemp(join(root, 'npm', 'pack-'));
  await makePlatformFolders(scratch);
  const tarballs = [join(folder, `connect-dynamodb-kms-${version}.tgz`)];
  await run('npm', ['pack', '--silent', '--pack-destination', folder], QUIET);
  for (const file of await readdir(root)) {
    const [, platform] = BINARY.exec(file) ?? [];
    if (!platform) continue;
    await copyFile(join(root, file), join(scratch, platform, file));
    await run('npm', ['pack', '--silent', '--pack-destination', folder], { ...QUIET, cwd: join(scratch, platform) });
    tarballs.push(join(folder, `connect-dynamodb-kms-${platform}-${version}.tgz`));
  }
  await rm(scratch, { recursive: true });
  if (tarballs.length === 1) throw new Error('there is no binary in this folder; `npm run build` makes one');
  return tarballs;
}

/** Packs and unpacks them into `node_modules` of `target`, beside what is installed there. */
export async function packInto(target) {
  const folder = await mkdtemp(join(tmpdir(), 'pack-'));
  for (const tarball of await pack(folder)) {
    const name = basename(tarball, `-${version}.tgz`);
    const installed = join(root, target, 'node_modules', name);
    await rm(installed, { recursive: true, force: true });
    await mkdir(installed, { recursive: true });
    await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
  }
  await rm(folder, { recursive: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? '.');
  for (const tarball of await pack(folder)) console.log(tarball);
}
