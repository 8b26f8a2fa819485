// A library's suite: its checkout, its dependencies, and one run of it.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { cache, run } from '../steps.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const LONGEST_RUN_MS = 10 * 60_000;

/**
 * @typedef {object} Suite what a file in `libraries` exports by default
 * @property {string} [repository] on GitHub, `owner/name`.
 * @property {string} [tag]
 * @property {string[]} [packages] to install beside the library's own dependencies.
 * @property {string[][]} [prepare] commands that run once in the checkout, after the install.
 * @property {{ runner: 'mocha' | 'node' | 'jest', args: string[], except?: string[], environment?: Record<string, string> }} test `except` are
 *   files that `node --test` leaves out.
 * @property {Record<string, string>} replace a file of the checkout → the file in `stores` (or an absolute path) that takes its place when our
 *   store is tested.
 * @property {Record<string, string>} [replaceAlways] the same for both runs.
 * @property {string} [expressSession] the folder in the checkout of the express-session whose `Store` ours extends.
 * @property {string} why the store is put in place in this way, and what of the suite it does not reach.
 * @property {import('./compare.mjs').Named[]} [differences]
 */

/** The library's folder at its tag: in `from`, else cloned into the user's cache folder. @returns {Promise<string>} */
export async function checkOut(name, { repository, tag }, from) {
  if (from) {
    const folder = resolve(from, name);
    if (!existsSync(folder)) throw new Error(`there is no checkout of ${name} in ${from}`);
    if (tag) await requireTag(folder, tag);
    return folder;
  }
  const folder = join(cache, 'suites', `${name}-${tag}`);
  if (!existsSync(folder)) {
    const unfinished = `${folder}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(join(cache, 'suites'), { recursive: true });
    await run('git', ['clone', '--quiet', '--depth', '1', '--branch', tag, `https://github.com/${repository}`, unfinished]);
    await rename(unfinished, folder);
  }
  return folder;
}

async function requireTag(folder, tag) {
  const commits = await Promise.all(['HEAD', `${tag}^{commit}`].map((name) => output('git', ['rev-parse', name], folder)));
  if (commits[0] !== commits[1]) throw new Error(`${folder} is not at the tag ${tag}`);
}

async function output(command, args, cwd) {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part) => (text += part));
  const code = await new Promise((done, failed) => child.once('error', failed).once('close', done));
  if (code !== 0) throw new Error(`\`${[command, ...args].join(' ')}\` failed with exit code ${code} (in ${cwd})`);
  return text.trim();
}

/** Installs the library's dependencies, without their install scripts, and runs the commands that the definition names; once. */
export async function prepare(folder, { packages = [], prepare: commands = [] }) {
  const done = join(folder, 'node_modules', '.prepared-for-suites');
  const wanted = JSON.stringify({ packages, commands });
  if (existsSync(done) && (await readFile(done, 'utf8')) === wanted) return;
  const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel', 'error'];
  if (existsSync(join(folder, 'package.json'))) await run('npm', install, { cwd: folder });
  if (packages.length > 0) await run('npm', [...install, '--no-save', ...packages], { cwd: folder });
  for (const [command, ...args] of commands) {
    const program = command === 'node' ? process.execPath : command;
    await run(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  await mkdir(join(folder, 'node_modules'), { recursive: true });
  await writeFile(done, wanted);
}

/**
 * Runs a suite once.
 * @param {string} folder the checkout.
 * @param {Suite} suite
 * @param {string} [ours] where the package is installed that is tested; without it the suite runs with the library's own store.
 * @returns {Promise<{ results: import('./compare.mjs').Result[], output: string }>} what it printed is for a run without results.
 */
export async function runSuite(folder, suite, ours) {
  const scratch = await mkdtemp(join(tmpdir(), 'suite-'));
  const replaced = Object.entries({ ...suite.replaceAlways, ...(ours && suite.replace) });
  const replacements = replaced.map(([file, by]) => [resolve(folder, file), resolve(here, 'stores', by)]);
  for (const file of replacements.flat()) {
    if (!existsSync(file)) throw new Error(`${file} is not there; the definition must follow the library`);
  }
  const results = join(scratch, 'results');
  const expressSession = suite.expressSession && resolve(folder, suite.expressSession);
  const environment = {
    ...process.env,
    ...suite.test.environment,
    SUITE: JSON.stringify({ checkout: folder, replacements, ours, stores: scratch, expressSession }),
    SUITE_RESULTS: results,
  };
  // A test runner that runs this command is none of the suite's business.
  delete environment.NODE_TEST_CONTEXT;
  if (replacements.length > 0) {
    const preload = `--import ${pathToFileURL(join(here, 'preload.mjs')).href}`;
    environment.NODE_OPTIONS = [environment.NODE_OPTIONS, preload].filter(Boolean).join(' ');
  }
  await writeFile(results, '');
  try {
    const printed = await runToEnd(await command(folder, suite.test, replacements), folder, environment);
    const lines = (await readFile(results, 'utf8')).split('\n').filter(Boolean);
    return { results: lines.map((line) => JSON.parse(line)), output: printed };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The arguments of Node.js for a runner, with our reporter. */
async function command(folder, { runner, args, except = [] }, replacements) {
  if (runner === 'node') {
    const reporter = pathToFileURL(join(here, 'reporters', 'node.mjs')).href;
    return [
      '--test',
      '--test-reporter',
      reporter,
      '--test-reporter-destination',
      'stdout',
      ...(await files(folder, args, except)),
    ];
  }
  const { bin } = JSON.parse(await readFile(join(folder, 'node_modules', runner, 'package.json'), 'utf8'));
  const program = join(folder, 'node_modules', runner, typeof bin === 'string' ? bin : bin[runner]);
  if (runner === 'mocha') return [program, '--reporter', join(here, 'reporters', 'mocha.js'), ...args];
  // Jest has a module system of its own, which knows modules by the name that is asked for.
  const mapped = replacements.map(([from, to]) => [`/${from.replace(/.*\//, '').replace(/\.\w+$/, '')}$`, to]);
  const mapper = mapped.length > 0 ? ['--moduleNameMapper', JSON.stringify(Object.fromEntries(mapped))] : [];
  return [program, '--reporters', join(here, 'reporters', 'jest.js'), '--coverage=false', '--bail=0', ...mapper, ...args];
}

/** Older versions of Node.js know no patterns: `folder/*.end` is all that is needed here. */
async function files(folder, patterns, except) {
  const found = await Promise.all(
    patterns.map(async (pattern) => {
      const [inside, end] = pattern.split('/*');
      const names = await readdir(join(folder, inside));
      return names.filter((name) => name.endsWith(end)).map((name) => `${inside}/${name}`);
    }),
  );
  return found
    .flat()
    .filter((file) => !except.includes(file))
    .sort();
}

/** A suite fails with its tests; what counts is what its reporter wrote. */
function runToEnd(args, cwd, env) {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: LONGEST_RUN_MS });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part) => (text += part));
    child.once('error', failed).once('close', () => done(text));
  });
}
