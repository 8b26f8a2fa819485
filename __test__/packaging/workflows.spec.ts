// The workflows of CI and of releases: that they build what is promised, and that nothing can be changed under them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { platformOf } from '../support/platforms.ts';

const folder = new URL('../../.github/workflows/', import.meta.url);
const texts = await Promise.all((await readdir(folder)).map((name) => readFile(new URL(name, folder), 'utf8')));
const workflows: any[] = texts.map((text) => parse(text));
const jobs: any[] = workflows.flatMap((workflow) => Object.values(workflow.jobs));
const release = workflows.find(({ name }) => name === 'Release');
const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));

describe('the workflows', () => {
  it('run actions at commits, each with the version that it is', () => {
    const uses = texts.flatMap((text) => [...text.matchAll(/\buses:.*$/gm)].map(([line]) => line));
    assert.ok(uses.length > 0);
    for (const line of uses) assert.match(line, /^uses: actions\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it('may do nothing but what each job names', () => {
    for (const { permissions } of workflows) assert.deepEqual(permissions, {});
    const writes = jobs.flatMap((job) => Object.entries(job.permissions).filter(([, access]) => access !== 'read'));
    assert.deepEqual(Object.fromEntries(writes), { 'id-token': 'write', contents: 'write' });
    assert.equal(writes.length, 2);
  });

  it('give a token of npm to nothing but the publishing of packages that other jobs have packed', () => {
    const secret = jobs.filter((job) => JSON.stringify(job).includes('secrets.'));
    assert.equal(secret.length, 1);
    assert.equal(secret[0].environment, 'npm');
    assert.doesNotMatch(JSON.stringify(secret[0]), /actions\/checkout|npm ci|npm install/);
    assert.match(JSON.stringify(secret[0]), /--provenance/);
  });

  it('build every target', () => {
    const matrices = jobs.map((job) => job.strategy?.matrix?.include?.map(({ target }: any) => target));
    const targets = matrices.find((list) => list?.[0]);
    assert.deepEqual(targets.toSorted(), manifest.napi.targets.toSorted());
  });

  it('use every Node.js that docs/platforms.md names', async () => {
    const platforms = await readFile(new URL('../../docs/platforms.md', import.meta.url), 'utf8');
    const supported = /^\| Node\.js \| ([\d, ]+) \|/m.exec(platforms)![1]!.split(', ').map(Number);
    const tested = jobs.map(({ strategy }) => strategy?.matrix?.node).filter(Boolean);
    assert.ok(tested.length > 0);
    for (const node of tested) assert.deepEqual(node, supported);
    assert.equal(manifest.engines.node, `>=${supported[0]}`);
  });
});

describe('a release', () => {
  const commands = (job: string): string[] => release.jobs[job].steps.flatMap(({ run }: any) => run ?? []);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'release-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** Runs commands of a job as GitHub does, with the programs that stand for others. */
  const execute = async (script: string, environment: Record<string, string>) => {
    const PATH = `${join(folder, 'programs')}${delimiter}${process.env.PATH}`;
    const options = { cwd: folder, env: { ...process.env, ...environment, PATH } };
    return (await promisify(execFile)('bash', ['-e', '-c', script], options)).stdout;
  };
  /** A shell script in place of a program. */
  const stand = async (program: string, script: string) => {
    await mkdir(join(folder, 'programs'), { recursive: true });
    await writeFile(join(folder, 'programs', program), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  };

  it('is built by the version of Rust that CI has built it with', () => {
    const builds = [release.jobs.build, workflows.find(({ name }) => name === 'CI').jobs.install];
    const [released, tried] = builds.map(({ env }) => env.RUSTUP_TOOLCHAIN);
    assert.match(released, /^\d+\.\d+\.\d+$/);
    assert.equal(tried, released);
    for (const { steps } of builds)
      assert.ok(steps.some(({ run }: any) => run?.startsWith('rustup toolchain install "$RUSTUP_TOOLCHAIN" ')));
  });

  it('checks each binary after it was built and before it is handed on', () => {
    const { steps } = release.jobs.build;
    const position = (text: string) => steps.findIndex((step: any) => JSON.stringify(step).includes(text));
    const order = ['scripts/release/build.mjs', 'scripts/release/check-binary.mjs', 'actions/upload-artifact'].map(position);
    assert.ok(order[0]! >= 0);
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  it('names the repository that npm compares with the provenance, before the packages are made', async () => {
    const naming = commands('pack').findIndex((command) => command.startsWith('npm pkg set'));
    assert.ok(naming >= 0);
    assert.ok(naming < commands('pack').findIndex((command) => command.includes('platforms.mjs')));
    await writeFile(join(folder, 'package.json'), '{}');
    await execute(commands('pack')[naming]!, { GITHUB_REPOSITORY: 'owner/name' });
    const { repository } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    assert.deepEqual(repository, { type: 'git', url: 'git+https://github.com/owner/name.git' });
  });

  it('publishes what is not there yet, the package that names the others last', async () => {
    const names = ['connect-dynamodb-kms', ...['linux-x64-gnu', 'win32-x64-msvc'].map((name) => `connect-dynamodb-kms-${name}`)];
    await mkdir(join(folder, 'packed'));
    for (const name of names) await writeFile(join(folder, 'packed', `${name}-1.2.3-rc.1.tgz`), '');
    await stand(
      'npm',
      `case "$1" in view) grep -Fx "$2" there ;; publish) echo "$2 $*" | sed 's/ .*--tag/ --tag/' >> published ;; esac`,
    );
    const publish = async (there: string[]) => {
      await writeFile(join(folder, 'there'), there.map((name) => `${name}@1.2.3-rc.1\n`).join(''));
      await writeFile(join(folder, 'published'), '');
      await execute(commands('publish').at(-1)!, { GITHUB_REF_NAME: 'v1.2.3-rc.1', NODE_AUTH_TOKEN: '' });
      return (await readFile(join(folder, 'published'), 'utf8')).trim().split('\n');
    };
    const published = (name: string) => `./packed/${name}-1.2.3-rc.1.tgz --tag next`;
    assert.deepEqual(await publish([]), [names[1]!, names[2]!, names[0]!].map(published));
    assert.deepEqual(await publish([names[1]!]), [names[2]!, names[0]!].map(published));
  });

  it('is made with the bill of materials, and as one before the release where the version says so', async () => {
    assert.ok(commands('pack').includes('node scripts/release/sbom.mjs > packed/sbom.cdx.json'));
    await stand('gh', 'echo "$@"');
    const made = (tag: string) =>
      execute(commands('announce').at(-1)!, { GITHUB_REF_NAME: tag, GITHUB_REPOSITORY: 'owner/name' });
    const [release, candidate] = [await made('v1.2.3'), await made('v1.2.3-rc.1')];
    assert.match(release, /^release create v1\.2\.3 --repo owner\/name .* packed\/sbom\.cdx\.json$/m);
    assert.match(candidate, /^release create v1\.2\.3-rc\.1 --prerelease --repo/);
  });

  it('is used on every platform that it is built for', () => {
    const used = (job: string) => release.jobs[job].strategy.matrix;
    const { platform, include } = used('use');
    const musl = used('use-on-alpine').runner.map((runner: string) => `linux-${runner.endsWith('-arm') ? 'arm64' : 'x64'}-musl`);
    assert.deepEqual(include.map((own: any) => own.platform).toSorted(), platform.toSorted()); // each has a machine
    const abis: Record<string, string> = { linux: '-gnu', win32: '-msvc', darwin: '' };
    const others = platform.map((name: string) => name + abis[name.split('-')[0]!]);
    assert.deepEqual([...others, ...musl].toSorted(), manifest.napi.targets.map(platformOf).toSorted());
  });
});

describe('the notes of a release', () => {
  const script = fileURLToPath(new URL('../../scripts/release/notes.mjs', import.meta.url));
  let release: string;
  before(async () => {
    release = await mkdtemp(join(tmpdir(), 'release-'));
    await mkdir(join(release, 'fuzz'));
    for (const file of ['package.json', 'package-lock.json'])
      await writeFile(join(release, file), JSON.stringify({ version: '1.2.3' }));
    await writeFile(join(release, 'Cargo.toml'), '[package]\nversion = "1.2.3"\n[dependencies]\nversion = "9"\n');
    await writeFile(join(release, 'Cargo.lock'), locked('1.2.3'));
    await writeFile(join(release, 'fuzz', 'Cargo.lock'), locked('1.2.3').replaceAll('\n', '\r\n')); // as git gives it on Windows
  });
  after(() => rm(release, { recursive: true }));

  const locked = (version: string) =>
    `[[package]]\nname = "bytes"\nversion = "9"\n\n[[package]]\nname = "connect-dynamodb-kms"\nversion = "${version}"\n`;
  const notes = async (tag: string, changelog: string) => {
    await writeFile(join(release, 'CHANGELOG.md'), changelog);
    const program = `import { releaseNotes } from ${JSON.stringify(script)};
      console.log(await releaseNotes(${JSON.stringify(tag)}, ${JSON.stringify(release)}));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
    return stdout;
  };

  it('are what the changelog says of the version', async () => {
    const changelog =
      '# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2030-01-01\n\n### Added\n\n- This.\n\n## 1.2.2 - 2029-01-01\n\n- That.\n';
    assert.equal(await notes('v1.2.3', changelog), '### Added\n\n- This.\n');
  });

  it('are refused for a version that is not in the changelog, or that differs from the tag', async () => {
    await assert.rejects(notes('v1.2.3', '# Changelog\n\n## Unreleased\n'), /no section "## 1\.2\.3 - DATE"/);
    await assert.rejects(notes('v1.2.4', '## 1.2.3 - 2030-01-01\n'), /the tag has 1\.2\.4, package\.json has 1\.2\.3/);
    await writeFile(join(release, 'fuzz', 'Cargo.lock'), locked('1.2.2'));
    await assert.rejects(notes('v1.2.3', '## 1.2.3 - 2030-01-01\n'), /Cargo\.lock has 1\.2\.3, fuzz\/Cargo\.lock has 1\.2\.2$/m);
  });
});
