// docs/scaling.md: every cell that is not a price, a quota or an assumption is measured or computed here.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import type { Express } from 'express';
import { type AwsBackend, startAws, startLocal } from '../support/backends.ts';
import { readUnits, replay, sizeInAws, writeUnits } from '../support/capacity.ts';
import { listen as listenExpress } from '../support/express-app.ts';
import { atRandom, type Day, dayOf, Fleet, factsOf, inTurn, money, type Plan, type Rows, rate, whole } from '../support/fleet.ts';
import { startHttp } from '../support/http-server.ts';
import { tableCells } from '../support/markdown-table.ts';
import { HEADER, measureDay, onExpress, onFastify, own, ownStore, type Played, row, START } from '../support/measured-day.ts';
import { PlainPlan } from '../support/plain-plan.ts';
import { expressApp } from '../support/user-day.ts';

const read = (path: string | undefined, name: string) => readFile(path ?? new URL(`../../${name}`, import.meta.url), 'utf8');
const doc = await read(process.env.SCALING, 'docs/scaling.md');
const costs = await read(process.env.COSTS, 'docs/costs.md');

const STICKY = 'this store, Express';
const SPREAD = 'this store, five instances in turn';
const PLAIN = 'the plain plan, Express';
const USERS = [1_000, 100_000, 10_000_000];
const MIDDLE = 100_000;

/** What a visit of the day is made of; see support/user-day.ts. */
const REQUESTS_A_VISIT = 5;
const SECONDS_BETWEEN = 20;
/** The `maxAgeSeconds` that the page proposes: longer than a visit. */
const SHORT = 120;

/** Compares a table of the page with what it should be, and names each cell that differs. */
function check(name: string, expected: Rows): void {
  const found = tableCells(doc, name);
  const header = found[0];
  const cells = Math.max(found.length, expected.length);
  const differences = Array.from({ length: cells }).flatMap((_, index) => {
    const [is, should] = [found[index] ?? [], expected[index] ?? []];
    const columns = Array.from({ length: Math.max(is.length, should.length) }, (_, column) => column);
    const differing = columns.filter((column) => is[column] !== should[column]);
    return differing.map(
      (column) =>
        `row ${index} (${should.slice(0, 2).join(', ')}), column "${header[column]}": is ${is[column]}, should be ${should[column]}`,
    );
  });
  assert.deepEqual(differences, [], `the table "${name}" of docs/scaling.md`);
}

/** The rows under the page's own header, which says in words what they are. */
const under = (name: string, rows: Rows): Rows => [tableCells(doc, name)[0], ...rows];

const facts = factsOf(['prices', 'quotas', 'assumptions'].map((name) => tableCells(doc, name)));
const fleet = new Fleet(facts);

/** A day as the page has it, which is checked below. */
function dayNamed(name: string): Day {
  const found = tableCells(doc, 'day').find(([cell]) => cell === name);
  assert.ok(found, `docs/scaling.md has no day of "${name}"`);
  return dayOf(found);
}

const day = dayNamed(STICKY);
const plainDay = dayNamed(PLAIN);
const sticky: Plan = { name: 'this store, sticky', day, kms: () => day.kms, checks: 1 };
const spread: Plan = { name: 'this store, any instance', day, kms: inTurn(day, REQUESTS_A_VISIT), checks: 1 };
const plain: Plan = { name: 'the plain plan', day: plainDay, kms: () => plainDay.kms, checks: 0 };
const plans = [sticky, spread, plain];

/** Instances behind a balancer that gives the requests of each visit to one after the other. */
async function onInstances(t: TestContext, backend: AwsBackend, count: number): Promise<string> {
  const apps = Array.from({ length: count }, () => expressApp(ownStore(backend)));
  const balancer = (request: any, response: any) => {
    const inVisit = Math.floor(((Date.now() - START) / 1000 / SECONDS_BETWEEN) % ((10 * 60) / SECONDS_BETWEEN));
    apps[inVisit % count](request, response);
  };
  const { origin, close } = await listenExpress(balancer as Express);
  t.after(close);
  return origin;
}

function plainPlan(t: TestContext, backend: AwsBackend): PlainPlan {
  const store = new PlainPlan(backend.aws);
  t.after(() => store.close());
  return store;
}

const played: Played[] = [
  { name: SPREAD, ...own, serve: (t, backend) => onInstances(t, backend, REQUESTS_A_VISIT) },
  { name: PLAIN, ...own, serve: (t, backend) => onExpress(t, plainPlan(t, backend)) },
  { name: 'the plain plan, Fastify', ...own, serve: (t, backend) => onFastify(t, plainPlan(t, backend) as any) },
];

