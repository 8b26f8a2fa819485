// npm run test:suites                      the test suites of other libraries, with their in-memory store and with this one
// npm run test:suites -- lusca grant       those alone
// npm run test:suites -- --from FOLDER     takes the checkouts FOLDER/NAME, where GitHub is out of reach
// npm run test:suites -- --package FOLDER  tests the package that is installed in FOLDER, and builds nothing
// npm run test:suites -- --libraries FOLDER  takes the definitions in FOLDER, in place of scripts/suites/libraries
//
// A suite runs unchanged: scripts/suites/preload.mjs puts the store in the place of the in-memory one. Fails if a test does otherwise with this
// store, unless the library's definition says so and why; and if what it says does not happen any more.

import { mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { packInto } from './pack.mjs';
import { installIfStale, requireTools, root, run, step } from './steps.mjs';
import { compare, details, isEqual, table } from './suites/compare.mjs';
import { checkOut, prepare, runSuite } from './suites/suite.mjs';

const DEFINITION = /\.mjs$/;

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { from: { type: 'string' }, package: { type: 'string' }, libraries: { type: 'string' } },
  });
  const libraries = resolve(values.libraries ?? fileURLToPath(new URL('suites/libraries', import.meta.url)));
  const names = await chosen(libraries, positionals);

  const installed = values.package ? undefined : await realpath(await mkdtemp(join(tmpdir(), 'suites-')));
  try {
    const ours = installed ? await buildInto(installed) : await realpath(values.package);
    const rows = [];
    for (const name of names) rows.push(await suiteOf(name, libraries, values.from, ours));
    step('Comparing');
    for (const { library, compared } of rows) if (details(compared)) console.log(`${library}\n${details(compared)}\n`);
    console.log(table(rows));
    if (!rows.every(({ compared }) => isEqual(compared))) process.exitCode = 1;
  } finally {
    if (installed) await rm(installed, { recursive: true });
  }
}

/** Builds and packs the package, and unpacks it in `folder`; gives where it is. */
async function buildInto(folder) {
  step('Building the addon and packing the package');
  requireTools();
  await installIfStale('.');
  await run('npm', ['run', 'build', '--', '--', '--locked']);
  await packInto(relative(root, folder));
  return join(folder, 'node_modules', 'connect-dynamodb-kms');
}

/** The names of the definitions to run. */
async function chosen(libraries, wanted) {
  const known = (await readdir(libraries))
    .filter((file) => DEFINITION.test(file))
    .map((file) => file.replace(DEFINITION, ''))
    .sort();
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown) throw new Error(`no definition is named ${unknown}; there are ${known.join(', ')}`);
  return wanted.length > 0 ? wanted : known;
}

async function suiteOf(library, libraries, from, ours) {
  const { default: suite } = await import(pathToFileURL(join(libraries, `${library}.mjs`)).href);
  step(`${library} ${suite.tag ?? ''}`);
  const folder = await checkOut(library, suite, from);
  await prepare(folder, suite);
  const inMemory = await runSuite(folder, suite);
  const withOurs = await runSuite(folder, suite, ours);
  for (const { results, output } of [inMemory, withOurs]) if (results.length === 0) console.log(output);
  const compared = compare(inMemory.results, withOurs.results, suite.differences);
  console.log(`${compared.memory.passed} of ${compared.memory.tests} tests pass in memory, ${compared.ours.passed} with ours`);
  return { library, tag: suite.tag ?? '', compared };
}

main().catch((error) => {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
});
