// What the requests of both frameworks ask of a store, and what each costs at DynamoDB and KMS, counted on the servers.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock, type TestContext } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, quiet, startAws } from '../support/backends.ts';
import { type Answer, Browser } from '../support/browser.ts';
import { expressWith, type Framework, fastify, frameworks } from '../support/framework-apps.ts';
import { turnKeys } from '../support/key-clock.ts';
import { calls, traced } from '../support/outcomes.ts';

const NOW = Date.UTC(2030, 0, 1) + 250;
const HOUR = 3_600_000;

const GET = 'dynamodb:GetItem';
const PUT = 'dynamodb:PutItem';
const UPDATE = 'dynamodb:UpdateItem';
const DELETE = 'dynamodb:DeleteItem';
const NEW_KEY = 'kms:GenerateDataKey';
const UNWRAP = 'kms:Decrypt';

/** One request of a user who is signed in. */
interface Step {
  send(browser: Browser): Promise<Answer>;
  /** Seconds since the login, which is a write. Default 0. */
  after?: number;
  /** The calls of the store's methods, in their order. */
  methods: string;
  cost: Record<string, number>;
}

/** Out of the way: the check, once a minute, whether KMS still lets this process use its keys. */
/** The windows below are of a minute. */
const MINUTE = { touchAfter: 60 };
const UNCHECKED = { ...MINUTE, keyCache: { revocationCheckSeconds: 1_000_000 } };

const me = (browser: Browser) => browser.get('/me');

/** What both frameworks do alike; `end` is the call with which they end a request that changed nothing. */
function common(end: 'set' | 'touch'): Record<string, Step> {
  return {
    'a request that changes nothing': { send: me, methods: `get, ${end}`, cost: { [GET]: 1 } },
    'a request that changes nothing, 59 seconds after the last write': {
      send: me,
      after: 59,
      methods: `get, ${end}`,
      cost: { [GET]: 1 },
    },
    'a request that changes nothing, 60 seconds after the last write': {
      send: me,
      after: 60,
      methods: `get, ${end}`,
      cost: { [GET]: 1, [UPDATE]: 1 },
    },
    'a request that changes the session': {
      send: (browser) => browser.post('/visit'),
      methods: 'get, set',
      cost: { [GET]: 1, [PUT]: 1 },
    },
    'a request that changes the session, much later': {
      send: (browser) => browser.post('/visit'),
      after: 1800,
      methods: 'get, set',
      cost: { [GET]: 1, [PUT]: 1 },
    },
    // The handler itself reads the session in between.
    'a request that saves in the middle and changes it again': {
      send: (browser) => browser.post('/save'),
      methods: 'get, set, get, set',
      cost: { [GET]: 2, [PUT]: 2 },
    },
    'a logout': { send: (browser) => browser.post('/logout'), methods: 'get, destroy', cost: { [GET]: 1, [DELETE]: 1 } },
  };
}

const ofFastify: Record<string, Step> = {
  ...common('set'),
  'a request that saves in the middle': {
    send: (browser) => browser.post('/save-alone'),
    methods: 'get, set, set',
    cost: { [GET]: 1, [PUT]: 1 },
  },
  'a reload': { send: (browser) => browser.post('/reload'), methods: 'get, get, set', cost: { [GET]: 2 } },
  'a regenerate': {
    send: (browser) => browser.post('/regenerate'),
    methods: 'get, destroy, set, set',
    cost: { [GET]: 1, [DELETE]: 1, [PUT]: 1, [NEW_KEY]: 1 },
  },
  'a changed maxAge': {
    send: (browser) => browser.post(`/max-age/${2 * HOUR}`),
    methods: 'get, set',
    cost: { [GET]: 1, [PUT]: 1 },
  },
};

function ofExpress(resave: boolean): Record<string, Step> {
  const steps: Record<string, Step> = {
    ...common(resave ? 'set' : 'touch'),
    'a reload': {
      send: (browser) => browser.post('/reload'),
      methods: `get, get, ${resave ? 'set' : 'touch'}`,
      cost: { [GET]: 2 },
    },
    'a regenerate': {
      send: (browser) => browser.post('/regenerate'),
      methods: 'get, destroy, set',
      cost: { [GET]: 1, [DELETE]: 1, [PUT]: 1, [NEW_KEY]: 1 },
    },
    // Express takes a session for saved if nothing but its cookie has changed since.
    'a request that saves in the middle': {
      send: (browser) => browser.post('/save-alone'),
      methods: 'get, set, touch',
      cost: { [GET]: 1, [PUT]: 1 },
    },
    'a changed maxAge with other changes': {
      send: (browser) => browser.post(`/max-age/${2 * HOUR}`),
      methods: 'get, set',
      cost: { [GET]: 1, [PUT]: 1 },
    },
  };
  return steps;
}

