// The check that a binary runs on old systems: it must see the versions of glibc that a file asks for.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/release/glibc-floor.mjs', import.meta.url));
const onGlibc = process.platform === 'linux' && !/musl/.test(await readFile('/proc/self/maps', 'utf8').catch(() => 'musl'));

describe('the check of the glibc floor', { skip: onGlibc ? false : 'no glibc here' }, () => {
  let folder: string;
  let file: string;
  let bytes: Buffer;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'glibc-'));
    file = join(folder, 'core.node');
    const { napi } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    const arch = process.arch === 'x64' ? 'x64' : 'arm64';
    bytes = await readFile(new URL(`../../${napi.binaryName}.linux-${arch}-gnu.node`, import.meta.url));
  });
  after(() => rm(folder, { recursive: true }));

  /** Checks the binary that was built here with its newest glibc renamed; gives what the check says. */
  const check = async (floor: string, rename?: { from: string; to: string }) => {
    const changed = Buffer.from(bytes);
    if (rename) {
      const [from, to] = [`\0GLIBC_${rename.from}\0`, `\0GLIBC_${rename.to}\0`];
      assert.equal(from.length, to.length);
      const at = changed.indexOf(from);
      assert.notEqual(at, -1, 'the binary does not ask for that version');
      changed.write(to, at, 'latin1');
    }
    await writeFile(file, changed);
    const run = promisify(execFile)(process.execPath, [script, floor, file]);
    return run.then(
      ({ stdout }) => stdout,
      (error) => String(error.stderr),
    );
  };

  it('passes a binary that asks for the floor or older, and says what it asks for', async () => {
    assert.match(await check('9.99'), /core\.node: glibc 2\.\d+\n$/);
  });

  it('refuses a binary that asks for a newer one, by its number and not by its spelling', async () => {
    const newest = /glibc (2\.\d+)\n$/.exec(await check('9.99'))![1]!;
    assert.match(await check('2.2'), /needs glibc .*; the oldest that is supported is 2\.2\n/);
    assert.match(await check(newest), /core\.node: glibc/);
    assert.match(await check(newest, { from: newest, to: '3.01' }), /needs glibc 3\.01; the oldest that is supported/);
  });

  it('refuses what older systems lack altogether', async () => {
    const newest = /glibc (2\.\d+)\n$/.exec(await check('9.99'))![1]!;
    assert.match(await check('9.99', { from: newest, to: 'PRIV' }), /needs glibc PRIV/);
  });

  it('refuses a file that is no such binary', async () => {
    const program = promisify(execFile)(process.execPath, [script, '2.17', script]);
    await assert.rejects(program, /is no little-endian 64-bit ELF file/);
  });
});
