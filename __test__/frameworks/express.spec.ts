import assert from 'node:assert/strict';
import { describe, it, mock, type TestContext } from 'node:test';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import session, { type SessionOptions } from 'express-session';
import { type Backend, backends, startAws } from '../support/backends.ts';
import { Browser, cookieExpires } from '../support/browser.ts';
import { byCallback } from '../support/calls.ts';
import { COOKIE, expressApp, HOUR, listen } from '../support/express-app.ts';
import { itKeepsLogins } from '../support/logins.ts';

const TOKENS = { access_token: 'token-of-ada', expires_at: '2099-01-01T00:00:00.000Z' };
/** Not on a whole second, so that rounding shows. */
const NOW = Date.UTC(2030, 0, 1) + 250;

/** Starts the application on a store of its own. */
async function serve(t: TestContext, backend: Backend, options?: Partial<SessionOptions>, config?: SessionStoreConfig) {
  const store = backend.store(config);
  const { origin, close } = await listen(expressApp(store, options));
  t.after(close);
  return { store, origin, close };
}

function stopTheClock(t: TestContext): void {
  mock.timers.enable({ apis: ['Date'], now: NOW });
  t.after(() => mock.timers.reset());
}

for (const { name, start } of backends) {
  describe(`an Express application on ${name}`, () => {
    async function started(t: TestContext): Promise<Backend> {
      const backend = await start();
      t.after(() => backend.stop());
      return backend;
    }

    it('the store is a Store of express-session, and creates and loads its sessions', async (t) => {
      const { store, origin } = await serve(t, await started(t));
      assert.ok(store instanceof session.Store);
      assert.equal(typeof (store as any).generate, 'function');
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const [sid] = await store.ids();
      const [error, loaded] = await byCallback((callback) => store.load(sid, callback));
      assert.equal(error, null);
      assert.equal(loaded.user, 'ada');
      assert.ok(loaded.cookie instanceof session.Cookie);
      assert.ok(loaded.cookie.expires instanceof Date);
      assert.deepEqual(await byCallback((callback) => store.load('missing', callback)), []);
    });

    it('a login lasts from request to request', async (t) => {
      const { origin } = await serve(t, await started(t));
      const [browser, other] = [new Browser(origin), new Browser(origin)];
      assert.equal((await browser.get('/me')).status, 401);
      const { status, setCookie } = await browser.post('/login/ada');
      assert.equal(status, 200);
      assert.equal(setCookie.length, 1);
      const { body } = await browser.get('/me');
      assert.deepEqual([body.user, body.tokens, body.visits], ['ada', TOKENS, 0]);
      assert.equal((await other.get('/me')).status, 401);
    });

    it('what a request changes is there for the next one', async (t) => {
      for (const resave of [false, true]) {
        const { origin } = await serve(t, await started(t), { resave });
        const browser = new Browser(origin);
        await browser.post('/login/ada');
        for (const visits of [1, 2, 3]) assert.deepEqual((await browser.post('/visit')).body, { visits });
        assert.equal((await browser.get('/me')).body.visits, 3);
      }
    });

    it('visitors who do not log in leave nothing in the table', async (t) => {
      const { origin, store } = await serve(t, await started(t));
      const browser = new Browser(origin);
      for (const path of ['/me', '/nothing']) assert.deepEqual((await browser.get(path)).setCookie, []);
      assert.equal(await store.length(), 0);
      await browser.post('/login/ada');
      assert.equal(await store.length(), 1);
    });

    it('with saveUninitialized, every visitor gets a session', async (t) => {
      const { origin, store } = await serve(t, await started(t), { saveUninitialized: true });
      const browser = new Browser(origin);
      assert.equal((await browser.get('/nothing')).setCookie.length, 1);
      await browser.get('/nothing');
      assert.equal(await store.length(), 1);
    });

    it('with resave false, a request that changes nothing touches the session and writes nothing else', async (t) => {
      stopTheClock(t);
      const { origin, store } = await serve(t, await started(t), { resave: false });
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const [sid] = await store.ids();
      const { ttl, ...sealed } = (await store.record(sid))!;
      assert.equal(ttl, Math.ceil((NOW + HOUR) / 1000));
      mock.timers.tick(60_000);
      assert.equal((await browser.get('/me')).status, 200);
      const { ttl: moved, ...still } = (await store.record(sid))!;
      assert.equal(moved, ttl + 60);
      assert.deepEqual(still, sealed);
    });

    it('with resave true, a request that changes nothing moves the end and rewrites nothing', async (t) => {
      stopTheClock(t);
      const { origin, store } = await serve(t, await started(t), { resave: true });
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const [sid] = await store.ids();
      const before = (await store.record(sid))!;
      mock.timers.tick(60_000);
      assert.equal((await browser.get('/me')).body.user, 'ada');
      const after = (await store.record(sid))!;
      assert.deepEqual(after, { ...before, ttl: before.ttl + 60 });
      assert.equal((await browser.get('/me')).body.user, 'ada');
    });

    for (const resave of [false, true]) {
      it(`with resave ${resave}, a session lives on while it is used, and ends when it is not`, async (t) => {
        stopTheClock(t);
        const { origin } = await serve(t, await started(t), { resave });
        const browser = new Browser(origin);
        await browser.post('/login/ada');
        for (const hours of [0.9, 1.8, 2.7]) {
          mock.timers.setTime(NOW + hours * HOUR);
          assert.deepEqual([(await browser.get('/me')).status, hours], [200, hours]);
        }
        mock.timers.setTime(NOW + 3.7 * HOUR + 1000);
        assert.equal((await browser.get('/me')).status, 401);
      });
    }

    it('a rolling session renews the cookie with every answer, and only then', async (t) => {
      stopTheClock(t);
      const backend = await started(t);
      const rolling = await serve(t, backend, { rolling: true });
      const still = await serve(t, backend, { rolling: false });
      const browser = new Browser(rolling.origin);
      await browser.post('/login/ada');
      mock.timers.tick(60_000);
      const { setCookie } = await browser.get('/me');
      assert.equal(cookieExpires(setCookie[0]), Math.floor((NOW + 60_000 + HOUR) / 1000) * 1000);
      browser.origin = still.origin;
      assert.deepEqual((await browser.get('/me')).setCookie, []);
    });

    it('the cookie of a loaded session has a Date and the time that is left', async (t) => {
      stopTheClock(t);
      const { origin } = await serve(t, await started(t));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      mock.timers.tick(60_000);
      const expected = { isDate: true, expires: new Date(NOW + HOUR).toISOString(), maxAge: HOUR - 60_000, originalMaxAge: HOUR };
      assert.deepEqual((await browser.get('/cookie')).body, expected);
      // That request touched the session, so the next one finds its cookie moved, to the end of a second.
      const moved = Math.ceil((NOW + 60_000 + HOUR) / 1000) * 1000;
      const { body } = await browser.get('/cookie');
      assert.deepEqual(body, {
        isDate: true,
        expires: new Date(moved).toISOString(),
        maxAge: moved - Date.now(),
        originalMaxAge: HOUR,
      });
    });

    it('a changed maxAge of the cookie changes when the session ends', async (t) => {
      stopTheClock(t);
      const { origin, store } = await serve(t, await started(t));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const [sid] = await store.ids();
      const { setCookie } = await browser.post('/max-age/10000');
      assert.equal(cookieExpires(setCookie[0]), Math.floor((NOW + 10_000) / 1000) * 1000);
      assert.equal((await store.record(sid))!.ttl, Math.ceil((NOW + 10_000) / 1000));
      await browser.post(`/max-age/${30 * 24 * HOUR}`);
      assert.equal((await store.record(sid))!.ttl, Math.ceil((NOW + 30 * 24 * HOUR) / 1000)); // nothing else is configured
      await browser.post('/max-age/300');
      mock.timers.setTime(NOW + 299);
      assert.equal((await new Browser(origin).get('/me')).status, 401);
      assert.equal((await store.get(sid))!.user, 'ada');
      mock.timers.setTime(NOW + 300);
      assert.equal(await store.get(sid), null);
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('a cookie that ends with the browser leaves the end to ttlSeconds', async (t) => {
      stopTheClock(t);
      const { origin, store } = await serve(t, await started(t), { cookie: {} }, { ttlSeconds: 600 });
      const browser = new Browser(origin);
      const { setCookie } = await browser.post('/login/ada');
      assert.equal(cookieExpires(setCookie[0]), undefined);
      const [sid] = await store.ids();
      assert.equal((await store.record(sid))!.ttl, Math.floor(NOW / 1000) + 600);
      mock.timers.tick(300_000);
      assert.deepEqual((await browser.get('/cookie')).body, { isDate: false, expires: null, maxAge: null, originalMaxAge: null });
      assert.equal((await store.record(sid))!.ttl, Math.floor(NOW / 1000) + 900);
    });

    it('a session may be turned into one that ends with the browser', async (t) => {
      stopTheClock(t);
      const { origin, store } = await serve(t, await started(t));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      await browser.post('/browser-session');
      const [sid] = await store.ids();
      assert.equal((await store.record(sid))!.ttl, Math.floor(NOW / 1000) + 604_800);
      mock.timers.setTime(NOW + 2 * HOUR);
      assert.equal((await browser.get('/me')).body.note, 'until the browser ends');
    });

    itKeepsLogins(async (t) => serve(t, await started(t)));

    it('a logout ends the login for everybody who has the cookie', async (t) => {
      const { origin, store } = await serve(t, await started(t), { unset: 'destroy' });
      for (const way of ['/logout', '/unset']) {
        const browser = new Browser(origin);
        await browser.post('/login/ada');
        assert.equal((await browser.post(way)).status, 200);
        assert.ok(browser.cookies.has(COOKIE)); // it does not depend on the browser to forget
        assert.equal((await browser.get('/me')).status, 401);
        assert.deepEqual(await store.ids(), []);
      }
    });

    it('a logout without a callback removes the session as well', async (t) => {
      const { origin, store } = await serve(t, await started(t));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const { status, body } = await browser.post('/logout-without-callback');
      assert.equal(status, 200);
      // The answer does not wait for it.
      const deadline = Date.now() + 5000;
      while ((await store.record(body.sid)) !== null) assert.ok(Date.now() < deadline, 'the session is still there');
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('the login is there after a restart, with a new store and a new application', async (t) => {
      const backend = await started(t);
      const { origin, close, store } = await serve(t, backend);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      await browser.post('/visit');
      await close();
      await store.close();
      for (const resave of [false, true]) {
        const again = await serve(t, backend, { resave });
        browser.origin = again.origin;
        const { body } = await browser.get('/me');
        assert.deepEqual([body.user, body.tokens, body.visits], ['ada', TOKENS, 1]);
        await again.close();
        await again.store.close();
      }
    });

    it('a store that fails is a 500 and no logout', async (t) => {
      const backend = await started(t);
      const { origin, store } = await serve(t, backend);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const cookie = browser.cookies.get(COOKIE);
      await store.close();
      for (const answer of [await browser.get('/me'), await browser.post('/visit'), await browser.post('/logout')]) {
        assert.equal(answer.status, 500);
        assert.deepEqual(answer.body, { code: 'ERR_CLOSED' });
        assert.deepEqual(answer.setCookie, []);
      }
      browser.origin = (await serve(t, backend)).origin;
      assert.equal(browser.cookies.get(COOKIE), cookie);
      assert.equal((await browser.get('/me')).body.user, 'ada');
    });
  });
}

describe('an Express application on the wire', () => {
  it('a request that changes nothing is one read, and asks nothing of KMS', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const { origin } = await serve(t, backend);
    const browser = new Browser(origin);
    await browser.post('/login/ada');
    assert.deepEqual(await backend.aws.calls(), { 'kms:GenerateDataKey': 1, 'dynamodb:PutItem': 1 });
    await backend.aws.reset();
    await browser.get('/me');
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 1 });
  });

  it('requests during an outage of the table get a 500, and the login is there when it is over', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const { origin } = await serve(t, backend);
    const browser = new Browser(origin);
    await browser.post('/login/ada');
    await backend.aws.fault({ action: 'dynamodb:*', status: 400, code: 'AccessDeniedException', message: 'not now' });
    const { status, body, setCookie } = await browser.get('/me');
    assert.deepEqual([status, body, setCookie], [500, { code: 'ERR_ACCESS_DENIED' }, []]);
    await backend.aws.clearFaults();
    assert.equal((await browser.get('/me')).body.user, 'ada');
  });
});
