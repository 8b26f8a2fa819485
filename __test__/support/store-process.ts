// The package in a process of its own, for what it reads from the environment.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';

const worker = fileURLToPath(new URL('store-worker.mjs', import.meta.url));

export interface Job {
  /** The environment, and nothing else of this process's: no credentials, no home. */
  environment: Record<string, string>;
  config?: SessionStoreConfig;
  /** Which of the exported handles the configuration carries as well. */
  handles?: Array<'kmsClient' | 'docClient'>;
  /** Methods of one store, or functions of the package, in this order. */
  calls?: Array<[name: string, ...args: unknown[]]>;
}

export interface ShownError {
  name: string;
  code: string;
  message: string;
  detail: string;
  retryable: boolean;
  cause?: { name: string; message: string };
  /** As `util.inspect` prints it. */
  shown: string;
}

export interface Outcome {
  constants: { KMS_KEY_ARN: string; SESSIONS_TABLE: string; AWS_REGION: string };
  /** One for each call; one alone if the store could not be made. */
  results: Array<{ value: any; error?: undefined } | { error: ShownError; value?: undefined }>;
}

export async function inProcess({ environment, ...job }: Job): Promise<Outcome> {
  const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', AWS_EC2_METADATA_DISABLED: 'true', ...environment };
  const child = spawn(process.execPath, [worker], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  child.stdin.end(JSON.stringify({ calls: [], ...job }));
  const output = await text(child.stdout);
  assert.deepEqual(await ended, [0, null], 'the process failed');
  return JSON.parse(output);
}

/** What the calls gave, none of which may have failed. */
export async function valuesInProcess(job: Job): Promise<any[]> {
  const { results } = await inProcess(job);
  return results.map(({ value, error }) => {
    assert.equal(error, undefined, error?.shown);
    return value;
  });
}
