// Session ids that come again, and sessions that a login replaces: a new session is stored whatever its id, and an old one neither comes back nor stays.

import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { FastifySessionOptions } from '@fastify/session';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import type { FastifyInstance } from 'fastify';
import { type Backend, backends, quiet } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { fastifyApp, HOUR, listen } from '../support/fastify-app.ts';
import { Gate, sameBrowser } from '../support/framework-apps.ts';

const COOKIES = {
  'a cookie with an end': { secure: false, maxAge: HOUR, path: '/' },
  'a cookie that ends with the browser': { secure: false, path: '/' },
  'a cookie that ends on a day': { secure: false, expires: new Date(Date.UTC(2099, 0, 1)), path: '/' },
};

for (const { name, start } of backends) {
  describe(`ids that return on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    async function serve(
      t: TestContext,
      options: Partial<FastifySessionOptions>,
      routes: (app: FastifyInstance) => unknown = () => {},
    ) {
      const store = backend.store({ prefix: `${++number}:` });
      const app = await fastifyApp(store, options);
      await routes(app);
      t.after(() => app.close());
      return { store, browser: new Browser(await listen(app)) };
    }

    /** Who has the session of the id now. */
    const user = async (store: DynamoDBSessionStore, sid = 'device-1') => (await store.get(sid))?.user;

    const idGenerator = () => 'device-1';

    /** A request that changes the session is held until `finish`; meanwhile its user has logged out. */
    async function slowRequestAndLogout(t: TestContext, cookie: FastifySessionOptions['cookie']) {
      const gate = new Gate();
      const { store, browser } = await serve(t, { idGenerator, cookie }, (app) =>
        app.post('/slow', async (request) => {
          await gate.wait();
          request.session.note = 'of the slow request';
          return {};
        }),
      );
      await browser.post('/login/ada');
      const slow = sameBrowser(browser, browser.origin).post('/slow');
      await gate.reached;
      await browser.post('/logout');
      const finish = async () => {
        gate.open();
        await slow;
      };
      return { store, browser, finish };
    }

    for (const [kind, cookie] of Object.entries(COOKIES)) {
      it(`with ${kind}: who logs in again after a logout is logged in, with and without the old cookie`, async (t) => {
        const { store, browser } = await serve(t, { idGenerator, cookie });
        await browser.post('/login/ada');
        const old = sameBrowser(browser, browser.origin);
        for (const [next, as] of [
          [new Browser(browser.origin), 'bob'],
          [old, 'eve'],
        ] as const) {
          await browser.post('/logout');
          assert.equal(await user(store), undefined);
          assert.equal((await next.post(`/login/${as}`)).status, 200);
          assert.equal(await user(store), as);
          assert.equal((await next.get('/me')).body.user, as);
          for (const [name, value] of next.cookies) browser.cookies.set(name, value);
        }
      });

      it(`with ${kind}: who logs in again after another process has ended the session is logged in`, async (t) => {
        const { store, browser } = await serve(t, { idGenerator, cookie });
        await browser.post('/login/ada');
        const other = backend.store({ prefix: `${number}:` });
        await other.destroy('device-1');
        assert.equal((await browser.get('/me')).body.user, undefined);
        assert.equal((await browser.post('/login/bob')).status, 200);
        assert.equal(await user(store), 'bob');
        assert.equal(await user(other), 'bob');
      });

      it(`with ${kind}: regenerate gives a session of the same id`, async (t) => {
        const { store, browser } = await serve(t, { idGenerator, cookie });
        await browser.post('/login/ada');
        await browser.post('/visit');
        const { status, body } = await browser.post('/regenerate');
        assert.deepEqual([status, body], [200, { before: 'device-1', after: 'device-1' }]);
        assert.equal(await user(store), 'ada');
        assert.equal((await store.get('device-1'))!.visits, undefined);
      });

      it(`with ${kind}: a slow request that began before a logout does not bring its session back`, async (t) => {
        const { store, finish } = await slowRequestAndLogout(t, cookie);
        await finish();
        assert.equal(await store.get('device-1'), null);
      });

      it(`with ${kind}: a slow request that began before a logout writes nothing over the login that followed it`, async (t) => {
        const { store, browser, finish } = await slowRequestAndLogout(t, cookie);
        await new Browser(browser.origin).post('/login/bob');
        await finish();
        const session = await store.get('device-1');
        assert.deepEqual([session?.user, session?.note], ['bob', undefined]);
      });
    }

    for (const answer of ['send', 'redirect'] as const) {
      it(`a logout through the store holds, though its callback answers (${answer}) and so saves the session`, async (t) => {
        const { store, browser } = await serve(t, {}, (app) => {
          app.post('/out', (request, reply) => {
            request.session.visits = 7;
            request.sessionStore.destroy(request.session.sessionId, () => {
              if (answer === 'send') reply.send({});
              else reply.redirect('/');
            });
          });
        });
        await browser.post('/login/ada');
        const old = sameBrowser(browser, browser.origin);
        const { sid } = (await browser.get('/me')).body;
        await browser.post('/out');
        assert.equal(await store.get(sid), null);
        assert.equal((await old.get('/me')).status, 401);
      });
    }

    it('a session that another one is saved beside, in the same request, stays', async (t) => {
      const { store, browser } = await serve(t, {}, (app) =>
        app.post('/beside', async (request) => {
          const guest = request.session;
          guest.note = 'of the guest';
          const { token } = request.query as { token: string };
          await new Promise<void>((resolve) => (app as any).decryptSession(token, request, resolve));
          await guest.save();
          return { guest: guest.sessionId, sid: request.session.sessionId };
        }),
      );
      await browser.post('/login/ada');
      const token = encodeURIComponent(decodeURIComponent([...browser.cookies.values()][0]!));
      const { body } = await new Browser(browser.origin).post(`/beside?token=${token}`);
      assert.notEqual(body.guest, body.sid);
      assert.equal(await user(store, body.sid), 'ada');
      assert.equal((await store.get(body.guest))!.note, 'of the guest');
    });

    it('a session that a login has replaced ends, also where regenerate leaves it (@fastify/session up to 11.1.1)', async (t) => {
      const { store, browser } = await serve(t, {}, (app) =>
        app.post('/old-regenerate', async (request) => {
          // As `regenerate` did until 11.1.1: it saved the new session while the request still had the old one, and destroyed nothing.
          const { session } = request;
          const Session = session.constructor as any;
          const inner = (name: string) =>
            (session as any)[Object.getOwnPropertySymbols(session).find(({ description }) => description === name)!];
          const made = new Session(store, request, inner('generateId'), inner('cookieOpts'), inner('cookieSignerKey'));
          made.user = 'after the login';
          await new Promise<void>((resolve, reject) =>
            store.set(made.sessionId, made, (error) => {
              request.session = made;
              if (error) reject(error);
              else resolve();
            }),
          );
          return { before: session.sessionId, after: made.sessionId };
        }),
      );
      await browser.post('/login/verifier');
      const { body } = await browser.post('/old-regenerate');
      assert.notEqual(body.before, body.after);
      await quiet(store);
      assert.equal(await store.get(body.before), null);
      assert.equal(await user(store, body.after), 'after the login');
      assert.deepEqual(await store.ids(), [body.after]);
    });
  });
}
