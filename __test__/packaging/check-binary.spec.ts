// What a binary must be before it is published.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const MUSL = 'x86_64-unknown-linux-musl';
const GNU = 'x86_64-unknown-linux-gnu';

describe('a binary that is to be published', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'check-binary-'));
  });
  after(() => rm(folder, { recursive: true }));

  const check = async (target: string, contents: string | Buffer) => {
    const file = join(folder, 'core.node');
    await writeFile(file, contents);
    const env = { ...process.env, CARGO_HOME: join(folder, 'cargo home') };
    await promisify(execFile)(process.execPath, [join(root, 'scripts', 'release', 'check-binary.mjs'), target, file], { env });
  };

  it('is small, where that was measured', async () => {
    await assert.rejects(check(GNU, Buffer.alloc(10_500_001)), /core\.node is larger than 10500000 bytes/);
    await check(MUSL, Buffer.alloc(10_500_001));
  });

  it('names no files of the machine that built it', async () => {
    await check(MUSL, 'connect-dynamodb-kms/src/lib.rs\0');
    await assert.rejects(check(MUSL, `\0${join(root, 'src', 'lib.rs')}\0`), /names files in /);
    await assert.rejects(check(MUSL, `\0${join(folder, 'cargo home', 'registry', 'src')}\0`), /names files in .*cargo home/);
  });

  it('is looked at for the glibc that it needs', async () => {
    await assert.rejects(check(GNU, 'no binary'), /is no little-endian 64-bit ELF file/);
  });
});
