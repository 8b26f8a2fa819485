// `npm run test:smoke`: installs the package that was built here in an empty folder and uses it, with the Node.js that runs this.
// `node scripts/release/smoke.mjs FOLDER` takes the tarballs of a release in that folder.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run, step } from '../steps.mjs';
import { checkPrograms, prepareFolder } from './install/programs.mjs';
import { startRegistry } from './install/registry.mjs';

try {
  const scratch = await mkdtemp(join(tmpdir(), 'smoke-'));
  const home = join(scratch, 'home');
  await prepareFolder(home);
  const install = (...args) => run('npm', ['install', '--no-audit', '--no-fund', ...args], { cwd: home });
  const [given] = process.argv.slice(2);
  if (given) {
    step('Installing the package from a registry on this machine');
    const registry = await startRegistry(resolve(given));
    await install('--registry', registry.url, 'connect-dynamodb-kms').finally(registry.close);
  } else {
    step('Packing what was built, and installing it in an empty folder');
    const { pack } = await import('../pack.mjs');
    await install(...(await pack(scratch)));
  }
  step(`Using it with Node.js ${process.versions.node} on ${process.platform} ${process.arch}`);
  await checkPrograms(home, { name: `Node.js ${process.versions.node}`, command: [process.execPath] });
  await rm(scratch, { recursive: true });
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
