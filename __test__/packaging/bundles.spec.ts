// The documented lines for a bundler, run as they stand: the bundle works beside this package alone.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startLocal } from '../support/backends.ts';
import { InstalledApplication } from '../support/installed-application.ts';
import { recipe } from '../support/recipes.ts';

const here = fileURLToPath(new URL('..', import.meta.url));
const ESBUILD = join(here, 'node_modules', '.bin', 'esbuild');
const lines = await recipe('bundle');
const outfile = (line: string) => / --outfile=(\S+)/.exec(line)?.[1] ?? '';

describe('a bundle made with the documented line', () => {
  let sources: string;
  let home: string;
  before(async () => {
    sources = await mkdtemp(join(here, 'bundle-')); // below the node_modules of the frameworks
    home = await mkdtemp(join(tmpdir(), 'bundle-'));
    await mkdir(join(home, 'dist'));
    await mkdir(join(home, 'node_modules'));
    for (const name of await readdir(join(here, 'node_modules'))) {
      if (name.startsWith('connect-dynamodb-kms'))
        await cp(join(here, 'node_modules', name), join(home, 'node_modules', name), { recursive: true });
    }
  });
  after(async () => {
    await rm(sources, { recursive: true });
    await rm(home, { recursive: true });
  });

  it('is CommonJS or ESM', () => {
    assert.deepEqual(lines.map(outfile), ['dist/server.cjs', 'dist/server.mjs']);
  });

  /** Bundles a program with a line, and starts the bundle. */
  async function start(t: TestContext, program: string, line: string): Promise<InstalledApplication> {
    const file = outfile(line);
    await copyFile(new URL(`../support/installed/${program}`, import.meta.url), join(sources, program));
    await writeFile(join(sources, 'server.mjs'), `import './${program}';\n`);
    assert.match(line, /^npx esbuild /);
    await promisify(execFile)('sh', ['-c', line.replace('npx esbuild', `'${ESBUILD}'`)], { cwd: sources });
    await copyFile(join(sources, file), join(home, file));
    const backend = await startLocal();
    const application = new InstalledApplication(home, file, backend.config, 'elsewhere');
    t.after(async () => {
      await application.kill();
      await backend.stop();
    });
    await application.start();
    return application;
  }

  for (const program of ['express-login.cjs', 'fastify-login.mjs']) {
    for (const line of lines) {
      it(`keeps a login over a restart: ${program} as ${outfile(line)}`, async (t) => {
        const application = await start(t, program, line);
        const { cookie } = await application.ask('POST', '/login/ada');
        await application.kill();
        await application.start();
        assert.equal((await application.ask('GET', '/me', cookie)).body.user, 'ada');
        assert.equal((await application.ask('GET', '/me')).status, 401);
      });
    }
  }

  for (const line of lines.flatMap((line) => [line, `${line} --minify`])) {
    it(`keeps a refusal that does not return its reply: ${outfile(line)}${line.endsWith('--minify') ? ', minified' : ''}`, async (t) => {
      const application = await start(t, 'fastify-auth.mjs', line);
      for (const path of ['/auth', '/late']) {
        const { status, body, cookie } = await application.ask('GET', path);
        assert.deepEqual({ path, status, body }, { path, status: 401, body: { refused: path } });
        assert.ok(cookie);
        assert.equal((await application.ask('GET', path, cookie)).status, 401);
      }
      const { status, body } = await application.ask('GET', '/ran');
      assert.deepEqual({ status, body }, { status: 200, body: [] });
    });
  }
});
