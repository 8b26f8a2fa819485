// The day of user-day.ts, played on an application and the wire servers: what its requests consume, and what they leave in the table.

import assert from 'node:assert/strict';
import { mock, type TestContext } from 'node:test';
import { type DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import type session from 'express-session';
import { type AwsBackend, quiet, startAws } from './backends.ts';
import { type Consumed, clientOf, type Item, replay, sizeInAws } from './capacity.ts';
import { listen as listenExpress } from './express-app.ts';
import { listen as listenFastify } from './fastify-app.ts';
import { expressApp, fastifyApp, playDay, signedInAtLast } from './user-day.ts';

export const START = Date.UTC(2030, 0, 1);
export const HEADER = ['', 'item', 'GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'read units', 'write units', 'KMS calls'];

/** An application on a table. */
export interface Played {
  name: string;
  table: string;
  hashKey: string;
  serve: (t: TestContext, backend: AwsBackend, client: DynamoDBClient) => Promise<string>;
}

export interface Measured {
  consumed: Consumed;
  items: Item[];
  /** How many requests the browsers made. */
  requests: number;
}

/** The row of a table with {@link HEADER}. */
export function row(name: string, { consumed, items }: Measured): string[] {
  const { GetItem, PutItem, UpdateItem, DeleteItem, readUnits, writeUnits, kms } = consumed;
  const item = `${(Math.max(...items.map(sizeInAws)) / 1000).toFixed(1)} kB`;
  return [name, item, ...[GetItem, PutItem, UpdateItem, DeleteItem, readUnits, writeUnits, kms].map(String)];
}

export async function onExpress(t: TestContext, store: session.Store): Promise<string> {
  const { origin, close } = await listenExpress(expressApp(store));
  t.after(close);
  return origin;
}

export async function onFastify(t: TestContext, store: DynamoDBSessionStore): Promise<string> {
  const app = await fastifyApp(store);
  t.after(() => app.close());
  return listenFastify(app);
}

/** The defaults, but for the revocation check: it is one KMS call a minute of a busy process, however many users that has. */
export function ownStore(backend: AwsBackend, options: SessionStoreConfig = {}): DynamoDBSessionStore {
  const { keyCache = {}, ...others } = options;
  const unchecked = typeof keyCache === 'object' ? { revocationCheckSeconds: 7 * 24 * 3600, ...keyCache } : keyCache;
  return backend.store({ recordVersion: 2, ...others, keyCache: unchecked });
}

export const own = { table: 'sessions', hashKey: 'sessionId' };

/** Everything in a table, its bytes in base64 as requests have them. */
async function tableItems(client: DynamoDBClient, { table, hashKey }: Played): Promise<Map<string, Item>> {
  const { Items = [] } = await client.send(new ScanCommand({ TableName: table, ConsistentRead: true }));
  const inBase64 = (value: any) => (value.B ? { B: Buffer.from(value.B).toString('base64') } : value);
  return new Map(
    Items.map((item) => [
      item[hashKey].S!,
      Object.fromEntries(Object.entries(item).map(([name, value]) => [name, inBase64(value)])),
    ]),
  );
}

export async function measureDay(t: TestContext, day: Played): Promise<Measured> {
  const backend = await startAws();
  t.after(() => backend.stop());
  const client = clientOf(backend.aws);
  t.after(() => client.destroy());
  mock.timers.enable({ apis: ['Date'], now: START });
  t.after(() => mock.timers.reset());

  const origin = await day.serve(t, backend, client);
  await backend.aws.reset(); // the creation of the table is not of the day
  const { browsers, requests } = await playDay(origin, START, async () => {
    for (const store of backend.stores) await quiet(store);
  });
  assert.deepEqual(requests, { '/login': 5, '/refresh': 20, '/tokens': 173, '/logout': 2 });
  const { consumed, items } = replay(await backend.aws.requests(), day.hashKey);
  assert.deepEqual(items, await tableItems(client, day), 'the replay went another way than the day');
  const sessions = [...items.values()].filter((item) => !item.generation); // not the list of the user
  assert.equal(sessions.length, 3);
  assert.equal(await signedInAtLast(browsers), 3);
  return { consumed, items: sessions, requests: Object.values(requests).reduce((sum, count) => sum + count) };
}
