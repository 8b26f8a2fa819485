// `npm run test:suites`: what it says of a library whose suite does the same with this store, or something else. The library is made up here.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../../scripts/suites.mjs', import.meta.url));
const installed = fileURLToPath(new URL('../node_modules/connect-dynamodb-kms', import.meta.url));
const localStore = fileURLToPath(new URL('../../scripts/suites/stores/local-store.js', import.meta.url));

const MEMORY_STORE = `
module.exports = class extends Map {
  get(sid, callback) { callback(null, super.get(sid) ?? null); }
  set(sid, session, callback) { super.set(sid, session); callback(null); }
};`;

const OUR_STORE = `module.exports = class extends require(${JSON.stringify(localStore)}).LocalStore {};`;

const SUITE = `
const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const Store = require('../store.js');

describe('a session', () => {
  it('comes back equal', (_t, done) => {
    const store = new Store();
    store.set('ada', { user: 'ada' }, () => store.get('ada', (_error, session) => {
      assert.deepEqual(session, { user: 'ada' });
      done();
    }));
  });
});`;

const SAME_OBJECT = `
it('is the very object that was saved', (_t, done) => {
  const [store, saved] = [new Store(), { user: 'ada' }];
  store.set('ada', saved, () => store.get('ada', (_error, session) => {
    assert.equal(session, saved);
    done();
  }));
});`;

const COMES_BACK = 'store.test.js > a session > comes back equal';
const VERY_OBJECT = 'store.test.js > is the very object that was saved';
const FROM_JSON = { test: VERY_OBJECT, reason: 'sessions are read from JSON' };

/** The made-up libraries: their suites, and the differences that their definitions name. */
const LIBRARIES = {
  equal: { suite: SUITE, differences: [] },
  unequal: { suite: SUITE + SAME_OBJECT, differences: [] },
  named: { suite: SUITE + SAME_OBJECT, differences: [FROM_JSON] },
  stale: { suite: SUITE, differences: [{ test: COMES_BACK, reason: 'it did not, once' }] },
  empty: { suite: '', differences: [] },
};

describe('the suites of other libraries', () => {
  let folder: string;

  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'libraries-')));
    await mkdir(join(folder, 'definitions'));
    await writeFile(join(folder, 'ours.js'), OUR_STORE);
    for (const [name, { suite, differences }] of Object.entries(LIBRARIES)) {
      const definition = {
        test: { runner: 'node', args: ['test/*.test.js'] },
        replace: { 'store.js': join(folder, 'ours.js') },
        differences,
      };
      await writeFile(join(folder, 'definitions', `${name}.mjs`), `export default ${JSON.stringify(definition)};`);
      await mkdir(join(folder, name, 'test'), { recursive: true });
      await writeFile(join(folder, name, 'store.js'), MEMORY_STORE);
      await writeFile(join(folder, name, 'test', 'store.test.js'), suite);
    }
  });
  after(() => rm(folder, { recursive: true }));

  /** Runs the command; gives its exit code and what it printed. */
  function suites(...names: string[]): Promise<{ code: number; printed: string }> {
    const args = [command, '--package', installed, '--libraries', join(folder, 'definitions'), '--from', folder, ...names];
    return new Promise((done) => {
      execFile(process.execPath, args, (error, stdout, stderr) =>
        done({ code: Number(error?.code ?? 0), printed: stdout + stderr }),
      );
    });
  }

  it('passes if every test does the same, and if a difference is named with its reason', async () => {
    const { code, printed } = await suites('equal', 'named');
    assert.equal(code, 0, printed);
    assert.match(printed, /\| equal \| {2}\| 1 \| 1 \| 1 \| 0 \| 0 \| equal \|/);
    assert.match(printed, /\| named \| {2}\| 2 \| 2 \| 1 \| 1 \| 0 \| equal \|/);
    assert.match(printed, new RegExp(`named: ${VERY_OBJECT}: passed in memory, failed with ours\\s+sessions are read from JSON`));
  });

  it('fails if a test differs that nobody has named, and shows how it failed', async () => {
    const { code, printed } = await suites('unequal', 'equal');
    assert.equal(code, 1, printed);
    assert.match(printed, /\| unequal \| {2}\| 2 \| 2 \| 1 \| 0 \| 1 \| NOT EQUAL \|/);
    assert.match(printed, new RegExp(`DIFFERS: ${VERY_OBJECT}: passed in memory, failed with ours\\s+AssertionError`));
  });

  it('fails if a named difference no longer occurs, and says which', async () => {
    const { code, printed } = await suites('stale');
    assert.equal(code, 1, printed);
    assert.match(printed, new RegExp(`GONE: ${COMES_BACK} no longer differs.*it did not, once`));
  });

  it('fails if no test passed, since then nothing was compared', async () => {
    const { code, printed } = await suites('empty');
    assert.equal(code, 1, printed);
    assert.match(printed, /nothing passed/);
  });
});
