// `npm run test:install`: builds the linux-x64 package as a release does, packs it with the others, installs it as users do and uses it
// on every runtime that is supported. About 10 minutes the first time. `npm run test:install -- FILE` takes a binary that was built elsewhere.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { installIfStale, requireTools, root, step } from '../steps.mjs';
import { buildRelease, platformOf } from './build.mjs';
import { checkBinary } from './check-binary.mjs';
import { checkBundle, checkMissingBinary, checkTwoCopies, checkTypes } from './install/cases.mjs';
import { measureStart } from './install/cold-start.mjs';
import { installers } from './install/installers.mjs';
import { checkPrograms, checkUse, prepareFolder } from './install/programs.mjs';
import { startRegistry } from './install/registry.mjs';
import { packRelease } from './install/release.mjs';
import { nodes } from './install/tools.mjs';

const TARGET = 'x86_64-unknown-linux-gnu';
const PLATFORM = platformOf(TARGET);
const BIN = join(root, 'scripts', 'release', 'install', 'node_modules', '.bin');

try {
  step('Looking for the tools, installing what is missing');
  requireTools();
  assert.equal(`${process.platform} ${process.arch}`, 'linux x64', 'This test builds the package for linux x64 and runs it.');
  for (const folder of ['.', 'scripts/release/install']) await installIfStale(folder);
  const runtimes = (await nodes()).map(({ version, program }) => ({ name: `Node.js ${version}`, command: [program] }));

  step('Building the binary for release, against glibc 2.17');
  await mkdir(join(root, 'npm'), { recursive: true });
  const binary = process.argv[2] ? resolve(process.argv[2]) : await buildRelease(TARGET, join(root, 'npm'));
  await checkBinary(binary, TARGET);

  const scratch = await mkdtemp(join(tmpdir(), 'install-'));
  step('Packing the package and those of all platforms as a release does: create-npm-dirs, artifacts, prepublish, pack');
  const tarballs = join(scratch, 'tarballs');
  await mkdir(tarballs);
  await packRelease(PLATFORM, binary, tarballs);

  const registry = await startRegistry(tarballs);
  try {
    for (const { name, install, installed, ignoresLibc, env } of installers(BIN, registry.url)) {
      step(`Installing by name with ${name}`);
      const home = join(scratch, name.replace(/\W+/g, '-'));
      await prepareFolder(home);
      await install(home);
      const platforms = await installed(home);
      console.log(`  installed: ${platforms.join(', ')}`);
      assert.deepEqual(platforms, ignoresLibc ? [PLATFORM, PLATFORM.replace('gnu', 'musl')] : [PLATFORM]);
      if (name === 'npm') {
        for (const runtime of runtimes) await checkPrograms(home, runtime);
        const others = [
          { name: 'Bun', command: [join(BIN, 'bun')] },
          { name: 'Deno', command: [join(BIN, 'deno'), 'run', '--allow-all', '--no-prompt'] },
        ];
        for (const other of others) for (const program of ['use.cjs', 'use.mjs', 'use.mts']) await checkUse(home, program, other);
        await checkTypes(home, BIN, runtimes);
        await checkTwoCopies(home, join(scratch, 'copy'), runtimes[0]);
        await checkBundle(home, BIN, runtimes[0]);
        await checkMissingBinary(home, PLATFORM, runtimes[0]);
        step('Measuring a cold start: a fresh process loads the package and makes its first call');
        for (const runtime of runtimes) await measureStart(home, runtime);
      } else {
        for (const program of ['use.cjs', 'use.mjs']) await checkUse(home, program, { ...runtimes[0], env: env?.(home) });
      }
    }
  } finally {
    await registry.close();
  }
  await rm(scratch, { recursive: true });
  console.log('\nEverything passed.');
} catch (error) {
  console.error(`\n${error.stack}`);
  process.exitCode = 1;
}
