// `node scripts/release/notes.mjs v1.2.3`: prints what the changelog says of that version. Fails if the package, the crate, their locks and
// the tag do not name one version, or if the changelog has nothing of it.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../steps.mjs';

/** @param {string} tag such as `v1.2.3`. @param {string} folder with package.json, Cargo.toml, their locks and CHANGELOG.md. */
export async function releaseNotes(tag, folder = root) {
  const text = (file) => readFile(join(folder, file), 'utf8');
  const locked = async (file) => /^name = "connect-dynamodb-kms"\r?\nversion = "(.+)"$/m.exec(await text(file))?.[1];
  const versions = {
    'the tag': /^v(.+)$/.exec(tag)?.[1],
    'package.json': JSON.parse(await text('package.json')).version,
    'package-lock.json': JSON.parse(await text('package-lock.json')).version,
    'Cargo.toml': /^version = "(.+)"$/m.exec(await text('Cargo.toml'))?.[1],
    'Cargo.lock': await locked('Cargo.lock'),
    'fuzz/Cargo.lock': await locked(join('fuzz', 'Cargo.lock')),
  };
  if (new Set(Object.values(versions)).size !== 1)
    throw new Error(
      `the versions differ: ${Object.entries(versions)
        .map(([where, version]) => `${where} has ${version}`)
        .join(', ')}`,
    );
  const sections = (await text('CHANGELOG.md')).split(/^## /m).slice(1);
  const version = versions['package.json'];
  const section = sections.find((own) => own.startsWith(`[${version}]`) || own.startsWith(`${version} `));
  if (!section) throw new Error(`CHANGELOG.md has no section "## ${version} - DATE"`);
  return section.slice(section.indexOf('\n') + 1).trim();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await releaseNotes(process.argv[2] ?? ''));
