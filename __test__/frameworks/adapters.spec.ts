// Session plugins with a store interface of their own: @mgcrea/fastify-session through the adapter of docs/other-frameworks.md, koa-generic-session as it is.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, mock, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fastifyCookie from '@fastify/cookie';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { type Backend, backends, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { mgcreaStore } from '../support/mgcrea-adapter.ts';

// Without their types: those of @mgcrea/fastify-session declare another `request.session` for the whole program, those of Koa are packages
// of their own.
const [{ default: mgcreaSession }, { default: Koa }, { default: koaSession }] = await Promise.all(
  ['@mgcrea/fastify-session', 'koa', 'koa-generic-session'].map((name): Promise<any> => import(name)),
);

const HOUR = 3_600_000;
const SECRET = 'the secret that signs the cookies of the tests';
const START = Date.UTC(2030, 0, 1);

/** Stops the clock; gives what turns it on. */
function stoppedClock(t: TestContext): (hours: number) => void {
  mock.timers.enable({ apis: ['Date'], now: START });
  t.after(() => mock.timers.reset());
  return (hours) => mock.timers.setTime(START + Math.round(hours * HOUR));
}

/** When the table may delete a session that ends some hours after the clock was stopped. */
const ttl = (hours: number) => Math.round((START + hours * HOUR) / 1000);

async function started(t: TestContext, start: () => Promise<Backend>): Promise<Backend> {
  const backend = await start();
  t.after(() => backend.stop());
  return backend;
}

/** A request that waits in the middle until the test lets it go on. */
class Gate extends EventEmitter {
  async pass(): Promise<void> {
    const opened = once(this, 'open');
    this.emit('reached');
    await opened;
  }
}

/** What the plugin puts on the request. */
const sessionOf = (request: FastifyRequest) => request.session as any;

function fastifyApp(store: DynamoDBSessionStore, gate: Gate, cookie: { maxAge?: number }): FastifyInstance {
  const app = Fastify();
  app.register(fastifyCookie);
  app.register(mgcreaSession, { secret: SECRET, store: mgcreaStore(store), saveUninitialized: false, cookie });
  app.post<{ Params: { user: string } }>('/login/:user', async (request) => {
    sessionOf(request).set('user', request.params.user);
    return {};
  });
  app.post('/remember', async (request) => {
    const session = sessionOf(request);
    session.setOptions({ maxAge: (10 * HOUR) / 1000 });
    await session.touch();
    session.set('user', 'ada');
    return {};
  });
  app.get('/me', async (request, reply) => {
    const { data } = sessionOf(request);
    return data['user'] ? data : reply.code(401).send({});
  });
  const visit = async (request: FastifyRequest) => {
    const session = sessionOf(request);
    session.set('visits', (session.get('visits') ?? 0) + 1);
    return {};
  };
  app.post('/visit', visit);
  app.post('/slow-visit', async (request) => {
    await gate.pass();
    return visit(request);
  });
  app.post('/logout', async (request) => {
    await sessionOf(request).destroy();
    return {};
  });
  return app;
}

