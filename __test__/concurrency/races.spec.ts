// What concurrent requests do to one session: every race that the trackers of session stores tell of, on this store and on a plain put-and-get store.
// On the latter each must go wrong, or it would prove nothing here.

import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { startAws, startLocal } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { expressApp, listen as listenExpress } from '../support/express-app.ts';
import { fastifyApp, listen as listenFastify } from '../support/fastify-app.ts';
import { PutAndGetStore } from '../support/put-and-get-store.ts';

/** What the races need of a store. */
interface Store {
  get(sid: string): Promise<any>;
  set(sid: string, session: object): Promise<void>;
  touch(sid: string, session: object): Promise<void>;
  destroy(sid: string): Promise<void>;
  /** What lies in the table, `null` if nothing does. */
  record(sid: string): Promise<object | null>;
}

interface Subject {
  /** Another instance on the same table, as another process has it. */
  store(config?: SessionStoreConfig): any;
  /** How many writes the table has seen since the last call, where somebody counts. */
  writes?(): Promise<number>;
  stop(): Promise<void>;
}

const COOKIE = { originalMaxAge: 3_600_000, expires: '2099-01-01T00:00:00.000Z', httpOnly: true, path: '/' };
const session = () => ({ cookie: { ...COOKIE }, user: 'ada', count: 0 });

async function countingWrites(aws: { calls(): Promise<Record<string, number>>; reset(): Promise<void> }): Promise<number> {
  const calls = await aws.calls();
  await aws.reset();
  return (calls['dynamodb:PutItem'] ?? 0) + (calls['dynamodb:UpdateItem'] ?? 0);
}

const wrongly = 'shows that this can go wrong';

const subjects: Array<{ name: string; start: () => Promise<Subject>; ours: boolean }> = [
  { name: 'this store in local mode', start: startLocal, ours: true },
  {
    name: 'this store on AWS servers',
    ours: true,
    async start() {
      const backend = await startAws();
      return { ...backend, writes: () => countingWrites(backend.aws) };
    },
  },
  {
    name: 'a plain put-and-get store',
    ours: false,
    async start() {
      const backend = await startAws();
      const stores: PutAndGetStore[] = [];
      return {
        store() {
          stores.push(new PutAndGetStore(backend.aws));
          return stores.at(-1);
        },
        writes: () => countingWrites(backend.aws),
        async stop() {
          for (const store of stores) store.close();
          await backend.stop();
        },
      };
    },
  },
];

/** Reads, changes and saves, again if the store says that somebody else was faster. The barrier holds all callers until all have read once. */
async function increment(store: Store, sid: string, barrier: () => Promise<void>): Promise<void> {
  for (let first = true; ; first = false) {
    const held = await store.get(sid);
    if (first) await barrier();
    held.count += 1;
    try {
      return await store.set(sid, held);
    } catch (error: any) {
      if (error.code !== 'ERR_CONFLICT') throw error;
    }
  }
}

function barrierFor(count: number): () => Promise<void> {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    count -= 1;
    if (count === 0) open();
    return opened;
  };
}

interface Race {
  name: string;
  config?: SessionStoreConfig;
  /** `first` and `second` serve two requests; they may be one store. */
  run(first: Store, second: Store, sid: string): Promise<unknown>;
  right: unknown;
  /** What comes of it on a plain put-and-get store. */
  wrong: unknown;
}

const afterLogout: Record<string, (store: Store, sid: string, held: any) => Promise<void>> = {
  'saves what it has not changed': (store, sid, held) => store.set(sid, held),
  'saves what it has changed': (store, sid, held) => store.set(sid, Object.assign(held, { count: 7 })),
  'touches the session': (store, sid, held) => store.touch(sid, held),
  'saves in the middle and at its end': async (store, sid, held) => {
    await store.set(sid, Object.assign(held, { count: 1 }));
    await store.set(sid, Object.assign(held, { count: 2 }));
  },
};

