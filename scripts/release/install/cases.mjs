// What users do with an installed package besides using it: check types, bundle, install it twice, or install it without its binary.

import assert from 'node:assert/strict';
import { cp, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { outcome, output } from './output.mjs';
import { checkUse } from './programs.mjs';

const NAME = 'connect-dynamodb-kms';

/** TypeScript checks and compiles a program; every Node.js runs the result, and those that can the source. */
export async function checkTypes(home, bin, runtimes) {
  const options = { cwd: home };
  const types = join(bin, '..', '@types');
  const flags = [
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--types',
    'node',
    '--typeRoots',
    types,
    '--outDir',
    'compiled',
  ];
  await writeFile(join(home, 'use.d.cts'), 'export function use(Store: unknown): Promise<void>;\n');
  await output(join(bin, 'tsc'), [...flags, 'use.mts'], options);
  await cp(join(home, 'use.cjs'), join(home, 'compiled', 'use.cjs'));
  for (const runtime of runtimes) await checkUse(home, join('compiled', 'use.mjs'), runtime);
  await checkUse(home, 'use.mts', runtimes.at(-1));
}

/** esbuild bundles the package's JavaScript and leaves its binary where it is installed. */
export async function checkBundle(home, bin, runtime) {
  for (const [format, program, file] of [
    ['cjs', 'use.cjs', 'bundle.cjs'],
    ['esm', 'use.mjs', 'bundle.mjs'],
  ]) {
    const args = [program, '--bundle', '--platform=node', `--format=${format}`, `--external:${NAME}-*`, `--outfile=${file}`];
    if (format === 'esm')
      args.push("--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);");
    await output(join(bin, 'esbuild'), args, { cwd: home });
    const away = join(home, 'node_modules', `.${NAME}`);
    await rename(join(home, 'node_modules', NAME), away); // the bundle must hold it
    try {
      await checkUse(home, file, runtime);
    } finally {
      await rename(away, join(home, 'node_modules', NAME));
    }
  }
}

/** Two copies in one process, as when two of an application's dependencies bring different versions. */
export async function checkTwoCopies(home, copy, runtime) {
  await mkdir(copy);
  await cp(join(home, 'node_modules'), join(copy, 'node_modules'), { recursive: true });
  await checkUse(home, 'two-copies.cjs', runtime, copy);
}

/** Without its optional dependencies, the package says which one is missing. */
export async function checkMissingBinary(home, platform, runtime) {
  const installed = join(home, 'node_modules', `${NAME}-${platform}`);
  const away = join(home, 'away');
  await rename(installed, away);
  const { code, stderr } = await outcome(runtime.command[0], ['use.cjs'], { cwd: home });
  await rename(away, installed);
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`${NAME} needs ${NAME}-${platform}, .* not installed`));
  console.log('  without the binary: the error names the package that is missing');
}
