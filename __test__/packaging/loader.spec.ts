// Loading the binary: which one is taken, and what is said when there is none.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { platformOf } from '../support/platforms.ts';

const run = promisify(execFile);
const loader = new URL('../../binding.js', import.meta.url);

describe('the loader', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'loader-'));
    await mkdir(join(folder, 'package'));
    await copyFile(loader, join(folder, 'package', 'binding.js'));
  });
  after(() => rm(folder, { recursive: true }));

  /** Installs a package for a platform whose main file holds this text. */
  const install = async (platform: string, main: string, text: string) => {
    const target = join(folder, 'node_modules', `connect-dynamodb-kms-${platform}`);
    await mkdir(target, { recursive: true });
    await writeFile(join(target, 'package.json'), JSON.stringify({ main }));
    await writeFile(join(target, main), text);
    return () => rm(target, { recursive: true });
  };

  /** Loads on another platform, as far as the loader can tell; gives what it loaded or what it threw. */
  const load = async (platform: string, arch: string, maps?: string) => {
    const program = `
      Object.defineProperty(process, 'platform', { value: ${JSON.stringify(platform)} });
      Object.defineProperty(process, 'arch', { value: ${JSON.stringify(arch)} });
      const fs = require('node:fs');
      const { readFileSync } = fs;
      fs.readFileSync = (path, ...rest) => {
        if (path !== '/proc/self/maps') return readFileSync(path, ...rest);
        if (${maps === undefined}) throw new Error('no /proc here');
        return ${JSON.stringify(maps ?? '')};
      };
      try {
        console.log(JSON.stringify({ loaded: require('./package/binding.js') }));
      } catch ({ message, cause }) {
        console.log(JSON.stringify({ message, cause: cause && { code: cause.code, message: cause.message } }));
      }`;
    const { stdout } = await run(process.execPath, ['-e', program], { cwd: folder });
    return JSON.parse(stdout);
  };

  it('names the package that is missing and what to do', async () => {
    const { message, cause } = await load('darwin', 'arm64');
    assert.match(message, /needs connect-dynamodb-kms-darwin-arm64, .* is not installed\. Install on the platform where it runs/);
    assert.equal(cause.code, 'MODULE_NOT_FOUND');
  });

  it('names a platform that has no binary, those that have one, and the way out', async () => {
    const { message, cause } = await load('freebsd', 'x64');
    assert.match(message, /no binary for freebsd-x64\. .*linux-x64-gnu.* build it from source/);
    assert.equal(cause, undefined);
    assert.match((await load('linux', 'ppc64', '/lib/libc.so.6\n')).message, /no binary for linux-ppc64-gnu/);
    assert.match((await load('linux', 'arm', '/lib/libc.so.6\n')).message, /no binary for linux-arm-gnueabihf/); // as `napi build` calls it
  });

  it('passes on why a binary cannot be loaded', async () => {
    const remove = await install('win32-x64-msvc', 'core.node', 'not a binary');
    const { message, cause } = await load('win32', 'x64');
    assert.match(message, /cannot load the binary in the package connect-dynamodb-kms-win32-x64-msvc: ./);
    assert.ok(message.includes(cause.message));
    await remove();
  });

  for (const { libc, maps, platform } of [
    { libc: 'glibc', maps: '7f00-7f01 r-xp 0 fd:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6\n', platform: 'linux-x64-gnu' },
    { libc: 'glibc before 2.34', maps: '7f00-7f01 r-xp 0 fd:00 1 /lib64/libc-2.17.so\n', platform: 'linux-x64-gnu' },
    {
      libc: 'glibc that was upgraded since the process began',
      maps: '7f00-7f01 r-xp 0 fd:00 1 /usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)\n',
      platform: 'linux-x64-gnu',
    },
    { libc: 'musl', maps: '7f00-7f01 r-xp 0 fd:00 1 /lib/ld-musl-x86_64.so.1\n', platform: 'linux-x64-musl' },
    { libc: 'musl under its own name', maps: '7f00-7f01 r-xp 0 fd:00 1 /usr/lib/libc.so\n', platform: 'linux-x64-musl' },
    { libc: 'what it cannot tell', maps: undefined, platform: 'linux-x64-gnu' },
  ]) {
    it(`takes ${platform} on ${libc}, also where both are installed`, async () => {
      const removals = [];
      for (const name of ['linux-x64-gnu', 'linux-x64-musl'])
        removals.push(await install(name, 'core.js', `module.exports = ${JSON.stringify(name)}`));
      assert.deepEqual(await load('linux', 'x64', maps), { loaded: platform });
      for (const remove of removals) await remove();
    });
  }

  it('prefers what was built beside it', async () => {
    const remove = await install('darwin-x64', 'core.js', `module.exports = 'installed'`);
    const built = join(folder, 'package', 'connect-dynamodb-kms.darwin-x64.node');
    await writeFile(built, 'not a binary');
    assert.doesNotMatch((await load('darwin', 'x64')).message, /connect-dynamodb-kms-darwin-x64/);
    await rm(built);
    assert.deepEqual(await load('darwin', 'x64'), { loaded: 'installed' });
    await remove();
  });

  it('knows every target that is built', async () => {
    const { napi } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    const known = [...(await readFile(loader, 'utf8')).matchAll(/'(.+)': \(\) => require\('connect-dynamodb-kms-(.+)'\)/g)];
    for (const [, platform, required] of known) assert.equal(platform, required);
    assert.deepEqual(known.map(([, platform]) => platform).toSorted(), napi.targets.map(platformOf).toSorted());
  });
});
