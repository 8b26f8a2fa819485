// Packages of npm that only a test needs and that are large, each set in a folder of its own in the user's cache folder.

import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cache, run } from './steps.mjs';

/**
 * Installs packages, once.
 * @param {string[]} packages such as `aws-cdk-lib@2.275.0`.
 * @returns {Promise<string>} the path of their `node_modules`.
 * @throws if npm cannot install them.
 */
export async function npmEnvironment(...packages) {
  const folder = join(cache, packages.join('-').replace(/[^\w.]+/g, '-'));
  const modules = join(folder, 'node_modules');
  if (existsSync(join(folder, 'installed'))) return modules;
  await rm(folder, { recursive: true, force: true }); // what an earlier attempt has left
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), '{ "private": true }');
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  await run('npm', ['install', '--save-exact', ...quiet, ...packages], { cwd: folder });
  await writeFile(join(folder, 'installed'), '');
  return modules;
}
