// Runs specs against what is installed, and stops at the first test that fails.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../steps.mjs';

const TSX = pathToFileURL(createRequire(join(root, '__test__', 'package.json')).resolve('tsx')).href;
/** A failed test in the Test Anything Protocol; one that is marked as to be done may fail. */
const FAILED = /^\s*not ok \d+ - (?!.*# (?:TODO|SKIP))(.*)$/m;

/**
 * @param {string} spec its file.
 * @param {{ cwd: string, seconds: number, signal?: AbortSignal }} options `seconds` is how long it may take.
 * @returns {Promise<string | undefined>} what failed: a test's name, or that it took too long; `undefined` if everything passed or `signal` aborted.
 */
export function trySpec(spec, { cwd, seconds, signal }) {
  return new Promise((done, failed) => {
    const args = ['--import', TSX, '--test', '--test-reporter', 'tap', spec];
    // In a group of its own, so that the servers that it started end with it.
    const child = spawn(process.execPath, args, { cwd, detached: true, env: environment(), stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    let why;
    const stop = (reason) => {
      why ??= reason;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    };
    const limit = setTimeout(() => stop(`took longer than ${seconds} seconds`), seconds * 1000);
    const abort = () => stop();
    signal?.addEventListener('abort', abort);
    process.once('exit', abort);
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      const [, test] = FAILED.exec(output) ?? [];
      if (test) stop(test);
    });
    child.once('error', failed);
    child.once('close', (code) => {
      clearTimeout(limit);
      signal?.removeEventListener('abort', abort);
      process.off('exit', abort);
      if (signal?.aborted) return done(undefined);
      done(why ?? (code === 0 ? undefined : `ended with ${code}`));
    });
  });
}

/** A runner that runs inside a test must not tell its own results to that test's runner. */
function environment() {
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  return env;
}

/**
 * Runs specs, `jobs` at a time, until one fails; that one comes first the next time, since it is likely to find the next fault, too.
 * @param {string[]} specs is put in that order.
 * @returns {Promise<string | undefined>} the spec that failed, and its test.
 */
export async function trySpecs(specs, { jobs, ...options }) {
  const waiting = [...specs];
  const stopping = new AbortController();
  let found;
  const work = async () => {
    for (let spec = waiting.shift(); spec && !found; spec = waiting.shift()) {
      const failure = await trySpec(spec, { ...options, signal: stopping.signal });
      if (failure === undefined || found) continue;
      found = `${spec}: ${failure}`;
      specs.unshift(...specs.splice(specs.indexOf(spec), 1));
      stopping.abort();
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return found;
}