describe("a user's day in docs/scaling.md", () => {
  const rows = tableCells(doc, 'day');

  for (const name of [STICKY, 'this store, Fastify']) {
    it(`is that of docs/costs.md for ${name}, which is measured there`, () => {
      const measured = tableCells(costs, 'capacity').find(([cell]) => cell === name);
      assert.deepEqual(
        rows.find(([cell]) => cell === name),
        measured,
      );
    });
  }

  for (const one of played) {
    it(`is measured for ${one.name}`, async (t) => {
      const measured = await measureDay(t, one);
      const sizes = measured.items.map(sizeInAws);
      // So far from a whole KB, a few bytes more or less in tokens or numbers change no figure.
      for (const near of sizes.flatMap((size) => [size - 50, size + 50])) {
        assert.equal(writeUnits(0, near), writeUnits(0, Math.max(...sizes)));
      }
      assert.deepEqual(
        rows.find(([cell]) => cell === one.name),
        row(one.name, measured),
      );
      assert.equal(measured.requests, facts['requests a user and day']);
      assert.equal(measured.items.length, facts['sessions a user leaves a day']);
    });
  }

  it('is there for nobody else', () => {
    assert.deepEqual(rows[0], HEADER);
    assert.deepEqual(
      rows.slice(1).map(([name]) => name),
      [STICKY, 'this store, Fastify', ...played.map(({ name }) => name)],
    );
  });
});

describe('the settings of docs/scaling.md', () => {
  /** With how often a minute each instance checks the KMS key. */
  const settings: Array<[name: string, options: SessionStoreConfig, checks: number]> = [
    ['`recordVersion: 1`', { recordVersion: 1 }, 1],
    ['`touchAfter: 0`', { touchAfter: 0 }, 1],
    ['`touchAfter: 60`', { touchAfter: 60 }, 1],
    ['`touchAfter: 60480`', { touchAfter: 60_480 }, 1],
    ['`keyCache: { maxAgeSeconds: 86400 }`', { keyCache: { maxAgeSeconds: 86_400 } }, 1],
    [`\`keyCache: { maxAgeSeconds: ${SHORT} }\``, { keyCache: { maxAgeSeconds: SHORT } }, 1],
    ["`keyCache: 'strict'`", { keyCache: { maxEntries: 1_000, maxAgeSeconds: 60 } }, 6], // 'strict', but for the checks
    ['`keyCache: false`', { keyCache: false }, 0],
  ];
  const cells = (name: string, { readUnits, writeUnits, kms }: Omit<Day, 'item' | 'calls'>, item: number, checks: number) => {
    const set = { ...day, item, readUnits, writeUnits, kms };
    const { total } = fleet.month(MIDDLE, { name, day: set, kms: () => kms, checks });
    return [name, ...[readUnits, writeUnits, kms].map(String), money(total)];
  };
  const rows = tableCells(doc, 'settings');

  for (const [name, options, checks] of settings) {
    it(`are measured: ${name}`, async (t) => {
      const serve: Played['serve'] = (t, backend) => onExpress(t, ownStore(backend, options));
      const { consumed, items } = await measureDay(t, { name, ...own, serve });
      const item = Number((Math.max(...items.map(sizeInAws)) / 1000).toFixed(1)) * 1000;
      assert.deepEqual(
        rows.find(([cell]) => cell === name),
        cells(name, consumed, item, checks),
      );
    });
  }

  it('stand under the defaults', () => {
    assert.deepEqual(rows[1], cells('the defaults', day, day.item, 1));
    assert.deepEqual(
      rows.slice(2).map(([name]) => name),
      settings.map(([name]) => name),
    );
  });
});

describe('the tables of docs/scaling.md', () => {
  it('the month', () => check('month', under('month', fleet.monthRows(USERS, plans))));
  it('the peak second', () => check('peak', under('peak', fleet.peakRows(USERS, plans))));
  it('the quotas', () => check('limits', under('limits', fleet.limitRows(plans))));
  it('the cache of data keys', () => {
    const hour = facts['maxAgeSeconds, the default'];
    const rows = fleet.cacheRows(USERS, [
      [sticky, hour],
      [spread, hour],
      [sticky, SHORT],
      [spread, SHORT],
    ]);
    check('cache', under('cache', rows));
  });
  it('the sockets', () => check('sockets', under('sockets', fleet.socketRows([5, 50, 500, 2000], plans))));
  it('the Regions', () => check('regions', under('regions', fleet.regionRows(MIDDLE, [1, 2, 3], [sticky, plain]))));

  it('the instances', () => {
    const counts = [1, 2, 3, 5, 10, 100];
    const [turn, random] = [inTurn(day, REQUESTS_A_VISIT), atRandom(day, REQUESTS_A_VISIT)];
    const rows = counts.map((count) => {
      const { kms } = fleet.month(MIDDLE, { ...sticky, kms: () => turn(count), checks: 0 });
      return [whole(count), whole(day.kms), whole(turn(count)), rate(random(count)), money(kms)];
    });
    check('instances', under('instances', rows));
    assert.equal(turn(5), dayNamed(SPREAD).kms, 'the rule against what was measured');
  });

  it('one session', () => {
    const [ours, theirs] = [day, plainDay].map(({ item }) => [readUnits(item, true), writeUnits(0, item)]);
    const rows = fleet.sessionRows([
      ['this store, nothing changed', ours[0], 0],
      ['this store, changed by each', ours[0], ours[1]],
      ['the plain plan', theirs[0], theirs[1]],
    ]);
    check('session', under('session', rows));
  });

  it('on two instances in turn a visit asks twice, as computed', async (t) => {
    const serve: Played['serve'] = (t, backend) => onInstances(t, backend, 2);
    const { consumed } = await measureDay(t, { name: 'two', ...own, serve });
    assert.equal(consumed.kms, inTurn(day, REQUESTS_A_VISIT)(2));
  });
});

