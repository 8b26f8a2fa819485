// Timers that the tests of an application replace by fakes: the store does by its own ones what it does by itself. test-runners.spec.ts has Jest and Vitest.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const program = fileURLToPath(new URL('../support/faked-program.ts', import.meta.url));

describe('with timers that stand still', () => {
  for (const [fakes, when] of [
    ['sinon', 'after'],
    ['sinon', 'before'],
    ['node:test', 'after'],
  ]) {
    it(`callbacks are called, updates try again, and close ends: ${fakes}, ${when} the store is loaded`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'faked-'));
      t.after(() => rm(folder, { recursive: true }));
      const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program, fakes!, when!, folder], {
        timeout: 300_000,
      });
      assert.equal(stdout, 'closed 7\n');
    });
  }
});