const races: Race[] = [
  ...Object.entries(afterLogout).map(([what, end]) => ({
    name: `a logout is final, though a slow request ${what} after it`,
    config: { touchAfter: 0 },
    async run(first: Store, second: Store, sid: string) {
      await first.set(sid, session());
      const slow = await first.get(sid);
      await second.destroy(sid);
      await end(first, sid, slow);
      return { inTheTable: (await second.record(sid)) !== null };
    },
    right: { inTheTable: false },
    wrong: { inTheTable: true },
  })),
  {
    name: 'a logout is final for all of twenty requests that end after it',
    config: { touchAfter: 0 },
    async run(first, second, sid) {
      await first.set(sid, session());
      const slow = await Promise.all(Array.from({ length: 20 }, (_, at) => (at % 2 ? first : second).get(sid)));
      await first.destroy(sid);
      await Promise.all(slow.map((held, at) => (at % 2 ? first : second).set(sid, at % 3 ? held : Object.assign(held, { at }))));
      return { inTheTable: (await first.record(sid)) !== null };
    },
    right: { inTheTable: false },
    wrong: { inTheTable: true },
  },
  {
    name: 'a request that changes nothing does not undo what another one has changed meanwhile',
    async run(first, second, sid) {
      await first.set(sid, session());
      const slow = await first.get(sid);
      const quick = await second.get(sid);
      await second.set(sid, Object.assign(quick, { tokens: { access: 'refreshed' } }));
      await first.set(sid, slow);
      return (await first.get(sid)).tokens;
    },
    right: { access: 'refreshed' },
    wrong: undefined,
  },
  {
    name: 'of two requests that change a session, none is lost without a word',
    config: { onConflict: 'error' },
    async run(first, second, sid) {
      await first.set(sid, session());
      const barrier = barrierFor(2);
      await Promise.all([increment(first, sid, barrier), increment(second, sid, barrier)]);
      return (await first.get(sid)).count;
    },
    right: 2,
    wrong: 1,
  },
  {
    name: 'ten changes at a time all count',
    config: { onConflict: 'error' },
    async run(first, second, sid) {
      await first.set(sid, session());
      const barrier = barrierFor(10);
      await Promise.all(Array.from({ length: 10 }, (_, at) => increment(at % 2 ? first : second, sid, barrier)));
      return (await second.get(sid)).count;
    },
    right: 10,
    wrong: 1,
  },
  {
    name: 'update() of two callers counts twice',
    async run(first, second, sid) {
      await first.set(sid, session());
      const barrier = barrierFor(2);
      let entered = 0;
      const count = async (held: any) => {
        if (++entered <= 2) await barrier();
        held.count += 1;
      };
      const update = async (store: any) => {
        if (store.update) return store.update(sid, count);
        const held = await store.get(sid); // what there is without it
        await count(held);
        await store.set(sid, held);
      };
      await Promise.all([update(first), update(second)]);
      return (await first.get(sid)).count;
    },
    right: 2,
    wrong: 1,
  },
  {
    name: 'a touch of a session that has vanished is no error and makes nothing',
    async run(first, second, sid) {
      await first.set(sid, session());
      const held = await first.get(sid);
      await second.destroy(sid);
      await first.touch(sid, held);
      await second.touch(sid, session()); // of somebody who never read it
      return first.record(sid).then((record) => record && Object.keys(record).sort());
    },
    right: null,
    wrong: ['sessionId', 'ttl'],
  },
];

for (const { name, start, ours } of subjects) {
  describe(`races on ${name}`, () => {
    let subject: Subject;
    let sids = 0;
    before(async () => {
      subject = await start();
    });
    after(() => subject.stop());

    for (const { name, config = {}, run, right, wrong } of races) {
      for (const instances of ['one instance', 'two instances']) {
        const outcome = ours ? name : `${wrongly}: ${name}`;
        it(`${outcome} (${instances})`, async () => {
          const first = subject.store(config);
          const second = instances === 'one instance' ? first : subject.store(config);
          assert.deepStrictEqual(await run(first, second, `race-${++sids}`), ours ? right : wrong);
        });
      }
    }

    if (name !== 'this store in local mode') {
      it(
        ours ? 'fifty requests that change nothing write nothing' : `${wrongly}: fifty requests that change nothing write`,
        async () => {
          const store = subject.store();
          await store.set('quiet', session());
          await subject.writes!();
          for (let request = 0; request < 50; request++) {
            const held = await store.get('quiet');
            await (request % 2 ? store.set('quiet', held) : store.touch('quiet', held));
          }
          assert.equal(await subject.writes!(), ours ? 0 : 50);
        },
      );
    }

    const gateways: Record<string, (t: TestContext, store: any, slow: Slow) => Promise<string>> = {
      async 'a Fastify application'(t, store, slow) {
        const app = await fastifyApp(store);
        app.get('/slow', async () => slow.wait());
        t.after(() => app.close());
        return listenFastify(app);
      },
      async 'an Express application'(t, store, slow) {
        const app = expressApp(store, { resave: true });
        app.get('/slow', (_request, response, next) => void slow.wait().then((body) => response.json(body), next));
        const { origin, close } = await listenExpress(app);
        t.after(close);
        return origin;
      },
    };
    for (const [gateway, serve] of Object.entries(gateways)) {
      it(`${ours ? '' : `${wrongly}: `}the logout of a user of ${gateway} ends the login, with a slow request under way`, async (t) => {
        const slow = new Slow();
        const browser = new Browser(await serve(t, subject.store(), slow));
        await browser.post('/login/ada');
        const stolen = new Browser(browser.origin);
        for (const [key, value] of browser.cookies) stolen.cookies.set(key, value);
        const request = stolen.get('/slow');
        await slow.arrived;
        assert.equal((await browser.post('/logout')).status, 200);
        slow.finish();
        assert.equal((await request).status, 200);
        assert.equal((await stolen.get('/me')).status, ours ? 401 : 200);
      });

      it(`${ours ? '' : `${wrongly}: `}a slow request to ${gateway} does not undo the change of a quick one`, async (t) => {
        const slow = new Slow();
        const browser = new Browser(await serve(t, subject.store(), slow));
        await browser.post('/login/ada');
        const request = browser.get('/slow');
        await slow.arrived;
        assert.deepEqual((await browser.post('/visit')).body, { visits: 1 });
        slow.finish();
        assert.equal((await request).status, 200);
        assert.equal((await browser.get('/me')).body.visits, ours ? 1 : 0);
      });
    }
  });
}

/** A request that has its session, and waits. */
class Slow {
  arrived: Promise<void>;
  finish = () => {};
  #arrive = () => {};

  constructor() {
    this.arrived = new Promise((resolve) => {
      this.#arrive = resolve;
    });
  }

  wait(): Promise<object> {
    return new Promise((resolve) => {
      this.finish = () => resolve({});
      this.#arrive();
    });
  }
}
