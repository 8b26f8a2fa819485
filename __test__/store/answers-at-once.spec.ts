// What need not wait is not waited for: a known session that did not change, or is gone, is answered before `set` or `touch` returns. Applications
// rest on it, since the frameworks' own memory stores do so.

import assert from 'node:assert/strict';
import { after, before, describe, it, mock, type TestContext } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, quietLogger, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { answered } from '../support/calls.ts';
import { expressApp, listen as listenExpress } from '../support/express-app.ts';
import { assertFailure } from '../support/failures.ts';
import { fastifyApp, listen } from '../support/fastify-app.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

const DAY = 24 * 3600 * 1000;
const ANSWER = [null, undefined];

/** A session with a cookie that ends in a day. */
function daySession(content: object = {}): any {
  return {
    cookie: { path: '/', originalMaxAge: DAY, expires: new Date(Date.now() + DAY).toISOString() },
    user: 'ada',
    ...content,
  };
}

/** Moves the end of a session's cookie to a day from now, as the frameworks do with every request. */
function roll(session: any): any {
  session.cookie.expires = new Date(Date.now() + DAY).toISOString();
  return session;
}

const saving = (store: DynamoDBSessionStore, sid: string, session: any) => answered((done) => store.set(sid, session, done));
const touching = (store: DynamoDBSessionStore, sid: string, session: any) => answered((done) => store.touch(sid, session, done));
const AT_ONCE = { answer: ANSWER, atOnce: true };
const LATER = { answer: ANSWER, atOnce: false };

function fakeDate(t: TestContext): { tick(milliseconds: number): void } {
  mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  t.after(() => mock.timers.reset());
  return { tick: (milliseconds) => mock.timers.tick(milliseconds) };
}