const steps = new Map<Framework, Record<string, Step>>(
  frameworks.map((framework) => [framework, framework === fastify ? ofFastify : ofExpress(framework.name.endsWith('true'))]),
);

for (const [framework, sequences] of steps) {
  describe(`the requests of ${framework.name}`, () => {
    let backend: AwsBackend;
    before(async () => {
      backend = await startAws();
    });
    after(() => backend.stop());
    beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
    afterEach(() => mock.timers.reset());

    async function served(t: TestContext, store: DynamoDBSessionStore, options?: object): Promise<Browser> {
      return new Browser((await framework.serve(t, store, options)).origin);
    }

    it('strangers cost nothing, with and without a cookie that is no session', async (t) => {
      const browser = await served(t, backend.store(MINUTE));
      assert.deepEqual(await calls(backend, () => browser.get('/nothing')), {});
      browser.cookies.set('gateway.sid', 'nonsense');
      assert.deepEqual(await calls(backend, () => browser.get('/me')), {});
    });

    it('a login makes a data key and writes the session once', async (t) => {
      const store = backend.store(MINUTE);
      const browser = await served(t, store);
      const trace = traced(store);
      assert.deepEqual(await calls(backend, () => browser.post('/login/ada')), { [NEW_KEY]: 1, [PUT]: 1 });
      assert.deepEqual(trace, ['set']);
      const put = (await backend.aws.requests()).find(({ action }) => action === PUT);
      assert.equal(put!.body.ConditionExpression, undefined); // a new session overwrites whatever has its id
    });

    for (const [name, { send, after: later = 0, methods, cost }] of Object.entries(sequences)) {
      it(`${name}: ${methods}; ${JSON.stringify(cost)}`, async (t) => {
        const store = backend.store(UNCHECKED);
        const browser = await served(t, store);
        await browser.post('/login/ada');
        mock.timers.tick(later * 1000);
        const trace = traced(store);
        const counted = await calls(backend, async () => {
          assert.equal((await send(browser)).status, 200);
        });
        assert.equal(trace.join(', '), methods);
        assert.deepEqual(counted, cost);
      });
    }

    it('every write but that of a new session is conditional', async (t) => {
      const store = backend.store(MINUTE);
      const browser = await served(t, store);
      await browser.post('/login/ada');
      await backend.aws.reset();
      await browser.post('/visit');
      await browser.post('/save');
      mock.timers.tick(60_000);
      await browser.get('/me');
      await quiet(store);
      const writes = (await backend.aws.requests()).filter(({ action }) => action === PUT || action === UPDATE);
      assert.equal(writes.length, 4);
      for (const { body } of writes) assert.match(body.ConditionExpression, /\S/);
    });

    it('200 requests that change nothing, in 50 seconds, cost 200 reads, one write and one call of KMS', async (t) => {
      const login = await served(t, backend.store(MINUTE));
      await login.post('/login/ada');
      mock.timers.tick(30_000);
      // Another process of the fleet, which has nothing in memory.
      const store = backend.store(MINUTE);
      const browser = await served(t, store, { rolling: true });
      for (const [name, value] of login.cookies) browser.cookies.set(name, value);
      const counted = await calls(backend, async () => {
        for (let request = 0; request < 200; request++) {
          mock.timers.tick(250);
          const { status, setCookie } = await browser.get('/me');
          assert.deepEqual([status, setCookie.length], [200, 1]);
        }
      });
      assert.deepEqual(counted, { [GET]: 200, [UPDATE]: 1, [UNWRAP]: 1 });
      const { written, extended, unchanged } = store.stats().sessions;
      assert.deepEqual([written, extended, unchanged], [0, 1, 199]);
    });

    it('in the process that has seen the login, they cost at most one check of the key a minute', async (t) => {
      const browser = await served(t, backend.store(MINUTE), { rolling: true });
      await browser.post('/login/ada');
      const counted = await calls(backend, async () => {
        for (let request = 0; request < 200; request++) {
          mock.timers.tick(500);
          turnKeys(0.4); // 80 seconds in all, and what the requests take themselves
          assert.equal((await browser.get('/me')).status, 200);
        }
      });
      assert.deepEqual(counted, { [GET]: 200, [UPDATE]: 1, [UNWRAP]: 1 });
    });

    it('200 requests that change nothing, at a time, cost no more', async (t) => {
      const login = await served(t, backend.store(MINUTE));
      await login.post('/login/ada');
      // Reads that arrive together would be fewer requests.
      const browser = await served(t, backend.store({ ...MINUTE, batchReads: false }), { rolling: true });
      for (const [name, value] of login.cookies) browser.cookies.set(name, value);
      const counted = await calls(backend, async () => {
        const answers = await Promise.all(Array.from({ length: 200 }, () => browser.get('/me')));
        for (const { status } of answers) assert.equal(status, 200);
      });
      assert.deepEqual(counted, { [GET]: 200, [UNWRAP]: 1 });
    });

    it('50 requests that change the session cost 50 reads and 50 writes, and nothing of KMS', async (t) => {
      const browser = await served(t, backend.store(MINUTE));
      await browser.post('/login/ada');
      const counted = await calls(backend, async () => {
        for (let visits = 1; visits <= 50; visits++) {
          mock.timers.tick(500);
          assert.deepEqual((await browser.post('/visit')).body, { visits });
        }
      });
      assert.deepEqual(counted, { [GET]: 50, [PUT]: 50 });
    });

    it('after a logout, the next request of the browser costs one read', async (t) => {
      const browser = await served(t, backend.store(MINUTE));
      await browser.post('/login/ada');
      await browser.post('/logout');
      const counted = await calls(backend, async () => {
        assert.equal((await browser.get('/me')).status, 401);
      });
      assert.deepEqual(counted, { [GET]: 1 });
    });

    it('a save that comes after a logout writes nothing', async (t) => {
      const store = backend.store({ prefix: 'late:' });
      const { origin, gate } = await framework.serve(t, store);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const request = browser.post('/slow/change');
      await gate.reached;
      await browser.post('/logout');
      const counted = await calls(backend, async () => {
        gate.open();
        assert.equal((await request).status, 200);
      });
      // Behind @fastify/session the id tells that it is gone; for the object that express-session holds, the table is asked, and asked again what it refused for.
      assert.deepEqual(counted, framework === fastify ? {} : { [NEW_KEY]: 1, [PUT]: 1, [GET]: 1 });
      assert.deepEqual(await store.ids(), []);
    });

    it('a change that meets a newer one is one refused write and one that is not', async (t) => {
      const { origin } = await framework.serve(t, backend.store(MINUTE));
      const slow = await framework.serve(t, backend.store(MINUTE));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const other = new Browser(slow.origin);
      for (const [name, value] of browser.cookies) other.cookies.set(name, value);
      const request = other.post('/slow/change');
      await slow.gate.reached;
      await browser.post('/visit');
      const counted = await calls(backend, async () => {
        slow.gate.open();
        assert.equal((await request).status, 200);
      });
      assert.deepEqual(counted, { [PUT]: 2 });
    });
  });
}

