// The environments of Python that builds and tests use: made once, and never half.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/python.mjs', import.meta.url));
/** In place of Python: makes an environment whose Python installs nothing. */
const STAND_IN = `#!/bin/sh
case "$1" in
  -c) exit "$TOO_OLD" ;;
  -m) if [ "$2" = pip ]; then exit "$PIP_FAILS"; fi
      mkdir -p "$3/bin" && cp "$0" "$3/bin/python3" ;;
esac`;

describe('an environment of Python', { skip: process.platform === 'win32' && 'no shell scripts as programs' }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'python-'));
    await mkdir(join(folder, 'programs'));
    await writeFile(join(folder, 'programs', 'python3'), STAND_IN);
    await chmod(join(folder, 'programs', 'python3'), 0o755);
  });
  beforeEach(() => rm(join(folder, 'connect-dynamodb-kms'), { recursive: true, force: true }));
  after(() => rm(folder, { recursive: true }));

  const make = async (environment: Record<string, string> = {}) => {
    const program = `import { pythonEnvironment } from ${JSON.stringify(script)};
      console.log((await pythonEnvironment('one==1.0', 'two==2.0')).python);`;
    const env = {
      ...process.env,
      PATH: `${join(folder, 'programs')}${delimiter}${process.env.PATH}`,
      XDG_CACHE_HOME: folder,
      TOO_OLD: '0',
      PIP_FAILS: '0',
      ...environment,
    };
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { env });
    return stdout.trim();
  };

  it('is made once, in the cache folder', async () => {
    const python = await make();
    assert.equal(python, join(folder, 'connect-dynamodb-kms', 'one-1.0-two-2.0', 'bin', 'python3'));
    await access(python);
    assert.equal(await make({ TOO_OLD: '1', PIP_FAILS: '1' }), python);
  });

  it('is made anew after an attempt that failed', async () => {
    await assert.rejects(make({ PIP_FAILS: '1' }), /-m pip install .*one==1\.0 two==2\.0. failed/);
    await assert.rejects(make({ PIP_FAILS: '1' }), /failed/);
    await make();
  });

  it('needs a Python that can make it, and says which one', async () => {
    await assert.rejects(
      make({ TOO_OLD: '1' }),
      /Python 3\.10 or newer with its venv module is needed.*apt install python3-venv/,
    );
  });
});
