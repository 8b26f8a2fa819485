// microburst, the proxy that plays AWS's failures to the tests: a Python program, in a virtual environment of its own in the user's cache folder.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cache, run } from './steps.mjs';

const VERSION = '0.10.0';
/** What microburst asks for. */
const OLDEST_PYTHON = [3, 10];

const MISSING =
  'Python 3.10 or newer with its venv module is needed for the tests of faults (the program `python3`). Get it from https://www.python.org; on Debian and Ubuntu: apt install python3-venv';

/**
 * Installs microburst, once.
 * @returns {Promise<string>} the Python that has it.
 */
export async function installMicroburst() {
  const folder = join(cache, `microburst-${VERSION}`);
  const python = join(folder, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python3');
  if (existsSync(join(folder, 'installed'))) return python;
  const check = `import sys, venv, ensurepip; sys.exit(sys.version_info < (${OLDEST_PYTHON.join(', ')}))`;
  if (spawnSync('python3', ['-c', check]).status !== 0) throw new Error(MISSING);
  await rm(folder, { recursive: true, force: true }); // what an earlier attempt has left
  await run('python3', ['-m', 'venv', folder]);
  await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `microburst==${VERSION}`]);
  await writeFile(join(folder, 'installed'), '');
  return python;
}
