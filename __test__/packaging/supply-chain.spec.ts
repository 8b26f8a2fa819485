// The check of advisories where their databases cannot be reached.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/supply-chain.mjs', import.meta.url));
const { CARGO_DENY } = await import(script);

describe('the check of the supply chain', { skip: process.platform === 'win32' && 'no shell scripts as programs' }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'supply-chain-'));
    await stand(join('connect-dynamodb-kms', `cargo-deny-${CARGO_DENY}`, 'bin', 'cargo-deny'), 'exit 0');
  });
  after(() => rm(folder, { recursive: true }));

  /** A shell script in place of a program. */
  const stand = async (program: string, text: string) => {
    await mkdir(join(folder, program, '..'), { recursive: true });
    await writeFile(join(folder, program), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  };
  const check = async (environment: Record<string, string | undefined>) => {
    const program = `import { checkSupplyChain } from ${JSON.stringify(script)}; await checkSupplyChain();`;
    const PATH = `${join(folder, 'programs')}${delimiter}${process.env.PATH}`;
    const env = { ...process.env, GITHUB_ACTIONS: undefined, XDG_CACHE_HOME: folder, ...environment, PATH };
    return (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { env })).stdout;
  };

  it('says what it leaves out, and leaves out nothing on GitHub', async () => {
    await stand(join('programs', 'npm'), 'echo "npm error audit endpoint returned an error" >&2; exit 1');
    assert.match(await check({}), /NOT CHECKED: `npm audit`: its database cannot be reached from here/);
    await assert.rejects(
      check({ GITHUB_ACTIONS: 'true' }),
      /endpoint returned an error[\s\S]*`npm audit` did not reach its database/,
    );
  });

  it('fails by what it finds', async () => {
    await stand(join('programs', 'npm'), 'echo "1 critical severity vulnerability"; exit 1');
    await assert.rejects(check({}), /1 critical severity vulnerability/);
  });
});
