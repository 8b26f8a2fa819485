// `npm run test:smoke`: installs the package that was built here in an empty folder and uses it, with the Node.js that runs this.
// `node scripts/smoke.mjs FOLDER` takes the tarballs of that folder, which `node scripts/pack.mjs FOLDER` made, perhaps elsewhere.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { checkPrograms, prepareFolder } from './install/programs.mjs';
import { run, step } from './steps.mjs';

try {
  const scratch = await mkdtemp(join(tmpdir(), 'smoke-'));
  const [given] = process.argv.slice(2);
  if (!given) {
    step('Packing what was built');
    const { pack } = await import('./pack.mjs');
    await pack(scratch);
  }
  step('Installing it in an empty folder');
  const folder = resolve(given ?? scratch);
  const tarballs = (await readdir(folder)).filter((file) => file.endsWith('.tgz')).map((file) => join(folder, file));
  const home = join(scratch, 'home');
  await prepareFolder(home);
  await run('npm', ['install', '--no-audit', '--no-fund', ...tarballs], { cwd: home });
  step(`Using it with Node.js ${process.versions.node} on ${process.platform} ${process.arch}`);
  await checkPrograms(home, { name: `Node.js ${process.versions.node}`, command: [process.execPath] });
  await rm(scratch, { recursive: true });
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
