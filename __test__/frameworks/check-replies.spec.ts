// `connect-dynamodb-kms check-replies`, as it is installed: what it finds in the sources of Fastify applications, and what it leaves alone.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { right, wrong } from '../support/reply-snippets.ts';

const manifest = createRequire(import.meta.url).resolve('connect-dynamodb-kms/package.json');
const { bin, version } = createRequire(import.meta.url)(manifest);
const installed = dirname(manifest);

interface Run {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs the program of a package that is installed in a folder. */
function runIn(cwd: string, args: string[], program = join(installed, bin['connect-dynamodb-kms'])): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { cwd }, (error, stdout, stderr) => {
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

describe('check-replies', () => {
  let folder: string;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'check-replies-')));
  });
  after(() => rm(folder, { recursive: true }));

  let folders = 0;
  /** A folder with these files. */
  const project = async (files: Record<string, string>) => {
    const home = join(folder, `${folders++}`);
    for (const [path, source] of Object.entries(files)) {
      await mkdir(dirname(join(home, path)), { recursive: true });
      await writeFile(join(home, path), source);
    }
    return home;
  };
  const check = async (files: Record<string, string>, ...args: string[]) =>
    runIn(await project(files), ['check-replies', ...args]);
  /** What is found in these snippets, by their names; each is a file of one project. */
  const foundIn = async (snippets: [name: string, source: string, extension: string][]) => {
    const files = Object.fromEntries(snippets.map(([, source, extension], index) => [`${index}.${extension}`, source]));
    const { stdout, stderr } = await check(files, '--json');
    assert.equal(stderr, '');
    const { findings, unreadable } = JSON.parse(stdout);
    assert.deepEqual(unreadable, []);
    return new Map(
      snippets.map(
        ([name], index) => [name, findings.filter(({ file }: any) => file.startsWith(`${index}.`))] as [string, any[]],
      ),
    );
  };
  /** The places that are found in files that belong together. */
  const places = async (files: Record<string, string>) => {
    const { findings } = JSON.parse((await check(files, '--json')).stdout);
    return findings.map(({ file, line, what }: any) => `${file}:${line} ${what}`);
  };
  const WRONG = `app.get('/', async (request, reply) => { reply.send(1); });`;
  const RIGHT = `app.get('/', async (request, reply) => reply.send(1));`;

  describe('finds', () => {
    let all: Map<string, any[]>;
    before(async () => {
      all = await foundIn(Object.entries(wrong).map(([name, { source, extension = 'js' }]) => [name, source, extension]));
    });
    for (const [name, { found: expected }] of Object.entries(wrong)) {
      it(name, () => {
        const findings = all.get(name)!;
        assert.deepEqual(
          findings.map(({ line, column, what }) => [`${line}:${column}`, what]),
          expected.map(([place, what]) => [place, what]),
        );
        for (const [index, [, , write]] of expected.entries()) {
          if (typeof write === 'string') assert.equal(findings[index].write, write);
          else assert.match(findings[index].write, write);
        }
      });
    }
  });

  describe('leaves alone', () => {
    let all: Map<string, any[]>;
    before(async () => {
      all = await foundIn(Object.entries(right).map(([name, source]) => [name, source, 'ts']));
    });
    for (const name of Object.keys(right)) it(name, () => assert.deepEqual(all.get(name), []));
  });

  it('follows helpers, handlers and reply methods into the files that are imported', async () => {
    const files = {
      'src/app.ts': `import Fastify from 'fastify';
import { deny, page as show } from './answers.js';
import * as guards from './guards/index.js';
import { refuse } from '@/guards';
const app = Fastify();
app.get('/a', { preHandler: guards.member }, async (request, reply) => { if (!request.user) return deny(reply); });
app.get('/b', show);
app.get('/c', async (request, reply) => { reply.fail(); });
app.get('/e', async (request, reply) => { refuse(reply); });
app.get('/d', async (request, reply) => guards.kind(reply));`,
      'src/answers.ts': `export function deny(r) { r.code(401).send(); }\nexport const page = async (a, b) => { b.send(1); };`,
      'src/guards/index.ts': `export * from './other.js';\nexport { admin as member } from './admin.js';\nexport const kind = (r) => r.code(403).send();`,
      'src/guards/other.ts': `export function refuse(r) { r.code(403).send(); }`,
      'src/guards/admin.ts': `export const admin = async (a, b) => {\n  b.code(403).send();\n};`,
      'src/plugin.cjs': `module.exports = (app) => app.decorateReply('fail', fail);\nfunction fail() { this.send(1); }`,
      'legacy/routes.cjs': `const { login } = require('./login');\nconst pages = require('./pages');\nmodule.exports = (fastify) => { fastify.post('/login', login); fastify.get('/p', pages.one); };`,
      'legacy/login.js': `exports.login = async (a, b) => { b.redirect('/'); };`,
      'legacy/pages.js': `async function one(a, b) { b.send(1); }\nmodule.exports = { one };`,
    };
    assert.deepEqual(await places(files), [
      'legacy/login.js:1 POST /login, login',
      'legacy/pages.js:1 GET /p, one',
      'src/answers.ts:2 GET /b, show',
      'src/app.ts:6 GET /a',
      'src/app.ts:8 GET /c',
      'src/app.ts:9 GET /e',
      'src/guards/admin.ts:2 preHandler hook of GET /a, member',
    ]);
  });

  it('takes (req, res) for a request and a reply where no other framework is', async () => {
    const handler = 'module.exports = async (req, res) => { res.send(1); };';
    const fastify = `const app = require('fastify')();`;
    assert.deepEqual(await places({ 'handler.js': handler, 'app.js': fastify }), ['handler.js:1 export default']);
    assert.deepEqual(await places({ 'handler.js': handler, 'app.js': fastify, 'old.js': `require('express')();` }), []);
  });

  it('reads every kind of source, and neither packages, builds, hidden folders nor declarations', async () => {
    const kinds = ['js', 'cjs', 'mjs', 'ts', 'cts', 'mts', 'jsx', 'tsx'];
    const read = Object.fromEntries(kinds.map((kind) => [`src/${kind}.${kind}`, WRONG]));
    const leftOut = [
      'node_modules/a/a.js',
      'dist/a.js',
      'src/dist/a.js',
      '.git/a.js',
      '.next/a.js',
      'a.min.js',
      'a.json',
      'a.d.ts',
    ];
    const files = { ...read, ...Object.fromEntries(leftOut.map((path) => [path, WRONG])) };
    assert.deepEqual(
      await places(files),
      Object.keys(read)
        .toSorted()
        .map((path) => `${path}:1 GET /`),
    );
  });

  it('reads the paths that it is given', async () => {
    const home = await project({ 'a/a.js': WRONG, 'b/b.js': WRONG, 'c/c.js': WRONG, 'dist/d.js': WRONG });
    const { stdout } = await runIn(home, ['check-replies', '--json', 'a', 'b/b.js', './b', 'dist/d.js']);
    const { files, findings } = JSON.parse(stdout);
    assert.deepEqual([files, findings.map(({ file }: any) => file)], [3, ['a/a.js', 'b/b.js', 'dist/d.js']]);
  });

  it('prints a line for each, as editors and terminals link them', async () => {
    const { status, stdout, stderr } = await check({ 'src/a.js': `${WRONG}\n${WRONG}`, 'b.js': RIGHT });
    const line = (number: number) =>
      `src/a.js:${number}:42  GET /: nothing waits for \`reply.send(1)\`; write \`return reply.send(1)\`\n`;
    assert.deepEqual([status, stdout, stderr], [1, `${line(1)}${line(2)}\n2 files, 2 findings\n`, '']);
  });

  it('ends with 0 where it finds nothing', async () => {
    assert.deepEqual(await check({ 'a.js': RIGHT }), { status: 0, stdout: '1 file, 0 findings\n', stderr: '' });
    const { status, stdout } = await check({ 'a.js': RIGHT }, '--json');
    assert.deepEqual([status, JSON.parse(stdout)], [0, { files: 1, findings: [], unreadable: [] }]);
  });

  it('ends with 1 where it finds something, as text and as JSON', async () => {
    for (const args of [[], ['--json']]) assert.equal((await check({ 'a.js': WRONG }, ...args)).status, 1);
  });

  it('ends with 1 where a file cannot be parsed, and checks the others', async () => {
    const { status, stdout } = await check({ 'a.js': 'function (reply {', 'b.js': WRONG });
    assert.equal(status, 1);
    assert.match(stdout, /^a\.js: cannot be parsed: .+\nb\.js:1:42 {2}GET \//);
    const json = JSON.parse((await check({ 'a.js': 'function (reply {' }, '--json')).stdout);
    assert.deepEqual(
      json.unreadable.map(({ file }: any) => file),
      ['a.js'],
    );
  });

  for (const [name, args, message] of [
    ['an option that it does not know', ['check-replies', '--fix'], /--fix/],
    ['a path that is not there', ['check-replies', 'nowhere'], /no such file or folder: nowhere/],
    ['a file that is no source', ['check-replies', 'a.txt'], /not JavaScript or TypeScript: a\.txt/],
    ['a folder without sources', ['check-replies', 'empty'], /no JavaScript or TypeScript in empty/],
    ['no command', [], /^Usage: connect-dynamodb-kms <command>/],
    ['an unknown command', ['check'], /unknown command check; did you mean check-replies\?\n/],
    ['a command by a name that objects have', ['toString'], /unknown command toString\n/],
  ] as [string, string[], RegExp][]) {
    it(`ends with 2 for ${name}, and says so`, async () => {
      const home = await project({ 'a.txt': '', 'empty/a.txt': '', 'a.js': WRONG });
      const { status, stdout, stderr } = await runIn(home, args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /^ +at /m);
    });
  }

  it('describes its commands and options', async () => {
    for (const args of [['--help'], ['help'], ['-h']]) {
      const { status, stdout } = await runIn(folder, args);
      assert.equal(status, 0);
      assert.match(stdout, /check-replies/);
    }
    for (const flag of ['--help', '-h']) {
      const { status, stdout } = await runIn(folder, ['check-replies', flag]);
      assert.equal(status, 0);
      for (const word of ['--json', 'Exit status', 'npm install --save-dev oxc-parser']) assert.ok(stdout.includes(word), word);
    }
    assert.equal((await runIn(folder, ['--version'])).stdout, `${version}\n`);
  });

  it('says in one line what to install where oxc-parser is missing', async () => {
    const home = await project({ 'a.js': WRONG, 'node_modules/package.json': '{}' });
    await cp(installed, join(home, 'node_modules', 'connect-dynamodb-kms'), { recursive: true });
    const program = join(home, 'node_modules', 'connect-dynamodb-kms', bin['connect-dynamodb-kms']);
    const missing = await runIn(home, ['check-replies'], program);
    assert.deepEqual([missing.status, missing.stdout], [2, '']);
    assert.match(
      missing.stderr,
      /^[^\n]*oxc-parser: `npm install --save-dev oxc-parser`, or `npx --package=connect-dynamodb-kms [^\n]*\n$/,
    );

    // From the project that is checked, or from beside the package.
    const parser = fileURLToPath(new URL('../node_modules/oxc-parser', import.meta.url));
    await symlink(await realpath(parser), join(home, 'node_modules', 'oxc-parser'));
    assert.equal((await runIn(home, ['check-replies'], program)).status, 1);
    const elsewhere = await project({ 'a.js': WRONG });
    assert.equal((await runIn(elsewhere, ['check-replies'], program)).status, 1);
  });

  it('can be run as npm links it', async () => {
    const home = await project({ 'a.js': WRONG });
    const link = join(home, 'connect-dynamodb-kms');
    await symlink(join(installed, bin['connect-dynamodb-kms']), link);
    const { status, stdout } = await new Promise<Run>((resolve) => {
      execFile(link, ['check-replies'], { cwd: home }, (error, stdout, stderr) =>
        resolve({ status: Number(error?.code ?? 0), stdout, stderr }),
      );
    });
    assert.equal(status, 1, stdout);
  });
});
