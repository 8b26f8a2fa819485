// `node scripts/release/build.mjs [TARGET]`: the binary of a target as it is published, in this folder. Targets are those in package.json.
//
// Not `napi build`: it has cargo make the library for Rust's own tests as well, and where cargo makes that, it leaves out link-time
// optimisation without a word, which costs half the size again.

import { execFile } from 'node:child_process';
import { copyFile, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { root, run } from '../steps.mjs';
import { checkGlibcFloor } from './glibc-floor.mjs';
import { pathWithZig } from './install/tools.mjs';

/** The oldest glibc, of 2012, that Rust supports. */
export const FLOOR = '2.17';
/** mimalloc would name the moment at which it was compiled. Not SOURCE_DATE_EPOCH: zig takes an object from its cache whatever that says. */
const WITHOUT_TIME = '-Wno-builtin-macro-redefined -D__DATE__="" -D__TIME__=""';
const { targets } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).napi;
const LIBRARIES = { linux: 'libconnect_dynamodb_kms.so', apple: 'libconnect_dynamodb_kms.dylib', pc: 'connect_dynamodb_kms.dll' };

/** From Rust's name of a target to that of @napi-rs/cli: `x86_64-unknown-linux-gnu` to `linux-x64-gnu`. */
export function platformOf(target) {
  if (!targets.includes(target))
    throw new Error(
      `${target} is not released; released are ${targets.join(', ')}. \`npm run build -- --release\` builds for this machine.`,
    );
  const [cpu, vendor, system, abi] = target.split('-');
  const arch = { x86_64: 'x64', aarch64: 'arm64' }[cpu];
  if (vendor === 'unknown') return `${system}-${arch}-${abi}`;
  return vendor === 'apple' ? `darwin-${arch}` : `win32-${arch}-${abi}`;
}

/** @returns {Promise<string>} the path of the binary, in `folder`. */
export async function buildRelease(target, folder = root) {
  const binary = join(folder, `connect-dynamodb-kms.${platformOf(target)}.node`);
  const [, vendor, , abi] = target.split('-');
  const { stdout } = await promisify(execFile)('cargo', ['metadata', '--format-version', '1', '--no-deps'], { cwd: root });
  const { target_directory: artifacts, workspace_root: workspace } = JSON.parse(stdout);
  const flags = [...givenFlags(), ...flagsOf(target), ...withoutPaths({ workspace, artifacts })];
  const environment = { ...process.env, CARGO_ENCODED_RUSTFLAGS: flags.join('\x1f') };
  let [program, named] = ['cargo', target];
  if (vendor === 'unknown') {
    program = 'cargo-zigbuild';
    environment.PATH = await pathWithZig();
    environment.CFLAGS = `${process.env.CFLAGS ?? ''} ${WITHOUT_TIME}`;
    if (abi === 'gnu') named = `${target}.${FLOOR}`;
  }
  const args = ['rustc', '--release', '--lib', '--crate-type', 'cdylib', '--locked', '--target', named];
  await run(program, args, { env: environment });
  const library = LIBRARIES[vendor === 'unknown' ? 'linux' : vendor];
  const built = join(artifacts, target, 'release', library);
  await copyFile(built, binary);
  if (abi === 'gnu') await checkGlibcFloor(binary, FLOOR);
  return binary;
}

/** On musl, with its C library inside it could not be loaded. On Windows, without it would need Visual C++'s runtime, which Node.js does not. */
export function flagsOf(target) {
  if (target.endsWith('-musl')) return ['-Ctarget-feature=-crt-static'];
  return target.endsWith('-msvc') ? ['-Ctarget-feature=+crt-static'] : [];
}

/** Panic messages name source files. With these flags they do so without the folders of the machine that builds, and every machine builds the same. */
export function withoutPaths({ workspace, artifacts, crates = join(cargoHome(), 'registry', 'src') }) {
  const names = { [workspace]: 'connect-dynamodb-kms', [artifacts]: 'target', [crates]: 'registry' };
  return Object.entries(names).map(([path, name]) => `--remap-path-prefix=${path}=${name}`); // of two that match, rustc takes the later
}

/** Where cargo keeps the sources of crates. */
export const cargoHome = () => process.env.CARGO_HOME ?? join(homedir(), '.cargo');

/** What this overrides: flags that were given in the environment. */
function givenFlags() {
  const { CARGO_ENCODED_RUSTFLAGS: encoded, RUSTFLAGS: plain = '' } = process.env;
  return encoded === undefined ? plain.split(/\s+/).filter(Boolean) : encoded.split('\x1f');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const target = process.argv[2] ?? (await hostTarget());
  console.log(await buildRelease(target, resolve(root)));
}

/** The target of this machine. */
export async function hostTarget() {
  const { stdout } = await promisify(execFile)('rustc', ['-vV']);
  return /^host: (.+)$/m.exec(stdout)[1];
}
