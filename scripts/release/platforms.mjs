// A folder for each platform's package, as `napi create-npm-dirs` makes it, with the licences of what its binary holds.
// `node scripts/release/platforms.mjs FOLDER`; `napi artifacts` puts the binaries there.

import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run } from '../steps.mjs';
import { notices } from './notices.mjs';

const LICENCES = ['LICENSE', 'THIRD-PARTY-LICENSES.txt'];

/** @param {string} folder within the repository: napi makes packages nowhere else. */
export async function makePlatformFolders(folder) {
  await mkdir(folder, { recursive: true });
  const args = ['napi', 'create-npm-dirs', '--npm-dir', relative(root, folder)];
  await run('npx', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const linked = await notices();
  for (const platform of await readdir(folder)) {
    await copyFile(join(root, LICENCES[0]), join(folder, platform, LICENCES[0]));
    await writeFile(join(folder, platform, LICENCES[1]), linked);
    const path = join(folder, platform, 'package.json');
    const manifest = JSON.parse(await readFile(path, 'utf8'));
    manifest.files.push(LICENCES[1]); // npm takes the other one by itself
    await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await makePlatformFolders(resolve(process.argv[2] ?? 'npm'));
