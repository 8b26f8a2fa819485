// Jest and Vitest run an application's tests with supertest, with real and with fake timers. They are installed when this spec runs for the first time.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const tests = fileURLToPath(new URL('../support/runners', import.meta.url));
const installed = join(repository, 'scripts', 'runners', 'node_modules');

/** Runs a test runner; gives how many of its tests passed. */
async function run(program: string, args: string[], env: Record<string, string> = {}): Promise<number> {
  const ended = promisify(execFile)(process.execPath, [join(installed, program), ...args], {
    cwd: tests,
    timeout: 60_000, // a call without an answer may keep a runner from its end
    killSignal: 'SIGKILL',
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  });
  const { stdout } = await ended.catch((error) => assert.fail(`${error.stdout}\n${error.stderr}`));
  const { numPassedTests, numTotalTests } = JSON.parse(stdout.slice(stdout.indexOf('{"')));
  assert.equal(numPassedTests, numTotalTests);
  return numPassedTests;
}

describe('in a test runner', { timeout: 300_000 }, () => {
  before(async () => {
    const { installIfStale } = await import(join(repository, 'scripts', 'steps.mjs'));
    await installIfStale('scripts/runners');
  });

  for (const version of ['27', '29', '30']) {
    const jest = (env?: Record<string, string>) => {
      const moduleFileExtensions = ['js', 'cjs', 'json', 'node'];
      const config = {
        rootDir: tests,
        moduleFileExtensions,
        testRegex: 'store-jest\\.test\\.cjs$',
        transform: {},
        testTimeout: 10_000,
      };
      return run(`jest-${version}/bin/jest.js`, ['--json', '--silent', '--config', JSON.stringify(config)], env);
    };

    it(`a store works with real and with fake timers: Jest ${version}`, async () => {
      const { version: found } = JSON.parse(await readFile(join(installed, `jest-${version}`, 'package.json'), 'utf8'));
      assert.equal(found.split('.')[0], version);
      assert.equal(await jest(), 4);
    });

    it(`a store works that was loaded when timers were fakes already: Jest ${version}`, async () => {
      assert.equal(await jest({ FAKE_BEFORE_LOADING: 'yes' }), 2);
    });
  }

  for (const pool of ['forks', 'threads']) {
    it(`a store works with real and with fake timers: Vitest, pool ${pool}`, async () => {
      const args = ['run', '--globals', '--reporter=json', '--testTimeout=10000', `--pool=${pool}`, `--root=${tests}`];
      assert.equal(await run('vitest/vitest.mjs', [...args, 'store-vitest']), 4);
    });
  }
});
