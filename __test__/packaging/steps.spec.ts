// What `npm test` says at its end of the time that its steps have taken.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/steps.mjs', import.meta.url));

it('the times of the steps are named, each until the next began, and their sum', async () => {
  const program = `import { printTimes, step } from ${JSON.stringify(script)};
    let now = 5_000;
    performance.now = () => now;
    step('Building');
    now += 61_400;
    step('Testing');
    now += 3_600_000;
    printTimes();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  const times = stdout.split('\n\n').at(-1);
  assert.equal(times, '  1m 01s  [1] Building\n 60m 00s  [2] Testing\n 61m 01s  in all\n');
});
