// `npm run bench:instructions`: how many instructions the operations of the hot path take, by valgrind's callgrind, beside the baseline that is
// checked in. README.md says what the figures mean.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildProgram, onPath, requireTools, root, run, step } from '../scripts/steps.mjs';
import { compare, isPassed, line, selfOf, TOLERANCE, totalOf } from './instruction-baseline.mjs';

const USAGE = `npm run bench:instructions              compares with benchmarks/instructions.json; fails if an operation takes more
npm run bench:instructions -- --write   writes what was counted there`;

const BASELINE = join(root, 'benchmarks', 'instructions.json');
/** What callgrind writes, for callgrind_annotate. */
const OUTPUT = join(root, 'benchmarks', '.callgrind');
/** The function of benches/instructions.rs that is counted. Its name is in the middle of a mangled one. */
const COUNTED = '*counted_operations*';
/** SHA-256 without the processor's instructions for it, which valgrind does not know: many times what it takes in truth. */
const SHA_256 = /sha256.*compress/;

async function main() {
  const { values } = parseArgs({ options: { write: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) return console.log(USAGE);
  requireTools();
  requireValgrind();

  step('Building the program (minutes the first time)');
  const program = await buildProgram(['--locked', '--profile', 'instructions', '--bench', 'instructions'], 'instructions');

  step('Counting');
  const found = { ...toolchain(), instructions: await count(program) };
  const baseline = existsSync(BASELINE) ? JSON.parse(await readFile(BASELINE, 'utf8')) : { instructions: {} };
  const verdicts = report(baseline, found);
  if (values.write) {
    await writeFile(BASELINE, `${JSON.stringify(found, null, 2)}\n`);
    return console.log('\nbenchmarks/instructions.json is written.');
  }
  return judge(verdicts);
}

function requireValgrind() {
  if (onPath('valgrind')) return;
  throw new Error(
    process.platform === 'linux'
      ? 'valgrind is needed and is not on the PATH. It is the package `valgrind` of every Linux distribution: `apt-get install valgrind`, `dnf install valgrind`.'
      : 'valgrind is needed, which counts instructions on Linux. Run this on a Linux machine or in a container.',
  );
}

/** What the counts depend on beside the source. */
function toolchain() {
  const output = (command, args) => execFileSync(command, args, { cwd: root, encoding: 'utf8' });
  const rustc = output('rustc', ['--version', '--verbose']);
  const of = (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(rustc)[1];
  return {
    rustc: of('release'),
    target: of('host'),
    valgrind: output('valgrind', ['--version']).trim().replace('valgrind-', ''),
    // The C library and the ciphers choose their code by it.
    processor: cpus()[0].model,
  };
}

/** @returns {Promise<Record<string, number>>} instructions of one operation, by its name; those of its SHA-256 apart. */
async function count(program) {
  const { times, operations } = JSON.parse(execFileSync(program, { encoding: 'utf8' }));
  await rm(OUTPUT, { recursive: true, force: true });
  await mkdir(OUTPUT);
  const counts = {};
  for (const name of operations) {
    const file = outputOf(name);
    const args = ['--quiet', '--tool=callgrind', `--toggle-collect=${COUNTED}`, `--callgrind-out-file=${file}`];
    await run('valgrind', [...args, program, name]);
    const output = await readFile(file, 'utf8');
    const hashing = selfOf(output, SHA_256);
    counts[name] = Math.round((totalOf(output) - hashing) / times);
    if (hashing > 0) counts[`${name}, SHA-256`] = Math.round(hashing / times);
  }
  return counts;
}

function outputOf(name) {
  return join(OUTPUT, `${name.replaceAll(' ', '-')}.out`);
}

function report(baseline, found) {
  for (const what of ['rustc', 'target', 'valgrind', 'processor']) {
    if (baseline[what] !== undefined && baseline[what] !== found[what])
      console.log(`\nThe baseline is of ${what} ${baseline[what]}, this is ${found[what]}: differences may come of that.`);
  }
  console.log('\nInstructions of one operation, the baseline, and the change');
  const verdicts = compare(baseline.instructions, found.instructions);
  for (const verdict of verdicts) console.log(`  ${line(verdict)}`);
  return verdicts;
}

function judge(verdicts) {
  if (verdicts.some(({ verdict }) => verdict === 'less'))
    console.log(
      '\nSome take less than the baseline says: lower it with `npm run bench:instructions -- --write`, so that it stays so.',
    );
  if (isPassed(verdicts)) return;
  console.log(`\n\`callgrind_annotate ${OUTPUT}/OPERATION.out\` says what takes them.`);
  throw new Error(
    `An operation takes over ${TOLERANCE * 100} % more than its baseline, or they are not the same operations. If that is meant, --write makes it the baseline.`,
  );
}

main().catch((error) => {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
});
