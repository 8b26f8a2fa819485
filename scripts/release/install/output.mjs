// What a program prints, when that is to be looked at.

import { spawn } from 'node:child_process';

/**
 * @param {import('node:child_process').SpawnOptions} options
 * @returns {Promise<{ code: number | null, signal: string | null, stdout: string, stderr: string }>}
 */
export function outcome(command, args, options = {}) {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', (text) => {
        texts[name] += text;
      });
    }
    child.once('error', failed);
    child.once('close', (code, signal) => done({ code, signal, ...texts }));
  });
}

/** @returns {Promise<string>} what it printed. @throws if it does not end with 0. */
export async function output(command, args, options = {}) {
  const { code, signal, stdout, stderr } = await outcome(command, args, options);
  if (code === 0) return stdout;
  throw new Error(
    `\`${[command, ...args].join(' ')}\` ended with ${code ?? signal} (in ${options.cwd ?? '.'}):\n${stdout}${stderr}`,
  );
}
