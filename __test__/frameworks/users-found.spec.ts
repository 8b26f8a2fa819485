// The option users, where applications keep their users in unusual ways or make a mistake with idOf.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import type { DynamoDBSessionStore, UsersOptions } from 'connect-dynamodb-kms';
import Fastify from 'fastify';
import { type Backend, backends, quiet, quietLogger } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { listen } from '../support/fastify-app.ts';
import { SECRET, type Served, serveExpress, serveFastify } from '../support/users-apps.ts';

const [{ default: Koa }, { default: koaSession }] = await Promise.all(
  ['koa', 'koa-generic-session'].map((name): Promise<any> => import(name)),
);

const HOUR = 3_600_000;

/** An id as databases give them: an object whose text and JSON are the id. */
class ObjectId {
  readonly #hex: string;
  constructor(hex: string) {
    this.#hex = hex;
  }
  toString() {
    return this.#hex;
  }
  toJSON() {
    return this.#hex;
  }
}

for (const { name, start } of backends) {
  describe(`users as applications have them, on ${name}`, () => {
    let backend: Backend;
    let served: Served[];
    const logger = quietLogger();
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    beforeEach(async () => {
      await backend.store().clear();
      logger.lines.length = 0;
      served = [];
    });
    afterEach(() => Promise.all(served.map(({ close }) => close())));

    const knowing = (idOf: UsersOptions['idOf']) =>
      backend.store({ recordVersion: 2, logger, users: { idOf, secret: 'a secret of the users' } });
    const keep = <S extends Served>(server: S): S => {
      served.push(server);
      return server;
    };
    async function express(store: DynamoDBSessionStore, options = {}): Promise<Browser> {
      return new Browser(keep(await serveExpress(store, options)).origin);
    }
    async function fastify(store: DynamoDBSessionStore, options = {}): Promise<Browser> {
      return new Browser(keep(await serveFastify(store, options)).origin);
    }

    const kept: Record<string, [serialize: (id: string) => unknown, idOf: UsersOptions['idOf']]> = {
      'a number': [Number, 'passport.user'],
      'an object with the id': [(id) => ({ id, name: 'Ada' }), 'passport.user.id'],
      'an ObjectId, by its text': [(id) => new ObjectId(id), (session) => session.passport?.user?.toString()],
    };
    for (const [what, [serialize, idOf]] of Object.entries(kept)) {
      it(`Passport may keep ${what}`, async () => {
        const store = knowing(idOf);
        const devices = [await express(store, { serialize }), await express(store, { serialize })];
        for (const device of devices) assert.equal((await device.post('/login/7')).status, 200);
        for (const device of devices) assert.equal((await device.post('/visit')).status, 200);
        assert.equal((await devices[0]!.get('/devices')).body.length, 2);
        assert.deepEqual((await devices[0]!.post('/password')).body, { ended: 1 });
        assert.deepEqual(await Promise.all(devices.map(async (device) => (await device.get('/me')).status)), [200, 401]);
        await devices[0]!.post('/passport-logout');
        await quiet(store);
        assert.deepEqual(await store.sessionsOf(7), []);
      });
    }

    it('a whole user or an ObjectId as the id fails at the first login, with what to write in the log', async () => {
      for (const serialize of [(id: string) => ({ id }), (id: string) => new ObjectId(id)]) {
        const store = knowing('passport.user');
        logger.lines.length = 0;
        const device = await express(store, { serialize });
        const { status, body } = await device.post('/login/7');
        assert.deepEqual([status, body.code], [500, 'ERR_CONFIG']);
        assert.doesNotMatch(body.message, /idOf|passport/);
        assert.match(logger.lines.join('\n'), /warn .*users\.idOf .*'passport\.user\.id'.*toString\(\)/s);
        assert.equal((await device.get('/me')).status, 401);
      }
    });

    it('an idOf that throws for anonymous sessions fails where those are saved, with what to write in the log', async () => {
      const store = knowing((session) => session.passport.user.toString());
      const visitor = await express(store);
      assert.equal((await visitor.get('/nothing')).status, 200, 'nothing is saved');
      assert.equal((await visitor.post('/login/7')).status, 200);
      const stranger = await express(store, { session: { saveUninitialized: true } });
      // express-session sends the headers before it saves.
      assert.equal((await stranger.get('/nothing')).status, 200);
      assert.match(
        logger.lines.join('\n'),
        /warn .*users\.idOf threw; it must give undefined for a session without a user.*'user\.id'/s,
      );
      assert.equal((await store.ids()).length, 1);
    });

    it('the text of a missing id is no id, so strangers are not all one user', async () => {
      for (const idOf of [(session: any) => `${session.userId}`, (session: any) => String(session.passport)]) {
        const store = knowing(idOf);
        const visitor = await fastify(store);
        const { status, body } = await visitor.post('/visit');
        assert.deepEqual([status, body.code], [500, 'ERR_CONFIG']);
        assert.match(logger.lines.join('\n'), /users\.idOf .*the text 'undefined'/);
        assert.deepEqual(await store.ids(), []);
      }
    });

    it('methods of a framework’s session are not there for sessionsOf, which says so', async () => {
      const store = knowing((session) => session.get('userId'));
      const device = await fastify(store);
      assert.equal((await device.post('/login/ada')).status, 200);
      assert.equal((await device.get('/devices')).status, 500);
      assert.match(logger.lines.join('\n'), /use properties alone, since sessionsOf and update give it plain objects/);
      assert.deepEqual((await device.post('/everywhere')).body, { ended: 1 });
    });

    it('with rolling: false on Fastify, a session from before the option joins once it is saved', async () => {
      const [earlier, store] = [backend.store({ recordVersion: 2 }), knowing('userId')];
      const old = await fastify(earlier);
      await old.post('/login/ada');
      const device = await fastify(store, { session: { rolling: false } });
      for (const [name, value] of old.cookies) device.cookies.set(name, value);
      assert.equal((await device.get('/me')).status, 200);
      await quiet(store);
      assert.deepEqual(await store.sessionsOf('ada'), [], 'the framework saves nothing');
      const app = Fastify();
      await app.register(fastifyCookie);
      await app.register(fastifySession, {
        store,
        secret: SECRET,
        cookieName: 'gateway.sid',
        cookie: { secure: false },
        rolling: false,
      });
      app.get('/', async (request) => {
        await request.session.save();
        return {};
      });
      keep({ origin: '', close: () => app.close() });
      device.origin = await listen(app);
      assert.equal((await device.get('/')).status, 200);
      assert.equal((await store.sessionsOf('ada')).length, 1);
    });

    for (const [framework, idOf, serve] of [
      ['Express', 'passport.user', express],
      ['Fastify', 'userId', fastify],
    ] as const) {
      it(`the end of a session minus its lifetime is when it was last seen, on ${framework}`, async () => {
        const store = backend.store({ recordVersion: 2, touchAfter: 0, users: { idOf, secret: 'a secret of the users' } });
        const lastSeen = async () => {
          await quiet(store);
          const [{ cookie }] = await store.sessionsOf('ada');
          return new Date(cookie!.expires!).getTime() - cookie!.originalMaxAge!;
        };
        const device = await serve(store);
        await device.post('/login/ada');
        const login = await lastSeen();
        let seen = login;
        let asked = 0;
        while (seen === login) {
          asked = Date.now();
          await device.get('/nothing');
          seen = await lastSeen();
        }
        assert.ok(seen > login && Math.abs(seen - asked) <= 2000, `${seen} is not ${asked}`);
      });
    }

    it('koa-generic-session lists, switches and ends its sessions', async () => {
      const app = new Koa();
      const store = backend.store({
        users: { idOf: 'user.id', secret: 'a secret of the users' },
        ttlSeconds: ({ cookie }) => (cookie?.maxAge ?? 86_400_000) / 1000,
      });
      app.keys = [SECRET];
      app.use(koaSession({ store, cookie: { maxAge: HOUR } }));
      app.use(async (context: any) => {
        const [, path, id] = context.path.split('/');
        context.body = {};
        if (path === 'login') {
          await context.regenerateSession();
          context.session.user = { id };
        }
        if (path === 'switch') context.session.user = { id };
        if (path === 'visit') context.session.visits = (context.session.visits ?? 0) + 1;
        if (path === 'logout') context.session = null;
        const except = `koa:sess:${context.sessionId}`; // the id that the middleware gives the store
        if (path === 'everywhere') context.body = { ended: await store.destroyAllOf(context.session.user.id, { except }) };
        if (path === 'me') context.status = context.session?.user ? 200 : 401;
      });
      const server = createServer(app.callback()).listen(0, '127.0.0.1');
      await once(server, 'listening');
      keep({ origin: '', close: async () => void server.close() });
      const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const [one, two, stranger] = Array.from({ length: 3 }, () => new Browser(origin));
      await stranger!.post('/visit');
      for (const device of [one!, two!]) assert.equal((await device.post('/login/ada')).status, 200);
      await one!.post('/visit');
      assert.equal((await store.sessionsOf('ada')).length, 2);
      await two!.post('/switch/bob');
      assert.deepEqual([(await store.sessionsOf('ada')).length, (await store.sessionsOf('bob')).length], [1, 1]);
      await two!.post('/switch/ada');
      assert.deepEqual((await one!.post('/everywhere')).body, { ended: 1 });
      assert.deepEqual(
        await Promise.all([one!, two!, stranger!].map(async (device) => (await device.get('/me')).status)),
        [200, 401, 401],
      );
      await one!.post('/logout');
      assert.deepEqual(await store.sessionsOf('ada'), []);
    });
  });
}
