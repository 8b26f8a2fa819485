'use strict';

// This machine: Node.js, the binary, and the copies of the package.

const { readdirSync, readFileSync, realpathSync } = require('node:fs');
const { dirname, join } = require('node:path');
const { fail, ok, warn } = require('./finding.js');

const { engines, version } = require('../../../package.json');

const NAME = 'connect-dynamodb-kms';

/** @typedef {import('./finding.js').Finding} Finding */

/** The oldest major version that package.json allows. */
const OLDEST_NODE = Number(/\d+/.exec(engines.node)?.[0]);

/** @returns {Finding} */
function ofNode() {
  const { node } = process.versions;
  const name = `Node.js ${node}`;
  if (Number.parseInt(node, 10) >= OLDEST_NODE)
    return ok('runtime', `${name} on ${process.platform}-${process.arch}, ${NAME} ${version}`);
  return fail('runtime', `${name} is too old: ${NAME} needs ${OLDEST_NODE} or newer`, `install Node.js ${OLDEST_NODE} or newer`);
}

/**
 * The binary can be loaded.
 * @returns {Finding[]}
 */
function ofBinary() {
  try {
    require('../../../binding.js');
    return [];
  } catch (error) {
    return [fail('binary', error.message.split('\n')[0], 'npm install --include=optional connect-dynamodb-kms')];
  }
}

/**
 * The folders of a `node_modules`, scoped ones included.
 * @param {string} folder
 * @returns {string[]}
 */
function packagesIn(folder) {
  const names = (/** @type {string} */ path) => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  };
  return names(folder).flatMap((name) => {
    if (name === '.pnpm') return names(join(folder, name)).flatMap((one) => packagesIn(join(folder, name, one, 'node_modules')));
    if (name.startsWith('.')) return [];
    return name.startsWith('@') ? names(join(folder, name)).map((own) => join(folder, name, own)) : [join(folder, name)];
  });
}

/**
 * The copies of this package below a folder, with their versions.
 * @param {string} folder
 * @returns {Map<string, string>} by their real path.
 */
function copiesBelow(folder) {
  /** @type {Map<string, string>} */
  const copies = new Map();
  const seen = new Set();
  const visit = (/** @type {string} */ modules) => {
    for (const path of packagesIn(modules)) {
      let real;
      try {
        real = realpathSync(path);
      } catch {
        continue; // a link to nowhere
      }
      if (seen.has(real)) continue;
      seen.add(real);
      if (path.endsWith(join('node_modules', NAME))) {
        const found = versionOf(real);
        if (found !== undefined) copies.set(real, found);
      }
      visit(join(real, 'node_modules'));
    }
  };
  visit(join(folder, 'node_modules'));
  return copies;
}

/** @param {string} folder @returns {string | undefined} */
function versionOf(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

/**
 * The project that a folder is in: the nearest folder above with `node_modules`.
 * @param {string} folder
 */
function projectOf(folder) {
  for (let at = folder; ; at = dirname(at)) {
    if (packagesIn(join(at, 'node_modules')).length > 0) return at;
    if (dirname(at) === at) return folder;
  }
}

/**
 * The copies in the project of the working folder.
 * @returns {Finding[]}
 */
function ofCopies() {
  // The project's own first, then those of other packages.
  const copies = [...copiesBelow(projectOf(process.cwd()))].sort(([a], [b]) => a.length - b.length);
  const own = realpathSync(join(__dirname, '..', '..', '..'));
  if (copies.length > 1) {
    const all = copies.map(([path, found]) => `${found} in ${path}`).join(', ');
    return [
      warn(
        'package',
        `${copies.length} copies are installed, which share no clients and no cached keys: ${all}`,
        `npm ls ${NAME}; npm dedupe`,
      ),
    ];
  }
  const [[path, found] = []] = copies;
  if (path === undefined || path === own || found === version) return [];
  return [warn('package', `this command is ${version}, the project has ${found} in ${path}`, `npm install ${NAME}@${version}`)];
}

/** @returns {Finding[]} */
const runtime = () => [ofNode(), ...ofBinary(), ...ofCopies()];

module.exports = { runtime };
