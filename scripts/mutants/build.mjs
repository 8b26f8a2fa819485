// What the specs need, as `npm test` makes it.

import { join } from 'node:path';
import { packInto } from '../pack.mjs';
import { MICROBURST, pythonEnvironment } from '../python.mjs';
import { buildAwsLocal, installIfStale, requireTools, root, run, step } from '../steps.mjs';

/** Builds and packs the package into the tests; gives where it is installed. */
export async function buildMutated() {
  step('Building the package, and the servers that its tests run on');
  requireTools();
  for (const folder of ['.', '__test__']) await installIfStale(folder);
  process.env.AWS_LOCAL = await buildAwsLocal();
  process.env.MICROBURST_PYTHON = (await pythonEnvironment(MICROBURST)).python;
  await run('npm', ['run', 'build', '--', '--', '--locked']);
  await packInto('__test__');
  return join(root, '__test__', 'node_modules', 'connect-dynamodb-kms');
}
