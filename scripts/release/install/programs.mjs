// The programs that use the installed package, and what they must do.

import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { outcome, output } from './output.mjs';

const PROGRAMS = fileURLToPath(new URL('programs', import.meta.url));

/** An empty project with the programs in it. */
export async function prepareFolder(folder) {
  await mkdir(folder, { recursive: true });
  await cp(PROGRAMS, folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true }));
}

/**
 * Runs every program of a folder in which the package is installed.
 * @param {{ name: string, command: string[], env?: Record<string, string> }} runtime what stands in front of a program's path.
 */
export async function checkPrograms(folder, { name, command, env }) {
  const options = { cwd: folder, env: { ...process.env, ...env } };
  for (const program of ['use.cjs', 'use.mjs', 'workers.mjs', 'tls.cjs']) await checkUse(folder, program, { name, command, env });
  const [file, ...rest] = command;
  const tests = await output(file, [...rest, '--test', 'node-test.mjs'], options);
  assert.match(tests, /\bpass 2\b[\s\S]*\bfail 0\b/);
  for (const [how, code] of Object.entries({ exit: 7, throw: 1 })) {
    const sessions = await mkdtemp(join(folder, 'sessions-'));
    const ended = await outcome(file, [...rest, 'exit.cjs', how, sessions], options);
    assert.deepEqual([ended.code, ended.signal], [code, null], `exit.cjs ${how} with ${name}: ${ended.stderr}`);
    await rm(sessions, { recursive: true });
  }
  console.log(`  ${name}: node:test, process.exit and an uncaught error with calls in flight`);
}

/** Runs a program that says `used` when the store worked. */
export async function checkUse(folder, program, { name, command: [file, ...rest], env }, ...args) {
  const text = await output(file, [...rest, program, ...args], { cwd: folder, env: { ...process.env, ...env } });
  assert.match(text, /^used$/m, `${program} with ${name}`);
  console.log(`  ${name}: ${program}`);
}
