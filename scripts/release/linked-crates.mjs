// The crates whose code is in a binary of at least one platform, as Cargo.lock has them: what the notices and the bill of materials list.

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { root } from '../steps.mjs';

const LARGEST_METADATA = 2 ** 27;

/**
 * @typedef {object} Crate
 * @property {string} id what cargo calls it, for `dependencies`
 * @property {string} name
 * @property {string} version
 * @property {string} license an SPDX expression
 * @property {string[]} authors
 * @property {string} folder where its source lies
 * @property {string | undefined} checksum SHA-256 of what crates.io serves
 * @property {Set<string>} dependencies ids
 */

/** @returns {Promise<{ own: Crate, linked: Crate[] }>} this package's crate, and the others by name and version. */
export async function linkedCrates() {
  const { napi } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const checksums = await lockedChecksums();
  const found = new Map();
  let own;
  for (const target of napi.targets) own = await addCratesOf(target, checksums, found); // cargo takes one platform at a time
  const order = new Intl.Collator('en').compare;
  const linked = [...found.values()].filter((crate) => crate !== own);
  return { own, linked: linked.sort((a, b) => order(a.name, b.name) || order(a.version, b.version)) };
}

async function addCratesOf(target, checksums, found) {
  const { packages, resolve } = JSON.parse(await cargo(['metadata', '--format-version', '1', '--filter-platform', target]));
  const built = await builtCrates(target);
  const known = new Map(packages.map((crate) => [crate.id, crate]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const runs = (id) => {
    const { name, version, targets } = known.get(id);
    // A procedural macro runs in the compiler alone.
    return built.has(`${name} v${version}`) && !targets.some(({ kind }) => kind.includes('proc-macro'));
  };
  // What a crate of this repository has linked is linked by this package.
  const dependencies = (id) =>
    nodes
      .get(id)
      .deps.filter(({ dep_kinds: kinds, pkg }) => kinds.some(({ kind }) => kind === null) && runs(pkg))
      .flatMap(({ pkg }) => (known.get(pkg).source === null ? dependencies(pkg) : [pkg]));
  const visited = new Set();
  const visit = (id) => {
    if (visited.has(id)) return;
    visited.add(id);
    const { name, version, license, authors, manifest_path: manifest } = known.get(id);
    const checksum = checksums.get(`${name} ${version}`);
    const crate = found.get(id) ?? {
      id,
      name,
      version,
      license,
      authors,
      folder: dirname(manifest),
      checksum,
      dependencies: new Set(),
    };
    found.set(id, crate);
    for (const pkg of dependencies(id)) {
      crate.dependencies.add(pkg);
      visit(pkg);
    }
  };
  visit(resolve.root);
  return found.get(resolve.root);
}

/** cargo's metadata also have dependencies that a feature would only configure if something else asked for them; its tree has not. */
async function builtCrates(target) {
  const tree = await cargo(['tree', '--edges', 'normal', '--prefix', 'none', '--format', '{p}', '--target', target]);
  return new Set(tree.split('\n').map((line) => line.split(' ').slice(0, 2).join(' ')));
}

async function cargo(args) {
  const { stdout } = await promisify(execFile)('cargo', [...args, '--locked'], { cwd: root, maxBuffer: LARGEST_METADATA });
  return stdout;
}

async function lockedChecksums() {
  const lock = await readFile(join(root, 'Cargo.lock'), 'utf8');
  const entries = lock.matchAll(/^name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "(.+)"$/gm);
  return new Map([...entries].map(([, name, version, checksum]) => [`${name} ${version}`, checksum]));
}
