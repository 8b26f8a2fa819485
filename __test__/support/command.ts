// The operator's command, as it is installed, in processes of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const manifest = createRequire(import.meta.url).resolve('connect-dynamodb-kms/package.json');
const { bin } = createRequire(import.meta.url)(manifest);

/** Where the package is installed. */
export const installed = dirname(manifest);

export interface Run {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** Variables beside those of this process; undefined removes one. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** The program, if it is not the installed one. */
  program?: string;
  /** Gets the process as soon as it runs. */
  started?: (child: ChildProcess) => void;
}

/** Variables of this process that would change what a command does. */
const FOREIGN = /^(AWS_|SESSIONS_|KMS_KEY_ARN$|NO_COLOR$|NODE_ENV$)/;

/** What a command needs to reach the servers of a test. */
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local', AWS_EC2_METADATA_DISABLED: 'true' };

/** Runs the command with these arguments until it ends. */
export function command(args: string[], { env = {}, cwd, program, started }: RunOptions = {}): Promise<Run> {
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !FOREIGN.test(name)));
  const variables = { ...own, ...CREDENTIALS, ...env };
  const child = spawn(process.execPath, [program ?? join(installed, bin['connect-dynamodb-kms']), ...args], {
    cwd,
    env: Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined)) as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started?.(child);
  let [stdout, stderr] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

/** The options of the command that lead to a store with this configuration. */
export function optionsOf(config: Record<string, any>): string[] {
  return Object.entries(config).flatMap(([name, value]) => {
    const option = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (name === 'local') return [option, value.path];
    return [value].flat().flatMap((each) => [option, String(each)]);
  });
}