for (const { name, start } of backends) {
  describe(`answers at once on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    for (const [operation, call] of Object.entries({ set: saving, touch: touching })) {
      it(`${operation} of what get gave and what set saved is answered at once while it does not change`, async () => {
        const store = backend.store({ prefix: `${operation}:` });
        const saved = daySession();
        assert.deepEqual(await saving(store, 'sid', saved), LATER);
        assert.deepEqual(await call(store, 'sid', saved), AT_ONCE);
        const read = await store.get('sid');
        assert.deepEqual(await call(store, 'sid', read), AT_ONCE);
        assert.deepEqual(store.stats().sessions, { written: 1, extended: 0, unchanged: 2, gone: 0, taken: 0, conflicts: 0 });
      });

      it(`${operation} is answered at once when the end is due, and moves it in the background`, async (t) => {
        const time = fakeDate(t);
        const store = backend.store({ prefix: `${operation} due:`, touchAfter: 0 });
        await store.set('sid', daySession());
        const read = await store.get('sid');
        time.tick(10_000);
        assert.deepEqual(await call(store, 'sid', roll(read)), AT_ONCE);
        // A read waits for the move, which was asked for before it.
        assert.equal((await store.record('sid'))!.ttl, (Date.now() + DAY) / 1000);
        assert.equal(store.stats().sessions.extended, 1);
        assert.equal(store.stats().callsInFlight, 0);
      });

      it(`${operation} of an earlier end is answered when that is stored`, async (t) => {
        fakeDate(t);
        const store = backend.store({ prefix: `${operation} back:` });
        await store.set('sid', daySession());
        const session = (await store.get('sid'))!;
        session.cookie!.expires = new Date(Date.now() + 60_000).toISOString();
        assert.deepEqual(await call(store, 'sid', session), LATER);
        assert.equal((await store.record('sid'))!.ttl, (Date.now() + 60_000) / 1000);
      });

      it(`${operation} of a session that is known to be gone is answered at once`, async () => {
        const store = backend.store({ prefix: `${operation} gone:` });
        const session = daySession();
        await store.set('sid', session);
        await store.destroy('sid');
        session.user = 'bob';
        await store.set('sid', session); // which finds that it is gone
        assert.deepEqual(await call(store, 'sid', session), AT_ONCE);
        assert.deepEqual(store.stats().sessions, { written: 1, extended: 0, unchanged: 0, gone: 2, taken: 0, conflicts: 0 });
        assert.equal(await store.get('sid'), null);
      });

      it(`${operation} of a changed cookie is answered when it is stored`, async () => {
        const store = backend.store({ prefix: `${operation} cookie:` });
        const session = daySession();
        await store.set('sid', session);
        session.cookie.path = '/app';
        assert.deepEqual(await call(store, 'sid', session), LATER);
        assert.equal((await store.get('sid'))!.cookie!.path, '/app');
      });

      it(`${operation} of a session to be sealed again is answered when it is`, async () => {
        const prefix = `${operation} version:`;
        const older = backend.store({ prefix, recordVersion: 1 });
        await older.set('sid', daySession());
        const store = backend.store({ prefix, recordVersion: 2 });
        const session = await store.get('sid');
        assert.deepEqual(await call(store, 'sid', session), LATER);
        assert.equal((await store.record('sid'))!.version, 2);
        assert.deepEqual(await call(store, 'sid', session), AT_ONCE);
      });
    }

    it('new and changed sessions are answered when they are stored', async () => {
      const store = backend.store({ prefix: 'changed:' });
      const session = daySession();
      assert.deepEqual(await saving(store, 'sid', session), LATER);
      session.user = 'bob';
      assert.deepEqual(await saving(store, 'sid', session), LATER);
      assert.equal((await store.get('sid'))!.user, 'bob');
      assert.deepEqual(await saving(store, 'sid', daySession({ user: 'eve' })), LATER);
    });

    it('a session that was changed back while its change is being saved is saved again', async () => {
      const store = backend.store({ prefix: 'back:' });
      const session = daySession();
      await store.set('sid', session);
      session.user = 'bob';
      const changed = saving(store, 'sid', session);
      session.user = 'ada';
      assert.deepEqual(await saving(store, 'sid', session), LATER);
      await changed;
      assert.equal((await store.get('sid'))!.user, 'ada');
    });

    it('a large session is compared on other threads, and answered later', async () => {
      const store = backend.store({ prefix: 'large:' });
      const session = daySession({ text: 'x'.repeat(100_000) });
      await store.set('sid', session);
      assert.deepEqual(await saving(store, 'sid', session), LATER);
      assert.equal(store.stats().sessions.unchanged, 1);
      assert.deepEqual(await touching(store, 'sid', session), AT_ONCE);
    });

    it('what a callback throws goes on to the caller, and it runs once', async () => {
      const store = backend.store({ prefix: 'throws:' });
      const session = daySession();
      await store.set('sid', session);
      let runs = 0;
      const thrown = new Error('of the callback');
      const call = () =>
        store.set('sid', session, () => {
          runs++;
          throw thrown;
        });
      assert.throws(call, (error) => error === thrown);
      await store.get('sid');
      assert.equal(runs, 1);
    });

    it('promises stay promises, and a closed store refuses later', async () => {
      const store = backend.store({ prefix: 'promise:' });
      const session = daySession();
      await store.set('sid', session);
      assert.equal(await store.set('sid', session), undefined);
      await store.close();
      const { answer, atOnce } = await saving(store, 'sid', session);
      assertFailure(answer[0], 'ERR_CLOSED');
      assert.equal(atOnce, false);
    });

    for (const saveUninitialized of [true, false]) {
      it(`Fastify has sent an unchanged session's reply when send returns; saveUninitialized ${saveUninitialized}`, async (t) => {
        const app = await fastifyApp(backend.store({ prefix: 'fastify:', touchAfter: 0 }), { saveUninitialized });
        const sent: boolean[] = [];
        app.get('/sent', (_request, reply) => {
          reply.send('sent');
          sent.push(reply.sent);
        });
        t.after(() => app.close());
        const browser = new Browser(await listen(app));
        await browser.post('/login/ada');
        for (let i = 0; i < 3; i++) assert.equal((await browser.get('/sent')).status, 200);
        assert.deepEqual(sent, [true, true, true]);
      });
    }

    for (const resave of [true, false]) {
      it(`Express has ended an unchanged session's response when end returns; resave ${resave}`, async (t) => {
        const app = expressApp(backend.store({ prefix: 'express:', touchAfter: 0 }), { resave });
        const ended: boolean[] = [];
        app.get('/ended', (_request, response) => {
          response.end('ended');
          ended.push(response.writableEnded);
        });
        const { origin, close } = await listenExpress(app);
        t.after(close);
        const browser = new Browser(origin);
        await browser.post('/login/ada');
        for (let i = 0; i < 3; i++) assert.equal((await browser.get('/ended')).body, 'ended');
        assert.deepEqual(ended, [true, true, true]);
      });
    }
  });
}

