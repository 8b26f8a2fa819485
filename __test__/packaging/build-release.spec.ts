// What a release's binaries are called, and that they hold no paths of the machine that built them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../../scripts/release/build.mjs', import.meta.url));

describe('a release build', () => {
  let folder: string;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'build release ')));
  });
  after(() => rm(folder, { recursive: true }));

  const ask = async (expression: string) => {
    const program = `import * as release from ${JSON.stringify(script)}; console.log(JSON.stringify(${expression}))`;
    return JSON.parse((await run(process.execPath, ['--input-type=module', '-e', program])).stdout);
  };

  it('calls every binary as the loader does', async () => {
    const { napi } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    const loader = await readFile(new URL('../../binding.js', import.meta.url), 'utf8');
    const names: string[] = await ask(`${JSON.stringify(napi.targets)}.map(release.platformOf)`);
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.ok(loader.includes(`'${name}': `), name);
  });

  it('refuses a target that is not released, before it builds anything, and says what builds it', async () => {
    for (const target of ['x86_64-unknown-freebsd', 'x86_64-alpine-linux-musl', 'powerpc64le-unknown-linux-gnu'])
      await assert.rejects(run(process.execPath, [script, target]), ({ stderr }) =>
        new RegExp(`${target} is not released; .*x86_64-unknown-linux-gnu.*npm run build -- --release`).test(stderr),
      );
  });

  it('has the C library inside on Windows alone', async () => {
    const { napi } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    for (const target of napi.targets) {
      const flags: string[] = await ask(`release.flagsOf(${JSON.stringify(target)})`);
      const { stdout } = await run('rustc', ['--print', 'cfg', '--target', target, ...flags]);
      assert.equal(stdout.includes('target_feature="crt-static"'), target.endsWith('-windows-msvc'), target);
    }
  });

  it('names the source files of panics without the folders they were in', async () => {
    const crates = join(folder, 'cargo home', 'registry', 'src');
    const places = { workspace: folder, artifacts: join(folder, 'target'), crates };
    const flags: string[] = await ask(`release.withoutPaths(${JSON.stringify(places)})`);
    for (const [path, name] of [
      [join('src', 'lib.rs'), join('connect-dynamodb-kms', 'src', 'lib.rs')],
      [join('target', 'out', 'made.rs'), join('target', 'out', 'made.rs')],
      [join('cargo home', 'registry', 'src', 'a-1.0.0', 'lib.rs'), join('registry', 'a-1.0.0', 'lib.rs')],
    ] as const) {
      const source = join(folder, path);
      await mkdir(join(source, '..'), { recursive: true });
      await writeFile(source, '#[unsafe(no_mangle)] pub extern "C" fn fails() { panic!("it failed") }');
      const library = join(folder, 'library');
      await run('rustc', [
        '--edition=2024',
        '--crate-name=it',
        '--crate-type=cdylib',
        '-Cstrip=symbols',
        ...flags,
        '-o',
        library,
        source,
      ]);
      const built = await readFile(library, 'latin1');
      assert.ok(built.includes(name), name);
      for (const longer of [folder, join('connect-dynamodb-kms', 'target')]) assert.ok(!built.includes(longer), path);
    }
  });
});
