// The command that finds lines which no test needs, on a package of one module and one spec.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** The test below needs the limit, and that a call is counted; it does not look at the log. */
const MODULE = `'use strict';
const log = [];
let calls = 0;
function call(limit) {
  if (calls >= limit) throw new Error('too many');
  calls++;
  log.push('called');
}
module.exports = { call };
`;
const SPEC = `import assert from 'node:assert/strict';
import { it } from 'node:test';
import { call } from './lib/calls.js';
it('calls no more often than the limit allows', () => {
  call(1);
  assert.throws(() => call(1), /too many/);
});
`;
const LOG = {
  file: 'lib/calls.js',
  code: "log.push('called');",
  change: "removed: log.push('called');",
  reason: 'for debuggers',
};
const START = { file: 'lib/calls.js', code: 'let calls = 0;', change: 'became 1: 0', reason: 'an example' };

describe('npm run test:mutants', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mutants-'));
    await mkdir(join(folder, 'lib'));
    await writeFile(join(folder, 'lib', 'calls.js'), MODULE);
    await writeFile(join(folder, 'calls.spec.ts'), SPEC);
  });
  after(() => rm(folder, { recursive: true }));

  /** Runs the command with these survivors named. */
  async function mutants(survivors: object[], spec = 'calls') {
    const plan = join(folder, 'plan.mjs');
    const specs = JSON.stringify({ 'lib/calls.js': [spec] });
    const rest = `export const rust = []; export const survivors = ${JSON.stringify(survivors)};`;
    await writeFile(plan, `export const folder = '.'; export const specs = ${specs}; ${rest}`);
    const args = [join(root, 'scripts', 'mutants.mjs'), '--package', folder, '--plan', plan];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  }

  it('finds the line that no test needs, and kills what is changed in the others', async () => {
    const { status, output } = await mutants([]);
    assert.match(output, /^killed +lib\/calls\.js:5 removed: throw new Error/m);
    assert.match(output, /^killed +lib\/calls\.js:6 removed: calls\+\+/m);
    assert.match(output, /^SURVIVED +lib\/calls\.js:7 removed: log\.push/m);
    assert.match(output, /5 of 6 mutants killed \(83\.3 %\)/);
    assert.match(output, /No test notices:\nlib\/calls\.js:7 removed: log\.push/);
    assert.equal(status, 1);
  });

  it('passes when what survives is named with its reason', async () => {
    const { status, output } = await mutants([LOG]);
    assert.match(output, /^SURVIVED .*\(named: for debuggers\)$/m);
    assert.doesNotMatch(output, /No test notices/);
    assert.equal(status, 0, output);
  });

  it('reports what is named as a survivor and is killed, or is not there any more', async () => {
    const { status, output } = await mutants([LOG, START, { ...LOG, code: 'log.pop();' }]);
    assert.match(output, /lib\/calls\.js:3 became 1: 0: is named as a survivor, and killed by calls\.spec\.ts/);
    assert.match(output, /there is no "removed: log\.push\('called'\);" in log\.pop\(\);/);
    assert.equal(status, 1);
  });

  it('leaves the package as it was, and refuses to judge by a spec that fails without a change', async () => {
    await writeFile(join(folder, 'broken.spec.ts'), "import { it } from 'node:test'; it('fails', () => { throw new Error(); });");
    const { status, output } = await mutants([LOG], 'broken');
    assert.match(output, /a test fails without any change: broken\.spec\.ts: fails/);
    assert.equal(status, 1);
    assert.equal(await readFile(join(folder, 'lib', 'calls.js'), 'utf8'), MODULE);
  });
});
