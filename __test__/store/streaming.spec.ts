// sessions() beside all(): page by page; and what is long gives the event loop back in between.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { calls } from '../support/outcomes.ts';

const PAD = 'x'.repeat(40_000);

/** How many characters of JSON are parsed in one turn of the event loop, while the work runs: the most, and in all. */
async function parsedAtOnce(t: TestContext, work: () => Promise<unknown>) {
  let [most, all, turn, runs] = [0, 0, 0, true];
  const { parse } = JSON;
  t.mock.method(JSON, 'parse', (text: string, ...rest: any[]) => {
    turn += text.length;
    all += text.length;
    most = Math.max(most, turn);
    return parse(text, ...rest);
  });
  const next = () => {
    turn = 0;
    if (runs) setImmediate(next);
  };
  setImmediate(next);
  await work();
  runs = false;
  t.mock.restoreAll();
  return { most, all };
}

async function listed(store: DynamoDBSessionStore) {
  const sessions: any[] = [];
  for await (const session of store.sessions()) sessions.push(session);
  return sessions;
}

for (const { name, start } of backends) {
  describe(`sessions() on ${name}`, () => {
    let backend: Backend;
    let store: DynamoDBSessionStore;
    before(async () => {
      backend = await start();
      store = backend.store({ prefix: 'app:', hashSessionIds: true });
      for (let n = 0; n < 30; n++) await store.set(`s${n}`, { n, pad: PAD });
      await store.set('ended', { cookie: { expires: new Date(Date.now() - 1000) } });
      await backend.store({ prefix: 'other:' }).set('s', {});
    });
    after(() => backend.stop());

    it('gives what all() gives', async () => {
      const byNumber = (sessions: any[]) => sessions.toSorted((a, b) => a.n - b.n);
      const sessions = byNumber(await listed(store));
      assert.deepEqual(sessions, byNumber(await store.all()));
      assert.deepEqual([sessions.length, sessions[7].id, sessions[7].n], [30, 's7', 7]);
    });

    it('can be taken out of the store, left, and begun again', async () => {
      const { sessions } = store;
      for await (const session of sessions()) {
        assert.equal(session.pad, PAD);
        break;
      }
      assert.equal((await listed(store)).length, 30);
    });

    it('a session that it gave can be saved', async () => {
      const writer = backend.store({ prefix: 'saved:' });
      await writer.set('a', { n: 1 });
      for await (const session of writer.sessions()) await writer.update(session, (session) => Object.assign(session, { n: 2 }));
      assert.deepEqual(await listed(writer), [{ n: 2, id: 'a' }]);
    });

    it('fails once the store is closed', async () => {
      const closed = backend.store();
      await closed.close();
      await failing(closed.sessions().next(), 'ERR_CLOSED');
    });
  });
}

describe('long work on DynamoDB', () => {
  let backend: AwsBackend;
  let store: DynamoDBSessionStore;
  const SIDS = Array.from({ length: 60 }, (_, n) => `s${n}`);
  before(async () => {
    backend = await startAws();
    store = backend.store({ recordVersion: 2 });
    for (const sid of SIDS) await store.set(sid, { pad: PAD });
  });
  after(() => backend.stop());

  it('sessions() reads the next page when the page before was taken', async () => {
    const all = await calls(backend, () => store.all());
    assert(all['dynamodb:Scan']! >= 3, 'there are several pages');
    const first = async () => {
      for await (const _ of store.sessions()) break;
    };
    assert.equal((await calls(backend, first))['dynamodb:Scan'], 1);
    const iterator = store.sessions();
    const partly = async () => {
      for (let n = 0; n < 30; n++) await iterator.next();
    };
    const scans = (await calls(backend, partly))['dynamodb:Scan']!;
    assert(scans >= 1 && scans < all['dynamodb:Scan']!, `${scans} pages for half of the sessions`);
    await iterator.return();
    assert.deepEqual(await calls(backend, () => iterator.next()), {});
  });

  it('a page that fails ends the iterator with its error', async () => {
    const strict = backend.store({ recordVersion: 1, acceptVersions: [1] });
    const iterator = strict.sessions();
    await failing(iterator.next(), 'ERR_VERSION');
    assert.deepEqual(await iterator.next(), { done: true, value: undefined });
  });

  /** Reads all sessions by each store. Nobody takes the answers until all are there. */
  async function together(stores: DynamoDBSessionStore[]): Promise<void> {
    const answers = Promise.all(stores.flatMap((store) => SIDS.map((sid) => store.get(sid))));
    await new Promise((resolve) => setTimeout(resolve, 0));
    const until = Date.now() + 400;
    while (Date.now() < until);
    await answers;
  }

  const WORK: Record<string, () => Promise<unknown>> = {
    'all()': () => store.all(),
    'sessions()': () => listed(store),
    'sixty answers that arrive together': () => together([store]),
    'answers to two stores that arrive together': () => together([store, backend.store({ recordVersion: 2 })]),
  };
  for (const [what, work] of Object.entries(WORK)) {
    it(`of ${what} gives the event loop back`, async (t) => {
      await store.all(); // the data keys are cached
      const { most, all } = await parsedAtOnce(t, work);
      assert(all > 60 * PAD.length, `${all} parsed`);
      assert(most < 131_072 + JSON.stringify({ pad: PAD }).length, `${most} at once`);
    });
  }

  const { parse } = JSON;
  afterEach(() => {
    JSON.parse = parse;
  });

  /** Lets JSON.parse take this many milliseconds, and calls back before. Not a mock, which would keep what it is called with. */
  function slowParse(milliseconds: number, called: () => void = () => {}): void {
    JSON.parse = (text: string, ...rest: any[]) => {
      called();
      const until = performance.now() + milliseconds;
      while (performance.now() < until);
      return parse(text, ...rest);
    };
  }

  it('does not keep an answer waiting until all() has ended', async () => {
    const other = backend.store({ recordVersion: 2, prefix: 'other:' });
    await other.set('sid', {});
    // Whether the answer comes in time is also a matter of the server.
    for (let attempt = 0; ; attempt++) {
      const order: string[] = [];
      let get: Promise<unknown> | undefined;
      slowParse(5, () => {
        get ??= other.get('sid').then(() => order.push('get'));
      });
      await store.all().then(() => order.push('all'));
      await get;
      JSON.parse = parse;
      if (order[0] === 'get') break;
      assert.ok(attempt < 10, 'the answer never came before');
    }
  });

  it('that callers make of answers does not keep those that were handled', async () => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    await store.set('large', { pad: PAD.repeat(5) });
    slowParse(2);
    const heapAfter = async (answers: number) => {
      while (handled < answers) await turn();
      gc();
      return process.memoryUsage().heapUsed;
    };
    let handled = 0;
    const reads = Array.from({ length: 50 }, async () => {
      for (; handled < 600; handled++) await store.get('large');
    });
    const before = await heapAfter(150);
    const grown = (await heapAfter(550)) - before;
    await Promise.all(reads);
    assert.ok(grown < 200 * 5 * PAD.length, `the heap has grown by ${grown} bytes with 400 answers`);
  });
});
