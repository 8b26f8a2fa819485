// The table of docs/costs.md: every cell is measured here.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import {
  CreateTableCommand,
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import connectDynamodb from 'connect-dynamodb';
import session from 'express-session';
import { startAws } from '../support/backends.ts';
import { clientOf, type Item, itemSize, readUnits, replay, sizeInAws, writeUnits } from '../support/capacity.ts';
import { tableCells } from '../support/markdown-table.ts';
import { HEADER, measureDay, onExpress, onFastify, own, ownStore, type Played, row } from '../support/measured-day.ts';

const COSTS = process.env.COSTS ?? new URL('../../docs/costs.md', import.meta.url);
/** The version that was measured. */
const THEIRS = createRequire(import.meta.url)('connect-dynamodb/package.json').version;

const tableOf = async (page: URL | string) => tableCells(await readFile(page, 'utf8'), 'capacity');

const users = { idOf: 'user.id', secret: 'a secret of the users' };

const days: Played[] = [
  { name: 'this store, Express', ...own, serve: (t, backend) => onExpress(t, ownStore(backend)) },
  { name: 'this store, Fastify', ...own, serve: (t, backend) => onFastify(t, ownStore(backend)) },
  {
    name: 'this store with `users`, Express',
    ...own,
    serve: (t, backend) => onExpress(t, ownStore(backend, { users })),
  },
  {
    name: 'this store with `users`, Fastify',
    ...own,
    serve: (t, backend) => onFastify(t, ownStore(backend, { users })),
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

describe('what a user costs', () => {
  for (const day of days) {
    it(`is in docs/costs.md for ${day.name}`, async (t) => {
      const measured = await measureDay(t, day);
      const sizes = measured.items.map(sizeInAws);
      // So far from a whole KB, a few bytes more or less in tokens or numbers change no figure.
      for (const near of sizes.flatMap((size) => [size - 100, size + 100])) assert.equal(writeUnits(0, near), 3);
      const written = (await tableOf(COSTS)).find(([name]) => name === day.name);
      assert.deepEqual(written, row(day.name, measured));
    });
  }

  it('is there for nobody else, under the names of what is counted', async () => {
    const [header, ...rows] = await tableOf(COSTS);
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
    const inBase64 = { sessionId: { S: 'a' }, encryptedKey: { S: Buffer.alloc(96).toString('base64') } };
    assert.equal(sizeInAws(inBase64) - itemSize(inBase64), 248 - 128);
  });

  it('and the units of it are those that another implementation of DynamoDB charges, to the byte', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const client = clientOf(backend.aws);
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
    const calls = { GetItem: 2, PutItem: 1, UpdateItem: 1, DeleteItem: 2, TransactWriteItems: 0 };
    assert.deepEqual(consumed, { ...calls, readUnits: 1.5, writeUnits: 2 + 2 + 2 + 1, kms: 1 });
    assert.equal(items.size, 0);
  });

  it('every item of a transaction is charged twice', () => {
    const put = (id: string, size: number) => ({
      Put: { Item: { sessionId: { S: id }, data: { B: Buffer.alloc(size).toString('base64') } } },
    });
    const transaction = { action: 'dynamodb:TransactWriteItems', accessKeyId: '', region: '' };
    const { consumed, items } = replay(
      [{ ...transaction, body: { TransactItems: [put('a', 2000), put('b', 10)] } }],
      'sessionId',
    );
    assert.deepEqual([consumed.TransactWriteItems, consumed.PutItem, consumed.writeUnits], [1, 0, 2 * (2 + 1)]);
    assert.deepEqual([...items.keys()], ['a', 'b']);
    const other = { ...transaction, body: { TransactItems: [{ Update: {} }] } };
    assert.throws(() => replay([other], 'sessionId'), TypeError);
  });

  it('every item of a batch of reads is charged on its own', () => {
    const ask = (action: string, body: object) => ({ action, accessKeyId: '', region: '', body });
    const put = (id: string, size: number) =>
      ask('dynamodb:PutItem', { Item: { sessionId: { S: id }, data: { B: Buffer.alloc(size).toString('base64') } } });
    const Keys = ['a', 'b', 'c'].map((S) => ({ sessionId: { S } }));
    const read = ask('dynamodb:BatchGetItem', { RequestItems: { sessions: { Keys, ConsistentRead: true } } });
    const { consumed } = replay([put('a', 5000), put('b', 10), read], 'sessionId');
    assert.deepEqual([consumed.GetItem, consumed.readUnits], [3, 2 + 1 + 1]);
  });

  it('an implementation of DynamoDB charges a transaction so', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const client = clientOf(backend.aws);
    t.after(() => client.destroy());
    const put = (id: string, size: number) => ({
      Put: { TableName: 'sessions', Item: { sessionId: { S: id }, data: { B: new Uint8Array(size) } } },
    });
    const { ConsumedCapacity } = await client.send(
      new TransactWriteItemsCommand({ ReturnConsumedCapacity: 'TOTAL', TransactItems: [put('a', 2000), put('b', 10)] }),
    );
    assert.equal(ConsumedCapacity![0]!.CapacityUnits, 6);
  });

  it('a request without a rule is not left out', () => {
    const scan = { action: 'dynamodb:Scan', accessKeyId: '', region: '', body: { Key: { sessionId: { S: 'a' } } } };
    assert.throws(() => replay([scan], 'sessionId'), /no rule for Scan/);
  });
});
