// What a release does with the binaries, up to publishing.

import assert from 'node:assert/strict';
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, run } from '../../steps.mjs';
import { makePlatformFolders } from '../platforms.mjs';

const NAME = 'connect-dynamodb-kms';

/** Packs everything that a release publishes into `tarballs`, with this binary and, for other platforms, files that stand for theirs. */
export async function packRelease(platform, binary, tarballs) {
  const scratch = await mkdtemp(join(root, 'npm', 'release-'));
  await makePlatformFolders(join(scratch, 'npm'));
  const platforms = await readdir(join(scratch, 'npm'));
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  assert.equal(platforms.length, manifest.napi.targets.length);
  for (const file of [...manifest.files, 'package.json', 'README.md', 'LICENSE'])
    await cp(join(root, file), join(scratch, file), { recursive: true });

  await mkdir(join(scratch, 'artifacts'));
  for (const name of platforms) {
    const artifact = join(scratch, 'artifacts', `${NAME}.${name}.node`);
    if (name === platform) await copyFile(binary, artifact);
    else await writeFile(artifact, `in place of the binary for ${name}`);
  }
  const napi = (...args) => run('npx', ['napi', ...args, '--cwd', scratch], { stdio: ['ignore', 'ignore', 'inherit'] });
  await napi('artifacts', '--output-dir', 'artifacts', '--npm-dir', 'npm');
  await napi('prepublish', '--tag-style', 'npm', '--no-gh-release', '--skip-optional-publish', '--npm-dir', 'npm');
  const published = JSON.parse(await readFile(join(scratch, 'package.json'), 'utf8'));
  const expected = platforms.map((name) => [`${NAME}-${name}`, manifest.version]);
  assert.deepEqual(Object.entries(published.optionalDependencies).sort(), expected.sort());

  for (const folder of [scratch, ...platforms.map((name) => join(scratch, 'npm', name))])
    await run('npm', ['pack', '--silent', '--pack-destination', tarballs], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  await rm(scratch, { recursive: true });
}
