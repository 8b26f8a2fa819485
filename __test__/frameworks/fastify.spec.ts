import assert from 'node:assert/strict';
import { describe, it, mock, type TestContext } from 'node:test';
import type { FastifySessionOptions } from '@fastify/session';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import type { FastifyInstance } from 'fastify';
import { type Backend, backends, startAws } from '../support/backends.ts';
import { Browser, cookieExpires } from '../support/browser.ts';
import { COOKIE, fastifyApp, HOUR, listen } from '../support/fastify-app.ts';
import { itKeepsLogins } from '../support/logins.ts';
import { Program } from '../support/program.ts';

const TOKENS = { access_token: 'token-of-ada', expires_at: '2099-01-01T00:00:00.000Z' };

/** Starts the application on a store of its own. */
async function serve(t: TestContext, backend: Backend, options?: Partial<FastifySessionOptions>, config?: SessionStoreConfig) {
  const store = backend.store(config);
  const app: FastifyInstance = await fastifyApp(store, options);
  t.after(() => app.close());
  return { store, app, origin: await listen(app) };
}

for (const { name, start } of backends) {
  describe(`a Fastify application on ${name}`, () => {
    async function started(t: TestContext): Promise<Backend> {
      const backend = await start();
      t.after(() => backend.stop());
      return backend;
    }

    it('a login lasts from request to request', async (t) => {
      const { origin } = await serve(t, await started(t));
      const [browser, other] = [new Browser(origin), new Browser(origin)];
      assert.equal((await browser.get('/me')).status, 401);
      const { status, setCookie } = await browser.post('/login/ada');
      assert.equal(status, 200);
      assert.equal(setCookie.length, 1);
      assert.match(setCookie[0], /^gateway\.sid=.*HttpOnly/);
      const { body } = await browser.get('/me');
      assert.deepEqual([body.user, body.tokens, body.visits], ['ada', TOKENS, 0]);
      assert.equal((await other.get('/me')).status, 401);
    });

    it('what a request changes is there for the next one', async (t) => {
      const { origin } = await serve(t, await started(t));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      for (const visits of [1, 2, 3]) assert.deepEqual((await browser.post('/visit')).body, { visits });
      assert.equal((await browser.get('/me')).body.visits, 3);
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
      assert.equal(await store.length(), 1);
      await browser.get('/nothing');
      assert.equal(await store.length(), 1);
    });

    itKeepsLogins(async (t) => serve(t, await started(t)));

    it('a logout ends the login for everybody who has the cookie', async (t) => {
      const { origin, store } = await serve(t, await started(t));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      assert.deepEqual((await browser.post('/logout')).body, { session: null });
      assert.ok(browser.cookies.has(COOKIE)); // it does not depend on the browser to forget
      assert.equal((await browser.get('/me')).status, 401);
      assert.deepEqual(await store.ids(), []);
    });

    it('the login is there after a restart, with new stores and new applications', async (t) => {
      const backend = await started(t);
      const { origin, app, store } = await serve(t, backend);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      await browser.post('/visit');
      await app.close();
      await store.close();
      for (let restart = 0; restart < 2; restart++) {
        const again = await serve(t, backend);
        browser.origin = again.origin;
        const { body } = await browser.get('/me');
        assert.deepEqual([body.user, body.tokens, body.visits], ['ada', TOKENS, 1]);
        await again.app.close();
        await again.store.close();
      }
    });

    it('a rolling session lives on while it is used, and ends when it is not', async (t) => {
      const now = Date.UTC(2030, 0, 1) + 250;
      mock.timers.enable({ apis: ['Date'], now });
      t.after(() => mock.timers.reset());
      const { origin, store } = await serve(t, await started(t), { rolling: true });
      const browser = new Browser(origin);
      const login = await browser.post('/login/ada');
      assert.equal(cookieExpires(login.setCookie[0]), Math.floor((now + HOUR) / 1000) * 1000);
      const [sid] = await store.ids();
      assert.equal((await store.record(sid))!.ttl, Math.ceil((now + HOUR) / 1000));
      for (const hours of [0.9, 1.8, 2.7]) {
        mock.timers.setTime(now + hours * HOUR);
        const { status, setCookie } = await browser.get('/me');
        assert.equal(status, 200);
        assert.equal(cookieExpires(setCookie[0]), Math.floor((now + (hours + 1) * HOUR) / 1000) * 1000);
        assert.equal((await store.record(sid))!.ttl, Math.ceil((now + (hours + 1) * HOUR) / 1000));
      }
      // The last touch moved ttl to the end of a second, and that decides then.
      mock.timers.setTime(now + 3.7 * HOUR + 750);
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('a session that does not roll ends when its cookie does, used or not', async (t) => {
      const now = Date.UTC(2030, 0, 1) + 250;
      mock.timers.enable({ apis: ['Date'], now });
      t.after(() => mock.timers.reset());
      const { origin, store } = await serve(t, await started(t), { rolling: false });
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const [sid] = await store.ids();
      const record = await store.record(sid);
      mock.timers.setTime(now + HOUR - 1);
      const { status, setCookie } = await browser.get('/me');
      assert.deepEqual([status, setCookie], [200, []]);
      assert.deepEqual(await store.record(sid), record); // a request that changes nothing writes nothing
      mock.timers.setTime(now + HOUR);
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('a store that fails is a 500 and no logout', async (t) => {
      const backend = await started(t);
      const { origin, app, store } = await serve(t, backend);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const cookie = browser.cookies.get(COOKIE);
      await store.close();
      for (const answer of [await browser.get('/me'), await browser.post('/visit'), await browser.post('/logout')]) {
        assert.equal(answer.status, 500);
        assert.equal(answer.body.code, 'ERR_CLOSED');
        assert.deepEqual(answer.setCookie, []);
      }
      const stranger = new Browser(origin);
      assert.equal((await stranger.post('/login/bob')).status, 500); // the set at the end of the request
      assert.equal((await stranger.get('/nothing')).status, 200); // needs no session
      await app.close();
      browser.origin = (await serve(t, backend)).origin;
      assert.equal(browser.cookies.get(COOKIE), cookie);
      assert.equal((await browser.get('/me')).body.user, 'ada');
    });

    it('many browsers at a time each keep their own login', async (t) => {
      const { origin, store } = await serve(t, await started(t));
      const browsers = Array.from({ length: 30 }, () => new Browser(origin));
      await Promise.all(browsers.map((browser, number) => browser.post(`/login/user-${number}`)));
      const answers = await Promise.all(browsers.map((browser) => browser.get('/me')));
      for (const [number, { body }] of answers.entries()) {
        assert.deepEqual([body.user, body.tokens.access_token], [`user-${number}`, `token-of-user-${number}`]);
      }
      assert.equal(await store.length(), 30);
    });

    it('a gateway that is killed and started again knows its users', async (t) => {
      const backend = await started(t);
      const programs: Program[] = [];
      t.after(() => Promise.all(programs.map((program) => program.end('SIGKILL'))));
      async function gateway(): Promise<Program> {
        const program = new Program('gateway-program', backend.config);
        programs.push(program);
        browser.origin = await program.line();
        return program;
      }
      const browser = new Browser('');
      const first = await gateway();
      await browser.post('/login/ada');
      assert.equal((await first.end('SIGKILL')).signal, 'SIGKILL');
      const second = await gateway();
      assert.deepEqual((await browser.post('/visit')).body, { visits: 1 });
      assert.equal((await second.end('SIGKILL')).signal, 'SIGKILL');
      await gateway();
      const { body } = await browser.get('/me');
      assert.deepEqual([body.user, body.tokens, body.visits], ['ada', TOKENS, 1]);
    });
  });
}

describe('a Fastify application while AWS fails', () => {
  for (const action of ['dynamodb:GetItem', 'dynamodb:PutItem', 'kms:*']) {
    it(`${action}: requests that need it get a 500, and the login is there when it works again`, async (t) => {
      const backend = await startAws();
      t.after(() => backend.stop());
      const first = await serve(t, backend);
      const browser = new Browser(first.origin);
      await browser.post('/login/ada');
      // Another instance of the gateway, which has nothing in memory.
      const { origin, store } = await serve(t, backend);
      browser.origin = origin;
      const cookie = browser.cookies.get(COOKIE);
      await backend.aws.fault({ action, status: 400, code: 'AccessDeniedException', message: 'not now' });
      const answer = await browser.post('/visit');
      assert.equal(answer.status, 500);
      assert.equal(answer.body.code, 'ERR_ACCESS_DENIED');
      assert.deepEqual(answer.setCookie, []);
      await backend.aws.clearFaults();
      assert.equal(browser.cookies.get(COOKIE), cookie);
      assert.deepEqual((await browser.post('/visit')).body, { visits: 1 });
      assert.equal(await store.length(), 1);
    });
  }
});
