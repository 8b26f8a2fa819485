// The example gateway as its Dockerfile runs it. Nothing here builds the image.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const example = fileURLToPath(new URL('../../examples/fastify-gateway', import.meta.url));
const dockerfile = await readFile(join(example, 'Dockerfile'), 'utf8');
const instructions = dockerfile
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .map((line) => /^([A-Z]+)\s+(.+)$/.exec(line))
  .flatMap((found) => (found ? [{ name: found[1]!, value: found[2]! }] : []));
const last = (name: string) => instructions.findLastIndex((instruction) => instruction.name === name);

describe("the example's container", () => {
  it('has nothing of what built it but what it runs', () => {
    assert.ok(instructions.filter(({ name }) => name === 'FROM').length >= 2);
    const image = instructions.slice(last('FROM') + 1);
    assert.deepEqual(
      image.filter(({ name }) => name === 'RUN' || name === 'ADD'),
      [],
    );
    for (const { name, value } of image) if (name === 'COPY') assert.match(value, /^--from=build /);
  });

  it('runs as a user without rights, by number', () => {
    assert.ok(last('USER') > last('FROM'));
    assert.match(instructions[last('USER')]!.value, /^[1-9]\d*$/);
  });

  it('gives its signals to the gateway, with no shell in between', () => {
    for (const { name, value } of instructions)
      if (name === 'CMD' || name === 'ENTRYPOINT')
        for (const argument of JSON.parse(value)) assert.equal(typeof argument, 'string');
    assert.ok(last('CMD') > last('FROM'));
  });

  it('ends where it has no secret and can keep none, and says what to set', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'container-'));
    await writeFile(join(folder, 'file'), '');
    const { SESSION_SECRET: _, ...environment } = process.env;
    const args = JSON.parse(instructions[last('CMD')]!.value);
    const gateway = spawn(process.execPath, args, {
      cwd: example,
      env: { ...environment, PORT: '0', SESSIONS_FOLDER: join(folder, 'file', 'sessions') }, // no folder can be made there, not by root either
    });
    let stderr = '';
    gateway.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    const [code] = await once(gateway, 'close');
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^SESSION_SECRET is not set, and a secret cannot be kept in .*\(ENOTDIR.*\)\. Set it to at least 32 characters\.\n$/,
    );
    await rm(folder, { recursive: true });
  });
});