describe('the computation', () => {
  const round: Plan = {
    name: 'round numbers',
    day: { item: 1949, calls: 300, readUnits: 100, writeUnits: 200, kms: 10 },
    kms: () => 10,
    checks: 1,
  };
  const simple = new Fleet({
    ...facts,
    'write request units, a million': 1,
    'read request units, a million': 0.5,
    'KMS requests, ten thousand': 0.1,
    'KMS requests without charge': 86_400,
    'bytes of storage beside an item': 99,
    'storage without charge': 25,
    'storage, a GB and month': 1,
    'requests a user and day': 864,
  });

  it('of a month, by hand', () => {
    // In the peak second 31,457 requests, 200 for an instance; in the table 3 sessions of each of 9 days, of 2 KiB.
    const users = 2 ** 20;
    assert.equal(simple.instances(users), 158);
    const { reads, writes, storage, kms } = simple.month(users, round);
    assert.equal(reads, (users * 100 * 30 * 0.5) / 1e6);
    assert.equal(writes, (users * 200 * 30) / 1e6);
    assert.equal(storage, 27 * 2 - 25);
    assert.equal(kms, ((users * 10 * 30 + 158 * 43_200 - 86_400) / 10_000) * 0.1 + 1);
  });
});

describe('what docs/scaling.md says about', () => {
  it('connections: one for each call in flight, kept for the calls that follow', async (t) => {
    const CALLS = 40;
    const sockets = new Set<unknown>();
    const waiting: Array<() => void> = [];
    let held = true;
    const table = await startHttp((request, response) => {
      sockets.add(request.socket);
      const answer = () =>
        response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': 'A' }).end('{}');
      if (!held) return void answer();
      waiting.push(answer);
      if (waiting.length < CALLS) return;
      held = false;
      for (const go of waiting) go();
    });
    t.after(() => table.close());
    const backend = await startAws();
    t.after(() => backend.stop());
    // Reads that arrive together share a connection.
    const store = backend.store({ dynamodbEndpoint: table.url, batchReads: false });
    await Promise.all(Array.from({ length: CALLS }, (_, call) => store.get(`sid ${call}`)));
    assert.equal(sockets.size, CALLS);
    for (let call = 0; call < CALLS; call++) await store.get(`sid ${call}`);
    assert.equal(sockets.size, CALLS);
  });

  it('a lease: two write units, and nothing of KMS', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const store = backend.store({ recordVersion: 2 });
    await store.withLock('sid', () => {});
    const { consumed } = replay(await backend.aws.requests(), 'sessionId');
    const table = { GetItem: 0, PutItem: 1, UpdateItem: 0, DeleteItem: 1, TransactWriteItems: 0 };
    assert.deepEqual(consumed, { ...table, readUnits: 0, writeUnits: 2, kms: 0 });
  });

  it('a cache of data keys that is full, and holds those in use: a call a visit', async (t) => {
    const SESSIONS = 1000;
    const IN_USE = 12;
    const backend = await startLocal();
    t.after(() => backend.stop());
    const sids = Array.from({ length: SESSIONS }, (_, number) => `sid ${number}`);
    const writer = backend.store();
    await Promise.all(sids.map((sid) => writer.set(sid, {})));
    /** Visits of five requests that begin one after the other, so that {@link IN_USE} of them go on at any time. */
    const loadsAVisit = async (maxEntries: number) => {
      const store = backend.store({ keyCache: { maxEntries } });
      for (let now = 0; now < SESSIONS + IN_USE; now++) {
        for (let request = 0; request < REQUESTS_A_VISIT; request++) {
          const sid = sids[now - request * (IN_USE / (REQUESTS_A_VISIT - 1))];
          if (sid) await store.get(sid);
        }
      }
      return store.stats().keyCache.loads / SESSIONS;
    };
    assert.equal(await loadsAVisit(SESSIONS), 1);
    assert.equal(await loadsAVisit(SESSIONS / 10), 1);
    const tooSmall = await loadsAVisit(1);
    assert.ok(tooSmall > 1 && tooSmall <= REQUESTS_A_VISIT, `${tooSmall} a visit`);
  });
});
