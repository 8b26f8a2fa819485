// What the scripts in this folder share: numbered steps, commands that fail loudly, and the checks of the tools they need.
// Plain Node, no dependencies, so that it runs in a fresh clone.

import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's folder. Relative paths given to the functions below start here. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** What is built or fetched once for all clones of this user. */
export const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'connect-dynamodb-kms');

const OLDEST_NODE = 20;
const onWindows = process.platform === 'win32';
/** The steps so far, and when each began, in milliseconds of `performance.now()`. */
const steps = [];

/** Prints the next step's number and title. */
export function step(title) {
  steps.push({ title, began: performance.now() });
  console.log(`\n[${steps.length}] ${title}`);
}

/** Prints how long each step has taken, the last one until now. */
export function printTimes() {
  const ends = [...steps.slice(1).map(({ began }) => began), performance.now()];
  const lines = steps.map(({ title, began }, i) => `${duration(ends[i] - began)}  [${i + 1}] ${title}`);
  console.log(`\n${lines.join('\n')}\n${duration(ends.at(-1) - steps[0].began)}  in all`);
}

function duration(millis) {
  const seconds = Math.round(millis / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(3)}m ${String(seconds % 60).padStart(2, '0')}s`;
}

/**
 * Runs a command to its end with this terminal's input and output.
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} options `cwd` is relative to the repository; `env` replaces the environment.
 * @throws if the command cannot be started or does not exit with 0.
 */
export async function run(command, args = [], options = {}) {
  await start(command, args, { stdio: 'inherit', ...options }).ended;
}

/** Starts a command; `ended` resolves on exit 0 and rejects with a message that names the command otherwise. */
function start(command, args, options) {
  const asTyped = [command, ...args].join(' ');
  const cwd = resolve(root, String(options.cwd ?? '.'));
  // npm and npx are .cmd files on Windows, which only a shell starts.
  const child = spawn(command, args, { ...options, cwd, shell: onWindows && ['npm', 'npx'].includes(command) });
  const ended = new Promise((done, failed) => {
    child.once('error', (error) => failed(new Error(`\`${asTyped}\` could not be started: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) done();
      else failed(new Error(`\`${asTyped}\` ${signal ? `was ended by ${signal}` : `failed with exit code ${code}`} (in ${cwd})`));
    });
  });
  return { child, ended };
}

/**
 * Checks that Node.js is new enough and that cargo and npm are installed.
 * @throws saying what is missing and where to get it.
 */
export function requireTools() {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    throw new Error(
      `Node.js ${OLDEST_NODE} or newer is needed; this is ${process.versions.node}. Get it from https://nodejs.org`,
    );
  }
  if (!onPath('cargo')) {
    throw new Error(
      'cargo is needed to build the Rust core and is not on the PATH. Install Rust from https://rustup.rs, open a new terminal and run this again.',
    );
  }
  if (!onPath('npm')) {
    throw new Error('npm is needed and is not on the PATH. It comes with Node.js: https://nodejs.org');
  }
}

/** Whether there is a program of this name to run. */
export function onPath(program) {
  const names = onWindows ? [`${program}.exe`, `${program}.cmd`] : [program];
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return folders.some((folder) => names.some((name) => existsSync(join(folder, name))));
}

/**
 * Installs a folder's npm dependencies if they are missing or older than its lock file, or than its package.json where it has none.
 * @returns {Promise<boolean>} whether anything had to be installed.
 */
export async function installIfStale(folder) {
  const lock = resolve(root, folder, 'package-lock.json');
  const installed = resolve(root, folder, 'node_modules/.package-lock.json'); // npm writes it at the end of every install
  const locked = existsSync(lock);
  const wanted = locked ? lock : resolve(root, folder, 'package.json');
  const fresh = existsSync(installed) && statSync(installed).mtimeMs >= statSync(wanted).mtimeMs;
  if (fresh) return false;
  await run('npm', [locked ? 'ci' : 'install', '--no-audit', '--no-fund'], { cwd: folder });
  return true;
}

/**
 * Builds the DynamoDB and KMS servers that stand in for AWS on this machine (`tools/aws-local`).
 * @returns {Promise<string>} the program's path.
 */
export function buildAwsLocal() {
  return buildProgram(['--manifest-path', join('tools', 'aws-local', 'Cargo.toml')], 'aws-local');
}

/**
 * Has cargo build a program.
 * @param {string[]} args of `cargo build`.
 * @param {string} name of the program's target.
 * @returns {Promise<string>} the program's path, wherever cargo's target directory is.
 */
export async function buildProgram(args, name) {
  const options = { stdio: ['inherit', 'pipe', 'inherit'] };
  const { child, ended } = start('cargo', ['build', ...args, '--message-format', 'json-render-diagnostics'], options);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  await ended;
  for (const line of output.split('\n')) {
    if (!line.startsWith('{')) continue;
    const message = JSON.parse(line);
    if (message.reason === 'compiler-artifact' && message.executable && message.target.name === name) return message.executable;
  }
  throw new Error(`cargo built no program \`${name}\` (cargo build ${args.join(' ')})`);
}
