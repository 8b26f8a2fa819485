// The recipe for building from source, followed from line to line, in a clone beside an application.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { backends } from '../support/backends.ts';
import { InstalledApplication } from '../support/installed-application.ts';
import { recipe } from '../support/recipes.ts';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../..', import.meta.url));
const { devDependencies } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));

const APPLICATIONS = [
  { program: 'express-login.cjs', packages: ['express', 'express-session'] },
  { program: 'fastify-login.mjs', packages: ['fastify', '@fastify/cookie', '@fastify/session'] },
];

describe('the recipe for building from source', { timeout: 300_000 }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'from-source-'));
    const { stdout } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: repository });
    for (const file of new Set(
      stdout.split('\0').filter((name) => name && !/^(__test__|bench|fuzz|tools|examples)\//.test(name)),
    )) {
      const target = join(folder, 'connect-dynamodb-kms', file);
      await mkdir(dirname(target), { recursive: true });
      await copyFile(join(repository, file), target);
    }
    const home = join(folder, 'my-gateway');
    await mkdir(home);
    await writeFile(join(home, 'package.json'), JSON.stringify({ private: true }));
    const packages = APPLICATIONS.flatMap(({ packages }) => packages).map((name) => `${name}@${devDependencies[name]}`);
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...packages], { cwd: home });
    for (const { program } of APPLICATIONS)
      await copyFile(new URL(`../support/installed/${program}`, import.meta.url), join(home, program));
    await follow(await recipe('from source'));
  });
  after(() => rm(folder, { recursive: true }));

  async function follow(lines: string[]): Promise<void> {
    let cwd = folder;
    for (const line of lines) {
      const [command, ...args] = line.split(' ');
      if (command === 'cd') cwd = join(cwd, args[0]!);
      else if (line === 'npm run build -- --release') await placeBinary(cwd);
      else await run(command!, [...args, '--prefer-offline', '--no-audit', '--no-fund'], { cwd });
    }
  }

  /** What the build makes, without the minutes that it takes: the same script made the binary that is tested here. */
  async function placeBinary(clone: string): Promise<void> {
    const { scripts } = JSON.parse(await readFile(join(clone, 'package.json'), 'utf8'));
    assert.match(scripts.build, /^napi build --platform /);
    const binaries = (await readdir(repository)).filter((name) => name.endsWith('.node'));
    assert.notEqual(binaries.length, 0);
    for (const binary of binaries) await copyFile(join(repository, binary), join(clone, binary));
  }

  for (const { program } of APPLICATIONS) {
    for (const { name, start } of backends) {
      it(`gives a package with which a login lasts from request to request and over a restart: ${program} on ${name}`, async () => {
        const backend = await start();
        const application = new InstalledApplication(join(folder, 'my-gateway'), program, backend.config, 'elsewhere');
        try {
          await application.start();
          const { cookie } = await application.ask('POST', '/login/ada');
          const first = await application.ask('GET', '/me', cookie);
          assert.deepEqual([first.status, first.body.user], [200, 'ada']);
          await application.kill();

          await application.start();
          const later = await application.ask('GET', '/me', cookie);
          assert.deepEqual(later.body, first.body);
          assert.equal((await application.ask('POST', '/logout', cookie)).status, 200);
          assert.equal((await application.ask('GET', '/me', cookie)).status, 401);
        } finally {
          await application.kill();
          await backend.stop();
        }
      });
    }
  }
});
