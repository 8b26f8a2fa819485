'use strict';

// The files that a command reads.

const { readdir, readFile, stat } = require('node:fs/promises');
const { join, relative, sep } = require('node:path');
const { UsageError } = require('./usage-error.js');

const SOURCE = /\.([cm]?[jt]s|[jt]sx)$/;
const GENERATED = /\.d\.[cm]?ts$|\.min\.[cm]?js$/;
/** @param {string} name */
const isLeftOut = (name) => name === 'node_modules' || name === 'dist' || name.startsWith('.');

/**
 * @param {string} folder
 * @returns {AsyncGenerator<string>} the paths of its sources.
 */
async function* below(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!isLeftOut(entry.name)) yield* below(path);
    } else if (entry.isFile() && SOURCE.test(entry.name) && !GENERATED.test(entry.name)) yield path;
  }
}

/**
 * @param {string[]} paths files, and folders whose sources are taken
 * @returns {Promise<{ path: string, source: string }[]>} paths as seen from the current folder, with `/`
 */
async function readSources(paths) {
  const found = new Set();
  for (const path of paths) {
    const stats = await stat(path).catch(() => undefined);
    if (!stats) throw new UsageError(`no such file or folder: ${path}`);
    if (stats.isFile() && !SOURCE.test(path)) throw new UsageError(`not JavaScript or TypeScript: ${path}`);
    if (stats.isFile()) found.add(relative('', path));
    else for await (const file of below(path)) found.add(relative('', file));
  }
  if (found.size === 0) throw new UsageError(`no JavaScript or TypeScript in ${paths.join(', ')}`);
  const sources = [];
  for (const path of found) sources.push({ path: path.split(sep).join('/'), source: await readFile(path, 'utf8') });
  return sources;
}

module.exports = { readSources };
