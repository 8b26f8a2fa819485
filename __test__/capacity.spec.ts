// The table "What a user costs" of the README: every cell is measured here.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { describe, it, mock, type TestContext } from 'node:test';
import {
  CreateTableCommand,
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import connectDynamodb from 'connect-dynamodb';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import session from 'express-session';
import { type AwsBackend, startAws } from './support/backends.ts';
import { type Consumed, type Item, itemSize, readUnits, replay, sizeInAws, writeUnits } from './support/capacity.ts';
import { listen as listenExpress } from './support/express-app.ts';
import { listen as listenFastify } from './support/fastify-app.ts';
import { expressApp, fastifyApp, playDay, signedInAtLast } from './support/user-day.ts';

const START = Date.UTC(2030, 0, 1);
const README = process.env.README ?? new URL('../README.md', import.meta.url);
/** The version that was measured. */
const THEIRS = createRequire(import.meta.url)('connect-dynamodb/package.json').version;
const HEADER = ['', 'item', 'GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'read units', 'write units', 'KMS calls'];

/** The cells of the README's table, its header first. */
async function readmeTable(): Promise<string[][]> {
  const text = await readFile(README, 'utf8');
  const table = /<!-- capacity -->\n+(.*?)\n+<!-- \/capacity -->/s.exec(text)?.[1];
  assert.ok(table, 'the README has no table between <!-- capacity --> and <!-- /capacity -->');
  const rows = table.split('\n').map((line) => line.replace(/^\||\|$/g, '').split('|'));
  return rows.map((cells) => cells.map((cell) => cell.trim())).filter(([, cell]) => !/^-+:?$/.test(cell));
}

/** What the README should say; `item` is the size of the items in bytes. */
function row(name: string, item: number, { GetItem, PutItem, UpdateItem, DeleteItem, ...units }: Consumed): string[] {
  const counted = [GetItem, PutItem, UpdateItem, DeleteItem, units.readUnits, units.writeUnits, units.kms];
  return [name, `${(item / 1000).toFixed(1)} kB`, ...counted.map(String)];
}

/** An application on a table. */
interface Played {
  name: string;
  table: string;
  hashKey: string;
  serve: (t: TestContext, backend: AwsBackend, client: DynamoDBClient) => Promise<string>;
}

function clientOf(backend: AwsBackend): DynamoDBClient {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
  return new DynamoDBClient({ endpoint: backend.aws.dynamodb, region: 'us-east-1', credentials });
}

async function onExpress(t: TestContext, store: session.Store): Promise<string> {
  const { origin, close } = await listenExpress(expressApp(store));
  t.after(close);
  return origin;
}

/** The defaults, but for the revocation check: it is one KMS call a minute of a busy process, however many users that has. */
function ownStore(backend: AwsBackend): DynamoDBSessionStore {
  return backend.store({ recordVersion: 2, keyCache: { revocationCheckSeconds: 7 * 24 * 3600 } });
}

const own = { table: 'sessions', hashKey: 'sessionId' };

const days: Played[] = [
  { name: 'this store, Express', ...own, serve: (t, backend) => onExpress(t, ownStore(backend)) },
  {
    name: 'this store, Fastify',
    ...own,
    async serve(t, backend) {
      const app = await fastifyApp(ownStore(backend));
      t.after(() => app.close());
      return listenFastify(app);
    },
  },
  {
    name: `connect-dynamodb ${THEIRS}, Express`,
    table: 'others',
    hashKey: 'id',
    async serve(t, _backend, client) {
      await client.send(
        new CreateTableCommand({
          TableName: 'others',
          AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
          KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
          BillingMode: 'PAY_PER_REQUEST',
        }),
      );
      const Store = connectDynamodb(session);
      return onExpress(t, new Store({ client, table: 'others', initialized: true })); // initialized: it looks for no table
    },
  },
];

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

/** Plays the day. The requests of its applications, and what they left in the table. */
async function played(t: TestContext, day: Played) {
  const backend = await startAws();
  t.after(() => backend.stop());
  const client = clientOf(backend);
  t.after(() => client.destroy());
  mock.timers.enable({ apis: ['Date'], now: START });
  t.after(() => mock.timers.reset());

  const origin = await day.serve(t, backend, client);
  await backend.aws.reset(); // the creation of the table is not of the day
  const { browsers, requests } = await playDay(origin, START);
  assert.deepEqual(requests, { '/login': 5, '/refresh': 20, '/tokens': 173, '/logout': 2 });
  const { consumed, items } = replay(await backend.aws.requests(), day.hashKey);
  assert.deepEqual(items, await tableItems(client, day), 'the replay went another way than the day');
  assert.equal(items.size, 3);
  assert.equal(await signedInAtLast(browsers), 3);
  return { consumed, items: [...items.values()] };
}

describe('what a user costs', () => {
  for (const day of days) {
    it(`is in the README for ${day.name}`, async (t) => {
      const { consumed, items } = await played(t, day);
      const sizes = items.map(sizeInAws);
      // So far from a whole KB, a few bytes more or less in tokens or numbers change no figure.
      for (const near of sizes.flatMap((size) => [size - 100, size + 100])) assert.equal(writeUnits(0, near), 3);
      const inReadme = (await readmeTable()).find(([name]) => name === day.name);
      assert.deepEqual(inReadme, row(day.name, Math.max(...sizes), consumed));
    });
  }

  it('is in the README for nobody else, under the names of what is counted', async () => {
    const [header, ...rows] = await readmeTable();
    assert.deepEqual(header, HEADER);
    assert.deepEqual(
      rows.map(([name]) => name),
      days.map(({ name }) => name),
    );
  });
});

describe('the size of an item', () => {
  const numbers: Record<string, number> = {
    '0': 1,
    '7': 2,
    '42': 2,
    '-42': 3,
    '100': 2,
    '1894060800': 5,
    '1894060801': 6,
    '1894060800.25': 7,
    '0.001': 2,
    '99999999999999999999999999999999999999': 20,
    '-99999999999999999999999999999999999999': 21,
  };
  for (const [text, size] of Object.entries(numbers)) {
    it(`counts ${size} bytes for the number ${text}`, () => assert.equal(itemSize({ n: { N: text } }), 1 + size));
  }

  const items: Array<[kind: string, item: Item, size: number]> = [
    ['nothing', {}, 0],
    ['a text, by its UTF-8', { name: { S: 'Zoë' } }, 4 + 4],
    ['a name that is not ASCII', { größe: { S: '' } }, 7],
    ['bytes of a request, not their base64', { iv: { B: Buffer.alloc(12).toString('base64') } }, 2 + 12],
    ['bytes of a reply', { iv: { B: new Uint8Array(12) } }, 2 + 12],
    [
      "connect-dynamodb's attributes",
      { id: { S: 'sess:a' }, expires: { N: '1894060801' }, type: { S: 'connect-session' }, sess: { S: '{"cookie":{}}' } },
      2 + 6 + (7 + 6) + (4 + 15) + (4 + 13),
    ],
  ];
  for (const [kind, item, size] of items) {
    it(`is ${size} bytes for ${kind}`, () => assert.equal(itemSize(item), size));
  }

  it('counts a wrapped data key as long as it is in AWS', () => {
    const item = { sessionId: { S: 'a' }, encryptedKey: { B: Buffer.alloc(96).toString('base64') } };
    assert.equal(sizeInAws(item) - itemSize(item), 184 - 96);
  });

  it('and the units of it are those that another implementation of DynamoDB charges, to the byte', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const client = clientOf(backend);
    t.after(() => client.destroy());
    const request = { TableName: 'sessions', ReturnConsumedCapacity: 'TOTAL' } as const;
    for (const size of [1023, 1024, 1025, 2048, 2049, 4096, 4097]) {
      const key = { sessionId: { S: 'zoë' } };
      const rest = { ...key, ttl: { N: '1894060801' }, data: { B: new Uint8Array() } };
      const item = { ...rest, data: { B: new Uint8Array(size - itemSize(rest)) } };
      assert.equal(itemSize(item), size);
      await client.send(new DeleteItemCommand({ TableName: 'sessions', Key: key })); // a larger one would be charged
      const put = await client.send(new PutItemCommand({ ...request, Item: item }));
      assert.equal(put.ConsumedCapacity!.CapacityUnits, writeUnits(0, size));
      const get = await client.send(new GetItemCommand({ ...request, Key: key, ConsistentRead: true }));
      assert.equal(get.ConsumedCapacity!.CapacityUnits, readUnits(size, true));
    }
  });

  it('is not guessed for types that no session store writes', () => {
    assert.throws(() => itemSize({ list: { L: [] } as any }), /no session store writes L/);
  });
});

describe('capacity units', () => {
  it('a consistent read takes one for each 4 KB begun, another half of it, and a read of nothing as much as one of an item', () => {
    const cases = [
      [0, 1],
      [1, 1],
      [4096, 1],
      [4097, 2],
      [8192, 2],
    ];
    for (const [size, units] of cases) {
      assert.equal(readUnits(size, true), units);
      assert.equal(readUnits(size, false), units / 2);
    }
  });

  it('a write takes one for each KB begun of the larger item, and of nothing as much as of an item', () => {
    assert.equal(writeUnits(0, 0), 1);
    assert.equal(writeUnits(0, 1024), 1);
    assert.equal(writeUnits(0, 1025), 2);
    assert.equal(writeUnits(3073, 1), 4);
    assert.equal(writeUnits(3072, 0), 3);
  });

  it('an update of one attribute is charged for the whole item, a refused write like any other, and KMS is counted apart', () => {
    const key = { sessionId: { S: 'a' } };
    const item = { ...key, data: { B: Buffer.alloc(2000).toString('base64') }, ttl: { N: '1' } };
    const ask = (action: string, body: object) => ({ action, accessKeyId: '', region: '', body });
    const update = { UpdateExpression: 'SET #t = :t', ExpressionAttributeNames: { '#t': 'ttl' } };
    const { consumed, items } = replay(
      [
        ask('kms:GenerateDataKey', {}),
        ask('dynamodb:PutItem', { Item: item }),
        ask('dynamodb:UpdateItem', { Key: key, ...update, ExpressionAttributeValues: { ':t': { N: '2' } } }),
        ask('dynamodb:GetItem', { Key: key, ConsistentRead: true }),
        ask('dynamodb:GetItem', { Key: key }),
        ask('dynamodb:DeleteItem', { Key: key }),
        ask('dynamodb:DeleteItem', { Key: key }),
      ],
      'sessionId',
    );
    const calls = { GetItem: 2, PutItem: 1, UpdateItem: 1, DeleteItem: 2 };
    assert.deepEqual(consumed, { ...calls, readUnits: 1.5, writeUnits: 2 + 2 + 2 + 1, kms: 1 });
    assert.equal(items.size, 0);
  });

  it('a request without a rule is not left out', () => {
    const scan = { action: 'dynamodb:Scan', accessKeyId: '', region: '', body: { Key: { sessionId: { S: 'a' } } } };
    assert.throws(() => replay([scan], 'sessionId'), /no rule for Scan/);
  });
});