describe('the requests of Express that are its alone', () => {
  it('a session that does not roll and does not change is touched for all that, and costs a read', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const store = backend.store(MINUTE);
    const { origin } = await expressWith(false).serve(t, store, { rolling: false });
    const browser = new Browser(origin);
    await browser.post('/login/ada');
    const trace = traced(store);
    assert.deepEqual(await calls(backend, () => browser.get('/me')), { [GET]: 1 });
    assert.deepEqual(trace, ['get', 'touch']);
  });

  it('unset destroys the session with one call', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const store = backend.store(MINUTE);
    const { origin } = await expressWith(false).serve(t, store, { unset: 'destroy' });
    const browser = new Browser(origin);
    await browser.post('/login/ada');
    const trace = traced(store);
    assert.deepEqual(await calls(backend, () => browser.post('/unset')), { [GET]: 1, [DELETE]: 1 });
    assert.deepEqual(trace, ['get', 'destroy']);
  });
});

describe('the requests of Fastify that are its alone', () => {
  it('a session that does not roll and does not change is only read', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const store = backend.store(MINUTE);
    const { origin } = await fastify.serve(t, store, { rolling: false });
    const browser = new Browser(origin);
    await browser.post('/login/ada');
    const trace = traced(store);
    assert.deepEqual(await calls(backend, () => browser.get('/me')), { [GET]: 1 });
    assert.deepEqual(trace, ['get']);
  });

  it('a visitor who gets a session without changing it costs one write, and a read afterwards', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const { origin } = await fastify.serve(t, backend.store(MINUTE), { saveUninitialized: true });
    const browser = new Browser(origin);
    assert.deepEqual(await calls(backend, () => browser.get('/nothing')), { [NEW_KEY]: 1, [PUT]: 1 });
    assert.deepEqual(await calls(backend, () => browser.get('/nothing')), { [GET]: 1 });
  });
});
