// What the compiler says about the package, for every way in which it resolves modules. What it must say stands in types/.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const compiler = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
const consumers = ['express.ts', 'fastify.ts', 'store.ts'];
const modules = [...consumers, 'import-require.cts', 'named-imports.cts', 'named-imports.mts'];

/** Runs `tsc` on a project of `types/`. */
async function compile(project: string, ...args: string[]): Promise<{ code: number; output: string }> {
  const path = fileURLToPath(new URL(`../types/tsconfig.${project}.json`, import.meta.url));
  return new Promise((done) => {
    execFile(process.execPath, [compiler, '--project', path, ...args], (error, stdout, stderr) => {
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
      const { code, output } = await compile(project);
      assert.equal(output, '');
      assert.equal(code, 0);
      const { output: listed } = await compile(project, '--listFilesOnly');
      for (const file of files) assert.ok(listed.includes(`/types/${file}\n`), `${file} was not compiled`);
      assert.ok(
        listed.includes('/node_modules/connect-dynamodb-kms/index.d.ts\n'),
        'the declarations of the package were not checked',
      );
    });
  }
});
