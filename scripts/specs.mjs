// Finds specs by their names, in whatever folder they are.

import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { root } from './steps.mjs';

const ENDING = '.spec.ts';

/**
 * The paths of specs within a folder, sorted.
 * @param {string[]} names such as `get-set`, or a folder's, such as `store`; all specs if there are none.
 * @param {string} [home] the folder; `__test__` by default.
 * @returns {Promise<string[]>}
 * @throws {Error} for a name that no spec and no folder has.
 */
export async function specFiles(names, home = join(root, '__test__')) {
  const entries = await readdir(home, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory() && entry.name !== 'node_modules').map((entry) => entry.name);
  const files = await Promise.all(
    ['.', ...folders].map(async (folder) => (await readdir(join(home, folder))).map((file) => join(folder, file))),
  );
  const specs = files.flat().filter((file) => file.endsWith(ENDING));
  const has = (spec) => (name) => basename(spec, ENDING) === name || dirname(spec) === name;
  for (const name of names) {
    if (!specs.some((spec) => has(spec)(name))) throw new Error(`no spec and no folder of specs is named ${name}`);
  }
  return specs.filter((spec) => names.length === 0 || names.some(has(spec))).sort();
}