for (const { name, start } of backends) {
  describe(`@mgcrea/fastify-session on ${name}`, () => {
    /** Starts the application. One at a time: the plugin keeps its store in a static property. */
    async function serve(t: TestContext, backend: Backend, cookie: { maxAge?: number } = { maxAge: HOUR / 1000 }) {
      const [store, gate] = [backend.store(), new Gate()];
      const app = fastifyApp(store, gate, cookie);
      t.after(() => app.close());
      return { store, app, gate, origin: await app.listen({ host: '127.0.0.1', port: 0 }) };
    }

    it('a login lasts from request to request, and so does what they change', async (t) => {
      const { origin, store } = await serve(t, await started(t, start));
      const [browser, visitor] = [new Browser(origin), new Browser(origin)];
      await browser.post('/login/ada');
      for (let visit = 0; visit < 3; visit++) assert.equal((await browser.post('/visit')).status, 200);
      assert.deepEqual((await browser.get('/me')).body, { user: 'ada', visits: 3 });
      assert.equal((await visitor.get('/me')).status, 401);
      assert.equal(await store.length(), 1);
    });

    it('a logout ends the login for everybody who has the cookie', async (t) => {
      const { origin, store } = await serve(t, await started(t, start));
      const [browser, thief] = [new Browser(origin), new Browser(origin)];
      await browser.post('/login/ada');
      for (const [key, value] of browser.cookies) thief.cookies.set(key, value);
      assert.equal((await thief.get('/me')).status, 200);
      await browser.post('/logout');
      assert.equal(browser.cookies.size, 0);
      assert.equal((await thief.get('/me')).status, 401);
      assert.deepEqual(await store.ids(), []);
    });

    it('a session that is logged out while a request still works on it stays logged out', async (t) => {
      const { origin, store, gate } = await serve(t, await started(t, start));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const cookies = new Map(browser.cookies);
      const reached = once(gate, 'reached');
      const slow = browser.post('/slow-visit');
      await reached;
      await browser.post('/logout');
      gate.emit('open');
      assert.equal((await slow).status, 200);
      assert.deepEqual(await store.ids(), []);
      for (const [key, value] of cookies) browser.cookies.set(key, value);
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('a session ends after its maxAge, and each request moves the end', async (t) => {
      const turnTo = stoppedClock(t);
      const { origin, store } = await serve(t, await started(t, start));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const [sid] = await store.ids();
      assert.equal((await store.record(sid!))!.ttl, ttl(1));
      for (const [hours, request] of [
        [0.9, () => browser.get('/me')],
        [1.8, () => browser.post('/visit')],
        [2.7, () => browser.get('/me')],
      ] as const) {
        turnTo(hours);
        assert.equal((await request()).status, 200);
        assert.equal((await store.record(sid!))!.ttl, ttl(hours + 1));
      }
      turnTo(3.71);
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('a session that asked for a longer life keeps it', async (t) => {
      const turnTo = stoppedClock(t);
      const { origin, store } = await serve(t, await started(t, start));
      const browser = new Browser(origin);
      await browser.post('/remember');
      const [sid] = await store.ids();
      for (const hours of [2, 8, 9.5]) {
        turnTo(hours);
        assert.equal((await browser.get('/me')).status, 200);
        assert.equal((await store.record(sid!))!.ttl, ttl(Math.max(10, hours + 1)));
      }
    });

    it('a session without maxAge ends after ttlSeconds without a request', async (t) => {
      const turnTo = stoppedClock(t);
      const { origin, store } = await serve(t, await started(t, start), {});
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const [sid] = await store.ids();
      turnTo(100);
      assert.equal((await browser.get('/me')).status, 200);
      assert.equal((await store.record(sid!))!.ttl, ttl(100 + 7 * 24));
      turnTo(101 + 7 * 24);
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('the login is there after a restart, with a new store and a new application', async (t) => {
      const backend = await started(t, start);
      const { origin, app, store } = await serve(t, backend);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      await browser.post('/visit');
      await app.close();
      await store.close();
      browser.origin = (await serve(t, backend)).origin;
      assert.deepEqual((await browser.get('/me')).body, { user: 'ada', visits: 1 });
    });

    it('a store that fails looks like a logout, which ends with the failure', async (t) => {
      const backend = await started(t, start);
      const { origin, app, store } = await serve(t, backend);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      await store.close();
      const { status, setCookie } = await browser.get('/me'); // the plugin takes every failure for a missing session
      assert.deepEqual([status, setCookie], [401, []]);
      assert.equal((await browser.post('/login/bob')).status, 500);
      await app.close();
      browser.origin = (await serve(t, backend)).origin;
      assert.deepEqual((await browser.get('/me')).body, { user: 'ada' });
    });
  });

  describe(`koa-generic-session on ${name}`, () => {
    /** The only thing to know: it names the end of a session `cookie.maxAge`, and one that is assigned anew has no cookie. */
    const config: SessionStoreConfig = { ttlSeconds: ({ cookie }) => (cookie?.maxAge ?? 86_400_000) / 1000 };

    async function serve(t: TestContext, backend: Backend, options: object = {}) {
      const [store, gate, app] = [backend.store(config), new Gate(), new Koa()];
      app.keys = [SECRET];
      app.silent = true;
      app.use(koaSession({ store, cookie: { maxAge: HOUR }, ...options }));
      app.use(async (context: any) => {
        const [, path, user] = context.path.split('/');
        context.body = {};
        if (path === 'login') {
          await context.regenerateSession();
          context.session.user = user;
        }
        if (path === 'assign') context.session = { user };
        if (path === 'slow-visit') await gate.pass();
        if (path?.endsWith('visit')) context.session.visits = (context.session.visits ?? 0) + 1;
        if (path === 'logout') context.session = null;
        if (path !== 'me') return;
        if (context.session.user) context.body = { user: context.session.user, visits: context.session.visits };
        else context.status = 401;
      });
      const server = createServer(app.callback());
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const close = () => new Promise((resolve) => void server.close(resolve).closeAllConnections());
      t.after(close);
      return { store, gate, close, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
    }

    it('a login lasts from request to request, and so does what they change', async (t) => {
      const { origin, store } = await serve(t, await started(t, start));
      const [browser, visitor] = [new Browser(origin), new Browser(origin)];
      await browser.post('/login/ada');
      for (let visit = 0; visit < 3; visit++) assert.equal((await browser.post('/visit')).status, 200);
      assert.deepEqual((await browser.get('/me')).body, { user: 'ada', visits: 3 });
      assert.equal((await visitor.get('/me')).status, 401);
      assert.equal(await store.length(), 1);
    });

    it('a session that the application assigns anew, without a cookie, is saved', async (t) => {
      const { origin, store } = await serve(t, await started(t, start));
      assert.equal((await new Browser(origin).post('/assign/ada')).status, 200);
      assert.deepEqual(
        (await store.all()).map(({ user }) => user),
        ['ada'],
      );
    });

    it('a new login moves to another id, and the old id is worth nothing', async (t) => {
      const { origin, store } = await serve(t, await started(t, start));
      const [browser, thief] = [new Browser(origin), new Browser(origin)];
      await browser.post('/login/ada');
      for (const [key, value] of browser.cookies) thief.cookies.set(key, value);
      assert.equal((await thief.get('/me')).status, 200);
      await browser.post('/login/bob');
      assert.deepEqual((await browser.get('/me')).body, { user: 'bob' });
      assert.equal((await thief.get('/me')).status, 401);
      assert.equal(await store.length(), 1);
    });

    it('a logout ends the login, also for a request that still works on it', async (t) => {
      const { origin, store, gate } = await serve(t, await started(t, start));
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      const cookies = new Map(browser.cookies);
      const reached = once(gate, 'reached');
      const slow = browser.post('/slow-visit');
      await reached;
      await browser.post('/logout');
      assert.deepEqual(await store.ids(), []);
      gate.emit('open');
      assert.equal((await slow).status, 200);
      assert.deepEqual(await store.ids(), []);
      for (const [key, value] of cookies) browser.cookies.set(key, value);
      assert.equal((await browser.get('/me')).status, 401);
    });

    for (const rolling of [false, true]) {
      it(`a session ends after its maxAge, and ${rolling ? 'each request' : 'each change'} moves the end`, async (t) => {
        const turnTo = stoppedClock(t);
        const { origin, store } = await serve(t, await started(t, start), { rolling });
        const browser = new Browser(origin);
        await browser.post('/login/ada');
        const [sid] = await store.ids();
        assert.equal((await store.record(sid!))!.ttl, ttl(1));
        turnTo(0.5);
        await browser.get('/me');
        assert.equal((await store.record(sid!))!.ttl, ttl(rolling ? 1.5 : 1));
        turnTo(0.9);
        await browser.post('/visit');
        assert.equal((await store.record(sid!))!.ttl, ttl(1.9));
        turnTo(1.91);
        assert.equal((await browser.get('/me')).status, 401);
      });
    }

    it('the login is there after a restart, with a new store and a new application', async (t) => {
      const backend = await started(t, start);
      const { origin, close, store } = await serve(t, backend);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      await browser.post('/visit');
      await close();
      await store.close();
      browser.origin = (await serve(t, backend)).origin;
      assert.deepEqual((await browser.get('/me')).body, { user: 'ada', visits: 1 });
    });

    it('a store that fails is a 500 and no logout', async (t) => {
      const backend = await started(t, start);
      const { origin, close, store } = await serve(t, backend);
      const browser = new Browser(origin);
      await browser.post('/login/ada');
      await store.close();
      const { status, setCookie } = await browser.get('/me');
      assert.deepEqual([status, setCookie], [500, []]);
      await close();
      browser.origin = (await serve(t, backend)).origin;
      assert.deepEqual((await browser.get('/me')).body, { user: 'ada' });
    });
  });
}

describe('the adapter for @mgcrea/fastify-session', () => {
  it('writes nothing for requests that change nothing, until the end needs to move', async (t) => {
    const turnTo = stoppedClock(t);
    const backend = await startAws();
    t.after(() => backend.stop());
    const app = fastifyApp(backend.store(), new Gate(), { maxAge: HOUR / 1000 });
    t.after(() => app.close());
    const browser = new Browser(await app.listen({ host: '127.0.0.1', port: 0 }));
    await browser.post('/login/ada');
    const sent = async () => Object.entries(await backend.aws.calls()).filter(([action]) => action.startsWith('dynamodb:'));
    await backend.aws.reset();
    for (let request = 0; request < 3; request++) await browser.get('/me');
    assert.deepEqual(await sent(), [['dynamodb:GetItem', 3]]);
    turnTo(0.1);
    for (let request = 0; request < 3; request++) await browser.get('/me');
    assert.deepEqual((await sent()).toSorted(), [
      ['dynamodb:GetItem', 6],
      ['dynamodb:UpdateItem', 1],
    ]);
  });

  it("fits the plugin's types", async (t) => {
    const here = fileURLToPath(new URL('..', import.meta.url));
    const folder = await mkdtemp(join(here, 'adapter-'));
    t.after(() => rm(folder, { recursive: true }));
    const program = `import type { FastifySessionOptions } from '@mgcrea/fastify-session';
      import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
      import { mgcreaStore } from '../support/mgcrea-adapter.ts';
      export const options: FastifySessionOptions = { store: mgcreaStore(new DynamoDBSessionStore()) };`;
    await writeFile(join(folder, 'program.ts'), program);
    const base = JSON.parse(await readFile(join(here, 'tsconfig.json'), 'utf8'));
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ ...base, include: ['*.ts'] }));
    const compiler = join(here, 'node_modules/typescript/bin/tsc');
    await promisify(execFile)(process.execPath, [compiler, '-p', folder]).catch((error) => assert.fail(error.stdout));
  });
});
