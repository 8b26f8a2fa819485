// Everything that is measured, built as it is used: the packed package with a release build of its core, release builds of the servers and of
// the bare client. Says what it does; what is up to date takes seconds.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { buildRelease, hostTarget } from '../scripts/release/build.mjs';
import { buildProgram, installIfStale, requireTools, root, step } from '../scripts/steps.mjs';

const PACKAGE = join(root, 'benchmarks', 'node_modules', 'connect-dynamodb-kms');
const BUILD = join('benchmarks', '.build');

/** @returns {Promise<{ awsLocal: string, bareClient: string }>} the programs' paths. */
export async function prepare({ skipBuild }) {
  requireTools();
  if (!skipBuild) {
    step('Installing what is measured and what builds it');
    for (const folder of ['.', 'benchmarks']) await installIfStale(folder);

    step('Building the core as it is published and packing the package (about 5 minutes the first time)');
    await rm(join(root, BUILD), { recursive: true, force: true });
    await mkdir(join(root, BUILD), { recursive: true });
    await buildRelease(await hostTarget(), join(root, BUILD));
    await installPackage();
    step('Building the servers that speak AWS and the bare HTTP client for release (minutes the first time)');
  }
  if (!existsSync(PACKAGE)) throw new Error(`${PACKAGE} is not there; run without --skip-build`);
  const build = skipBuild ? findProgram : buildReleaseProgram;
  return {
    awsLocal: await build('tools/aws-local', 'aws-local'),
    bareClient: await build('benchmarks/bare-client', 'bare-client'),
  };
}

/** Puts the files that npm would publish into node_modules, the binary beside them, where the loader looks first. */
async function installPackage() {
  const listing = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
  const [{ files }] = Object.values(JSON.parse(listing.stdout)); // an array, or since npm 12 an object by package
  const built = await readdir(join(root, BUILD));
  await rm(PACKAGE, { recursive: true, force: true });
  for (const { path } of files) await copy(join(root, path), join(PACKAGE, path));
  for (const name of built) await copy(join(root, BUILD, name), join(PACKAGE, name));
  await rm(join(root, BUILD), { recursive: true });
}

async function copy(from, to) {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
}

/** Has cargo build a program of its own workspace for release. */
function buildReleaseProgram(folder, name) {
  return buildProgram(['--release', '--locked', '--manifest-path', join(folder, 'Cargo.toml')], name);
}

/** The program that an earlier run has built, wherever cargo's target directory is. */
async function findProgram(folder, name) {
  const args = ['metadata', '--format-version', '1', '--no-deps', '--manifest-path', join(folder, 'Cargo.toml')];
  const { stdout } = await promisify(execFile)('cargo', args, { cwd: root, maxBuffer: 2 ** 26 });
  const built = join(JSON.parse(stdout).target_directory, await hostTarget(), 'release');
  const program = join(built, process.platform === 'win32' ? `${name}.exe` : name);
  if (!existsSync(program)) throw new Error(`${program} is not there; run without --skip-build`);
  return program;
}
