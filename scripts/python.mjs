// Programs that PyPI has, each set in a virtual environment of its own in the user's cache folder.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cache, run } from './steps.mjs';

/** The proxy that plays failures of AWS to the tests. */
export const MICROBURST = 'microburst==0.10.0';

/** What microburst asks for; the other programs take an older one, too. */
const OLDEST_PYTHON = [3, 10];
const MISSING =
  'Python 3.10 or newer with its venv module is needed (the program `python3`). Get it from https://www.python.org; on Debian and Ubuntu: apt install python3-venv';

/**
 * Makes an environment with these packages, once.
 * @param {string[]} packages such as `microburst==0.10.0`.
 * @returns {Promise<{ folder: string, python: string }>} where its programs are, and its Python among them.
 * @throws if the Python at hand cannot make it.
 */
export async function pythonEnvironment(...packages) {
  const environment = join(cache, packages.join('-').replace(/[^\w.]+/g, '-'));
  const onWindows = process.platform === 'win32';
  const folder = join(environment, onWindows ? 'Scripts' : 'bin');
  const python = join(folder, onWindows ? 'python.exe' : 'python3');
  if (existsSync(join(environment, 'installed'))) return { folder, python };
  const check = `import sys, venv, ensurepip; sys.exit(sys.version_info < (${OLDEST_PYTHON.join(', ')}))`;
  if (spawnSync('python3', ['-c', check]).status !== 0) throw new Error(MISSING);
  await rm(environment, { recursive: true, force: true }); // what an earlier attempt has left
  await run('python3', ['-m', 'venv', environment]);
  await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]);
  await writeFile(join(environment, 'installed'), '');
  return { folder, python };
}
