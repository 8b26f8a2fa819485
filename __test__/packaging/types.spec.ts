// What the compiler says about the package, for every way in which it resolves modules. What it must say stands in types/.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const compiler = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
const consumers = ['express.ts', 'fastify.ts', 'observing.ts', 'store.ts'];
const modules = [...consumers, 'import-require.cts', 'named-imports.cts', 'named-imports.mts', 'observing.cts'];

/** Runs `tsc` on a project. */
async function compile(path: string, ...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [compiler, '--project', path, '--pretty', 'false', ...args], (error, stdout, stderr) => {
      done({ code: error ? Number(error.code) : 0, output: stdout + stderr });
    });
  });
}

describe('the types', { concurrency: 2 }, () => {
  for (const { project, title, files } of [
    { project: 'node16', title: 'with the resolution node16', files: modules },
    { project: 'nodenext', title: 'with the resolution nodenext', files: modules },
    { project: 'bundler', title: 'with the resolution bundler', files: [...consumers, 'named-imports.mts'] },
    {
      project: 'augmented',
      title: 'beside sessions that the application describes',
      files: ['augmented/express.ts', 'augmented/fastify.ts'],
    },
  ]) {
    it(`fit applications, and refuse mistakes, ${title}`, async () => {
      const path = fileURLToPath(new URL(`../types/tsconfig.${project}.json`, import.meta.url));
      const { code, output } = await compile(path);
      assert.equal(output, '');
      assert.equal(code, 0);
      const { output: listed } = await compile(path, '--listFilesOnly');
      for (const file of files) assert.ok(listed.includes(`/types/${file}\n`), `${file} was not compiled`);
      assert.ok(
        listed.includes('/node_modules/connect-dynamodb-kms/index.d.ts\n'),
        'the declarations of the package were not checked',
      );
    });
  }
});

describe('the types in the JSDoc of lib/', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'jsdoc-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('fit one another, every file of it, and a mistake is found', async () => {
    const parse = JSON.stringify(join(root, 'lib', 'session-json.js'));
    const mistake = `require(${parse}).parse(1);\nfunction untyped(given) { return given; }\nuntyped(1);\n`;
    await writeFile(join(folder, 'mistake.js'), mistake);
    const entries = ['index.js', 'opentelemetry.js', 'prometheus.js'].map((name) => join(root, name));
    const include = [join(root, 'lib'), ...entries, 'mistake.js'];
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: join(root, 'tsconfig.json'), include }));
    const { output } = await compile(join(folder, 'tsconfig.json'));
    const found = output.split('\n').filter((line) => line.includes('error TS'));
    assert.match(found[0] ?? '', /mistake\.js\(1,\d+\): error TS2345/);
    assert.match(found[1] ?? '', /mistake\.js\(2,\d+\): error TS7006/);
    assert.equal(found.length, 2, output);
    const { output: listed } = await compile(join(folder, 'tsconfig.json'), '--listFilesOnly');
    for (const file of (await readdir(join(root, 'lib'), { recursive: true })).filter((name) => name.endsWith('.js')))
      assert.ok(listed.includes(`/lib/${file.replaceAll('\\', '/')}\n`), `${file} was not compiled`);
  });
});
