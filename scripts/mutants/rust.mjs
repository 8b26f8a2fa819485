// Tries the mutants of the Rust core with cargo-mutants, in a copy of the sources. The copy and what is built of it stay in the user's cache folder, so that the
// next run compiles no dependency again.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildAwsLocal, cache, onPath, root, run, step } from '../steps.mjs';

const VERSION = '27.1.0';
/** What a mutant's tests may take at least, in seconds, however quick they are without it. */
const SECONDS = 60;
/** What the crate is compiled from. */
const SOURCES = ['.cargo', 'Cargo.toml', 'Cargo.lock', 'build.rs', 'src', 'aead', 'tests', 'benches'];
/** cargo-mutants ends with these where some mutants survived, and where some hung. */
const SOME_MISSED = 2;
const SOME_HUNG = 3;

/**
 * @param {string[]} files Rust sources, or folders of them.
 * @param {{ shard: string, survivors: import('./plan.mjs').Survivor[] }} options `shard` counts from 0, as `0/40`.
 * @returns {Promise<boolean>} whether every mutant was noticed, or is named.
 */
export async function tryCrate(files, { shard, survivors }) {
  step(`${files.join(' ')}: cargo-mutants`);
  const program = await cargoMutants();
  process.env.AWS_LOCAL ??= await buildAwsLocal();
  const copy = await copySources();
  const output = await mkdtemp(join(tmpdir(), 'mutants-'));
  try {
    const globs = files.flatMap((file) => ['--file', file.endsWith('.rs') ? file : `${file}/**/*.rs`]);
    const tool = onPath('cargo-nextest') ? ['--test-tool', 'nextest'] : [];
    const limits = ['--minimum-test-timeout', String(SECONDS), '--shard', shard, '--sharding', 'round-robin'];
    const args = ['mutants', '--in-place', ...globs, ...tool, ...limits, '--output', output, '--cargo-arg=--locked'];
    const ended = await exitOf(program, args, copy);
    if (![0, SOME_MISSED, SOME_HUNG].includes(ended)) throw new Error(`cargo-mutants ended with ${ended}`);
    const outcome = async (name) =>
      (await readFile(join(output, 'mutants.out', `${name}.txt`), 'utf8')).split('\n').filter(Boolean);
    const named = (mutant) =>
      survivors.some(({ file, change }) => mutant.startsWith(`${file}:`) && mutant.endsWith(`: ${change}`));
    const wrong = [...(await outcome('caught')), ...(await outcome('timeout'))].filter(named);
    const unnamed = (await outcome('missed')).filter((mutant) => !named(mutant));
    if (unnamed.length > 0) console.log(`\nNo test notices:\n${unnamed.join('\n')}`);
    if (wrong.length > 0) console.log(`\nNamed as survivors, and killed:\n${wrong.join('\n')}`);
    return unnamed.length === 0 && wrong.length === 0;
  } finally {
    await rm(output, { recursive: true });
  }
}

/** Files that did not change keep their time, or everything would be compiled again. */
async function copySources() {
  const folder = join(cache, 'mutants', 'source');
  await rm(folder, { recursive: true, force: true });
  for (const name of SOURCES) await cp(join(root, name), join(folder, name), { recursive: true, preserveTimestamps: true });
  return folder;
}

/** The program, installed in the user's cache folder the first time. */
async function cargoMutants() {
  const folder = join(cache, `cargo-mutants-${VERSION}`);
  const program = join(folder, 'bin', process.platform === 'win32' ? 'cargo-mutants.exe' : 'cargo-mutants');
  if (!existsSync(program)) await run('cargo', ['install', 'cargo-mutants', '--version', VERSION, '--locked', '--root', folder]);
  return program;
}

function exitOf(program, args, cwd) {
  const env = { ...process.env, CARGO_TARGET_DIR: join(cache, 'mutants', 'target') };
  return new Promise((done, failed) => {
    spawn(program, args, { cwd, env, stdio: 'inherit' }).once('error', failed).once('close', done);
  });
}
