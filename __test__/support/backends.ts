// The two backends that every behaviour of the store is tested on.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { DynamoDBSessionStore, type SessionStoreConfig, type SessionStoreLogger } from 'connect-dynamodb-kms';
import { AwsLocal } from './aws-local.ts';

// What the AWS SDK for Rust reads when a store makes its first call.
process.env.AWS_ACCESS_KEY_ID = 'local';
process.env.AWS_SECRET_ACCESS_KEY = 'local';
process.env.AWS_EC2_METADATA_DISABLED = 'true';

/** A table and its keys, empty at the start. */
export interface Backend {
  /** The options that lead to it. */
  readonly config: SessionStoreConfig;
  /** The stores that were made on it. */
  readonly stores: readonly DynamoDBSessionStore[];
  /** A new store on it, which logs nowhere and is closed by `stop`. */
  store(options?: SessionStoreConfig): DynamoDBSessionStore;
  stop(): Promise<void>;
}

/** Logs nowhere, but keeps the lines. */
export function quietLogger(): SessionStoreLogger & { lines: string[] } {
  const lines: string[] = [];
  return { lines, warn: (line) => void lines.push(`warn ${line}`), debug: (line) => void lines.push(`debug ${line}`) };
}

/** Resolves when no call of the store is in flight, those that go on after an answer included. */
export async function quiet(store: DynamoDBSessionStore): Promise<void> {
  while (store.stats().callsInFlight > 0) await turn();
}

function backend(config: SessionStoreConfig, stopServer: () => Promise<void>): Backend {
  const stores: DynamoDBSessionStore[] = [];
  return {
    config,
    stores,
    store(options = {}) {
      const store = new DynamoDBSessionStore({ logger: quietLogger(), recordVersion: 1, ...config, ...options });
      stores.push(store);
      return store;
    },
    async stop() {
      await Promise.all(stores.map((store) => store.close()));
      await stopServer();
    },
  };
}

export async function startLocal(): Promise<Backend> {
  const folder = await mkdtemp(join(tmpdir(), 'sessions-'));
  return backend({ local: { path: folder } }, () => rm(folder, { recursive: true }));
}

export interface AwsBackend extends Backend {
  readonly aws: AwsLocal;
}

/** `tools/aws-local` with an empty table `sessions`, over real sockets. */
export async function startAws(args: string[] = []): Promise<AwsBackend> {
  const aws = await AwsLocal.start(['--table', 'sessions', ...args]);
  const config = { tableName: 'sessions', dynamodbEndpoint: aws.dynamodb, kmsEndpoint: aws.kms };
  return { ...backend(config, () => aws.stop()), aws };
}

export const backends: Array<{ name: string; start: () => Promise<Backend> }> = [
  { name: 'local mode', start: startLocal },
  { name: 'AWS servers', start: startAws },
];