describe('the move of an end in the background', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  /** A store behind a proxy that can stop requests, and a session of it whose end is due. */
  async function dueSession(t: TestContext, prefix: string, options: object = {}) {
    const time = fakeDate(t);
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const logger = quietLogger();
    const store = backend.store({ prefix, touchAfter: 0, dynamodbEndpoint: proxy.url, logger, ...options });
    await store.set('sid', daySession());
    const session = (await store.get('sid'))!;
    time.tick(10_000);
    return { store, proxy, session: roll(session), logger };
  }

  it('is a call in flight, and close waits for it', async (t) => {
    const { store, proxy, session } = await dueSession(t, 'close:');
    const stopped = proxy.hold('UpdateItem', 'request');
    assert.deepEqual(await saving(store, 'sid', session), AT_ONCE);
    assert.equal(store.stats().callsInFlight, 1);
    let closed = false;
    const closing = store.close().then(() => {
      closed = true;
    });
    await stopped.reached;
    assert.equal(closed, false);
    stopped.pass();
    await closing;
    assert.equal(store.stats().sessions.extended, 1);
    assert.equal((await backend.store({ prefix: 'close:' }).record('sid'))!.ttl, (Date.now() + DAY) / 1000);
  });

  it('is sent before what is asked for later', async (t) => {
    const { store, proxy, session } = await dueSession(t, 'order:');
    const stopped = proxy.hold('UpdateItem', 'request');
    await saving(store, 'sid', session);
    await stopped.reached;
    const destroyed = store.destroy('sid');
    stopped.pass();
    await destroyed;
    assert.equal(await store.get('sid'), null);
    assert.equal(store.stats().sessions.extended, 1);
  });

  it('does not keep other requests of the session from being answered at once', async (t) => {
    const { store, proxy, session } = await dueSession(t, 'others:');
    const stopped = proxy.hold('UpdateItem', 'request');
    const other = roll(await store.get('sid'));
    assert.deepEqual(await saving(store, 'sid', session), AT_ONCE);
    await stopped.reached;
    assert.deepEqual(await saving(store, 'sid', other), AT_ONCE);
    stopped.pass();
    await store.close();
  });

  it('is left out while maxCallsInFlight calls wait', async (t) => {
    const { store, proxy, session } = await dueSession(t, 'full:', { maxCallsInFlight: 1 });
    const stopped = proxy.hold('GetItem', 'request');
    const reading = store.get('another');
    await stopped.reached;
    assert.deepEqual(await saving(store, 'sid', session), AT_ONCE);
    assert.equal(store.stats().callsInFlight, 1);
    assert.deepEqual(store.stats().sessions, { written: 1, extended: 0, unchanged: 1, gone: 0, taken: 0, conflicts: 0 });
    stopped.pass();
    await reading;
    assert.equal(store.stats().errors.ERR_OVERLOADED, undefined);
  });

  it('that fails is counted and logged once a minute, and is no failure of the request', async (t) => {
    const { store, session, logger } = await dueSession(t, 'fails:');
    await backend.aws.fault({ action: 'dynamodb:UpdateItem', status: 400, code: 'AccessDeniedException', times: 3 });
    for (let i = 0; i < 3; i++) assert.deepEqual(await saving(store, 'sid', session), AT_ONCE);
    await store.close();
    assert.deepEqual(store.stats().errors, { ERR_ACCESS_DENIED: 3 });
    const warnings = logger.lines.filter((line) => line.startsWith('warn'));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /touch after an answer of session [0-9a-f]{8} failed: ERR_ACCESS_DENIED/);
  });
});
