// Sessions that a store knows again behind Fastify and Express: slow requests against logouts and newer changes.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock, type TestContext } from 'node:test';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { type Backend, backends, quiet } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import {
  earlierFastify,
  expressWith,
  type Framework,
  fastify,
  frameworks,
  type Served,
  type SlowRequest,
  sameBrowser,
  slowRequests,
} from '../support/framework-apps.ts';
import { outcomes } from '../support/outcomes.ts';

const NOW = Date.UTC(2030, 0, 1) + 250;
const HOUR = 3_600_000;
/** Longer than touchAfter: the end of a session that has not changed is worth a write. */
const BEYOND = 120_000;

interface Ending {
  end(scene: { browser: Browser; others: { store: ReturnType<Backend['store']> }; sid: string }): Promise<unknown>;
  /** How many sessions are there afterwards. */
  left: number;
}
/** How a login ends while the slow request is under way. */
const logouts: Record<string, Ending> = {
  logout: { end: async ({ browser }) => assert.equal((await browser.post('/logout')).status, 200), left: 0 },
  regenerate: { end: async ({ browser }) => assert.equal((await browser.post('/regenerate')).status, 200), left: 1 },
  take: { end: async ({ others, sid }) => assert.ok(await others.store.take(sid)), left: 0 },
};

for (const { name, start } of backends) {
  describe(`behind the frameworks on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
    afterEach(() => mock.timers.reset());

    interface Scene {
      /** The store and the application of the slow request, and those of all others. */
      slow: Served & { store: ReturnType<Backend['store']> };
      others: Served & { store: ReturnType<Backend['store']> };
      /** Signed in, at the other application. */
      browser: Browser;
      sid: string;
      /** Sends a request to the slow application, and resolves when it waits at the gate. */
      begin(path: string): Promise<{ end(): Promise<{ status: number; body: any }> }>;
    }

    /** A user is signed in; the applications are two processes of a fleet, or one. */
    async function scene(
      t: TestContext,
      { serve }: Framework,
      { apart, options, config }: { apart: boolean; options?: object; config?: SessionStoreConfig },
    ): Promise<Scene> {
      const prefix = `${++number}:`;
      async function application() {
        const store = backend.store({ prefix, ...config });
        return { store, ...(await serve(t, store, options)) };
      }
      const others = await application();
      const slow = apart ? await application() : others;
      const browser = new Browser(others.origin);
      await browser.post('/login/ada');
      const [sid] = await others.store.ids();
      mock.timers.tick(BEYOND); // @fastify/session takes the time of a session's end when a request begins
      async function begin(path: string) {
        const answer = sameBrowser(browser, slow.origin).post(path);
        await slow.gate.reached;
        return {
          async end() {
            slow.gate.open();
            const { status, body } = await answer;
            return { status, body };
          },
        };
      }
      return { slow, others, browser, sid: sid!, begin };
    }

    for (const framework of [...frameworks, earlierFastify]) {
      for (const apart of [false, true]) {
        const where = `${framework.name}, ${apart ? 'two stores' : 'one store'}`;

        for (const kind of Object.keys(slowRequests) as SlowRequest[]) {
          for (const [way, { end, left }] of Object.entries(logouts)) {
            it(`${where}: a slow request (${kind}) does not undo a ${way}`, async (t) => {
              const { slow, others, browser, sid, begin } = await scene(t, framework, { apart });
              const thief = sameBrowser(browser, slow.origin);
              const request = await begin(`/slow/${kind}`);
              await end({ browser, others, sid });
              await quiet(others.store); // until 11.1.1, it is this store that ends the session from before a regenerate
              mock.timers.tick(BEYOND);
              const settled = await outcomes(slow.store, async () => {
                assert.equal((await request.end()).status, 200);
              });
              const { gone = 0, unchanged, ...written } = settled;
              assert.deepEqual(written, {});
              // Fastify's session that was saved in the middle of the request has nothing more to save at its end.
              if (![fastify, earlierFastify].includes(framework) || kind !== 'changeAndSave')
                assert.ok(gone > 0, JSON.stringify(settled));
              assert.equal(await others.store.record(sid), null);
              assert.equal((await others.store.ids()).length, left);
              assert.equal((await thief.get('/me')).status, 401);
              assert.equal((await browser.get('/me')).status, left === 0 ? 401 : 200);
            });
          }
        }

        it(`${where}: with saveUninitialized, a logout holds as well, and who comes back is a stranger with another id`, async (t) => {
          const { slow, others, browser, sid, begin } = await scene(t, framework, {
            apart,
            options: { saveUninitialized: true },
          });
          const request = await begin('/slow/read');
          await browser.post('/logout');
          mock.timers.tick(BEYOND);
          assert.equal((await request.end()).status, 200);
          assert.equal(await slow.store.record(sid), null);
          assert.equal((await browser.get('/me')).status, 401);
          assert.equal(await slow.store.record(sid), null);
          const ids = await others.store.ids();
          assert.ok(ids.length >= 1 && !ids.includes(sid));
        });

        for (const [kind, newer] of Object.entries({ content: '/visit', 'content and cookie': '/note-and-max-age/7200000' })) {
          for (const slowly of ['read', 'saveUnchanged'] as const) {
            it(`${where}: a slow request (${slowly}) does not undo a newer change of the ${kind}`, async (t) => {
              const { slow, others, browser, sid, begin } = await scene(t, framework, { apart });
              const request = await begin(`/slow/${slowly}`);
              assert.equal((await browser.post(newer)).status, 200);
              const changed = (await others.store.record(sid))!;
              const session = (await others.store.get(sid))!;
              mock.timers.tick(BEYOND);
              const settled = await outcomes(slow.store, () => request.end());
              assert.equal(settled.written, undefined, JSON.stringify(settled));
              const still = (await others.store.record(sid))!;
              assert.equal(still.authTag, changed.authTag);
              const { cookie, ...rest } = session;
              const { cookie: _, ...after } = (await others.store.get(sid))!;
              assert.deepStrictEqual(after, rest);
              assert.equal((await browser.get('/me')).body.user, 'ada');
              assert.equal(slow.store.stats().sessions.conflicts, 0);
            });
          }
        }

        const kinds = { 'an end': {}, 'no end': { cookie: { secure: false, path: '/' } } };
        // Until 11.1.1, sessions of @fastify/session do not tell so many revisions apart (README).
        for (const [kind, options] of framework === earlierFastify ? [] : Object.entries(kinds)) {
          for (const slowly of ['read', 'saveUnchanged'] as const) {
            it(`${where}, cookies with ${kind}: a slow request (${slowly}) does not undo the last of many newer changes`, async (t) => {
              const { others, slow, browser, sid, begin } = await scene(t, framework, { apart, options });
              const request = await begin(`/slow/${slowly}`);
              // More than the store can tell apart by the end of the cookie.
              for (let visits = 1; visits <= 10; visits++) {
                mock.timers.tick(1000);
                await browser.post('/visit');
              }
              await browser.post('/note-and-same-site');
              const changed = (await others.store.record(sid))!;
              assert.equal((await slow.store.get(sid))!.note, 'the newer one'); // so that this store knows a later revision
              const settled = await outcomes(slow.store, () => request.end());
              assert.equal(settled.written, undefined, JSON.stringify(settled));
              assert.equal((await others.store.record(sid))!.authTag, changed.authTag);
              const { note, visits, cookie } = (await others.store.get(sid))!;
              assert.deepEqual([note, visits, cookie?.sameSite], ['the newer one', 10, 'strict']);
              assert.equal(slow.store.stats().sessions.conflicts, 0);
            });
          }
        }

        for (const [kind, newer] of Object.entries({
          'a newer request': (browser: Browser) => browser.get('/me'),
          'a newer lifetime': (browser: Browser) => browser.post('/note-and-max-age/7200000'),
        })) {
          it(`${where}: a slow request that changes nothing does not take back the end that ${kind} gave the session`, async (t) => {
            const { others, browser, sid, begin } = await scene(t, framework, { apart });
            const request = await begin('/slow/read');
            mock.timers.tick(BEYOND);
            assert.equal((await newer(browser)).status, 200);
            const { ttl } = (await others.store.record(sid))!;
            await request.end();
            assert.equal((await others.store.record(sid))!.ttl, ttl);
          });
        }

        it(`${where}: of two changes of one session, the later save is there, and the object stays known`, async (t) => {
          const { others, browser, sid, begin } = await scene(t, framework, { apart });
          const request = await begin('/slow/saveTwice');
          await browser.post('/visit');
          assert.equal((await request.end()).status, 200);
          assert.equal((await others.store.get(sid))!.note, 'of the slow request, again');
          const visits = (await browser.post('/visit')).body.visits;
          assert.equal((await others.store.get(sid))!.visits, visits);
        });
      }

      it(`${framework.name}: the session of a regenerate is a new one, and is known from then on`, async (t) => {
        const { others, browser, sid } = await scene(t, framework, { apart: false });
        const settled = await outcomes(others.store, () => browser.post('/regenerate'));
        assert.equal(settled.written, 1);
        assert.equal(settled.gone, undefined);
        const [after] = await others.store.ids();
        assert.notEqual(after, sid);
        assert.deepEqual(await outcomes(others.store, () => browser.get('/me')), { unchanged: 1 });
        await others.store.destroy(after!);
        assert.equal((await browser.get('/me')).status, 401);
      });

      it(`${framework.name}: the first save of a session is a new one also after a logout of the same browser`, async (t) => {
        const { others, browser, sid } = await scene(t, framework, { apart: false });
        await browser.post('/logout');
        assert.deepEqual(await outcomes(others.store, () => browser.post('/login/bob')), { written: 1 });
        assert.equal((await browser.get('/me')).body.user, 'bob');
        assert.ok(!(await others.store.ids()).includes(sid));
      });

      it(`${framework.name}: reads and unmodified saves leave the record as it was sealed`, async (t) => {
        const { others, browser, sid } = await scene(t, framework, { apart: false });
        const { ttl, ...sealed } = (await others.store.record(sid))!;
        const settled = await outcomes(others.store, async () => {
          for (let request = 1; request <= 10; request++) {
            mock.timers.tick(30_000);
            assert.equal((await browser.get('/me')).status, 200);
          }
        });
        assert.deepEqual(settled, { extended: 5, unchanged: 5 });
        const { ttl: moved, ...still } = (await others.store.record(sid))!;
        assert.deepEqual(still, sealed);
        assert.equal(moved, ttl + BEYOND / 1000 + 270); // of the ninth request
      });
    }

    for (const framework of [fastify, expressWith(true)]) {
      it(`${framework.name}: a changed maxAge of the cookie alone is saved`, async (t) => {
        const { others, browser, sid } = await scene(t, framework, { apart: false });
        for (const maxAge of [2 * HOUR, 600_000]) {
          assert.deepEqual(await outcomes(others.store, () => browser.post(`/max-age/${maxAge}`)), { written: 1 });
          assert.equal(Math.round((await others.store.get(sid))!.cookie!.originalMaxAge! / 1000), maxAge / 1000);
          assert.equal((await others.store.record(sid))!.ttl, Math.ceil((Date.now() + maxAge) / 1000));
          // Which holds for the requests that follow.
          assert.deepEqual(await outcomes(others.store, () => browser.get('/me')), { unchanged: 1 });
          assert.equal((await others.store.record(sid))!.ttl, Math.ceil((Date.now() + maxAge) / 1000));
        }
      });
    }

    for (const apart of [false, true]) {
      it(`Fastify, ${apart ? 'two stores' : 'one store'}: reload after a logout, and the save at the end, bring nothing back`, async (t) => {
        const { slow, others, browser, sid, begin } = await scene(t, fastify, { apart });
        const request = await begin('/slow-reload');
        await browser.post('/logout');
        mock.timers.tick(BEYOND);
        assert.deepEqual(await request.end(), { status: 200, body: {} });
        assert.equal(await others.store.record(sid), null);
        assert.equal((await sameBrowser(browser, slow.origin).get('/me')).status, 401);
      });
    }

    for (const onConflict of ['overwrite', 'error'] as const) {
      it(`Fastify, onConflict ${onConflict}: a session that one store gives is new to the other that it is saved in`, async (t) => {
        const [before, now] = [
          backend.store({ prefix: `${++number}:`, onConflict }),
          backend.store({ prefix: `${++number}:`, onConflict }),
        ];
        const moving = Object.assign(Object.create(now), {
          get: (sid: string, callback: any) =>
            now.get(sid, (error, session) => (error || session ? callback(error, session) : before.get(sid, callback))),
        });
        const old = await fastify.serve(t, before);
        const browser = new Browser(old.origin);
        await browser.post('/login/ada');
        const [sid] = await before.ids();
        const { origin } = await fastify.serve(t, moving);
        mock.timers.tick(BEYOND);
        assert.equal((await sameBrowser(browser, origin).get('/me')).body.user, 'ada');
        assert.equal((await now.get(sid!))?.user, 'ada');
      });
    }

    it('Fastify, until 11.1.1: a slow request that changes nothing does not undo the last of many newer changes of the content', async (t) => {
      const { others, slow, browser, sid, begin } = await scene(t, earlierFastify, { apart: false });
      const request = await begin('/slow/read');
      for (let visits = 1; visits <= 10; visits++) {
        mock.timers.tick(1000);
        await browser.post('/visit');
      }
      const { written, gone } = await outcomes(slow.store, () => request.end());
      assert.deepEqual([written, gone], [undefined, undefined]);
      assert.equal((await others.store.get(sid))!.visits, 10);
    });

    it('Fastify: the save of a session that did not change is answered before set returns', async (t) => {
      const { others, browser } = await scene(t, fastify, { apart: false });
      const { set } = others.store;
      const atOnce: boolean[] = [];
      others.store.set = ((sid: string, session: any, callback: (error?: unknown) => void) => {
        let returned = false;
        set(sid, session, (error) => {
          atOnce.push(!returned);
          callback(error);
        });
        returned = true;
      }) as typeof set;
      await browser.get('/me');
      await browser.post('/visit');
      assert.deepEqual(atOnce, [true, false]);
    });

    it('Fastify, until 11.1.1: a session that was never saved is replaced by regenerate, too', async (t) => {
      const { origin } = await earlierFastify.serve(t, backend.store({ prefix: `${++number}:` }));
      assert.equal((await new Browser(origin).post('/regenerate')).status, 200);
    });

    describe('with maxRecentSessions 2', () => {
      const config = { maxRecentSessions: 2, touchAfter: 0 };

      /** Reads as many other sessions as it takes for the store to forget one. */
      async function readOthers({ others }: Scene): Promise<void> {
        for (const user of ['bob', 'eve']) await new Browser(others.origin).post(`/login/${user}`);
      }

      it('Fastify: beyond that bound, a session that did not change is not written', async (t) => {
        const at = await scene(t, fastify, { apart: false, config });
        const { authTag } = (await at.others.store.record(at.sid))!;
        const request = await at.begin('/slow/read');
        await readOthers(at);
        assert.deepEqual(await outcomes(at.slow.store, () => request.end()), { extended: 1 });
        assert.equal((await at.others.store.record(at.sid))!.authTag, authTag);
      });

      it('Fastify: beyond that bound, a newer change holds', async (t) => {
        const at = await scene(t, fastify, { apart: false, config });
        const request = await at.begin('/slow/read');
        await at.browser.post('/visit');
        await readOthers(at);
        assert.deepEqual(await outcomes(at.slow.store, () => request.end()), { unchanged: 1 });
        assert.equal((await at.browser.get('/me')).body.visits, 1);
      });

      it('Fastify: beyond that bound, a logout holds', async (t) => {
        const at = await scene(t, fastify, { apart: false, config });
        const request = await at.begin('/slow/change');
        await at.browser.post('/logout');
        await readOthers(at);
        assert.deepEqual(await outcomes(at.slow.store, () => request.end()), { gone: 1 });
        assert.equal((await at.browser.get('/me')).status, 401);
      });

      it('Fastify, until 11.1.1: one more session between read and save than that, and the save is a full, unconditional one', async (t) => {
        const at = await scene(t, earlierFastify, { apart: false, config });
        const before = (await at.others.store.record(at.sid))!;
        const request = await at.begin('/slow/read');
        await readOthers(at);
        assert.deepEqual(await outcomes(at.slow.store, () => request.end()), { written: 1 });
        const after = (await at.others.store.record(at.sid))!;
        assert.notEqual(after.authTag, before.authTag);
        assert.equal((await at.browser.get('/me')).body.user, 'ada'); // nothing was wrongly left out
      });

      it('Fastify, until 11.1.1: beyond that bound, a slow request overwrites a newer change', async (t) => {
        const at = await scene(t, earlierFastify, { apart: false, config });
        const request = await at.begin('/slow/read');
        await at.browser.post('/visit');
        await readOthers(at);
        await request.end();
        assert.equal((await at.browser.get('/me')).body.visits, 0);
      });

      it('Fastify, until 11.1.1: beyond that bound, a slow request undoes a logout', async (t) => {
        const at = await scene(t, earlierFastify, { apart: false, config });
        const request = await at.begin('/slow/read');
        await at.browser.post('/logout');
        await readOthers(at);
        await request.end();
        assert.equal((await at.browser.get('/me')).status, 200);
      });

      for (const framework of [fastify, earlierFastify]) {
        it(`${framework.name}: within that bound, a newer change holds`, async (t) => {
          const at = await scene(t, framework, { apart: false, config });
          const request = await at.begin('/slow/read');
          await at.browser.post('/visit');
          await new Browser(at.others.origin).post('/login/bob');
          assert.deepEqual(await outcomes(at.slow.store, () => request.end()), { unchanged: 1 });
          assert.equal((await at.browser.get('/me')).body.visits, 1);
        });

        it(`${framework.name}: within that bound, a logout holds`, async (t) => {
          const at = await scene(t, framework, { apart: false, config });
          const request = await at.begin('/slow/change');
          await at.browser.post('/logout');
          await new Browser(at.others.origin).post('/login/bob');
          assert.deepEqual(await outcomes(at.slow.store, () => request.end()), { gone: 1 });
          assert.equal((await at.browser.get('/me')).status, 401);
        });

        it(`${framework.name}: destroy is remembered although the session itself was forgotten`, async (t) => {
          const at = await scene(t, framework, { apart: false, config });
          const request = await at.begin('/slow/change');
          await readOthers(at);
          await at.others.store.destroy(at.sid); // by an administrator, who has not read it
          assert.deepEqual(await outcomes(at.slow.store, () => request.end()), { gone: 1 });
          assert.equal(await at.others.store.record(at.sid), null);
        });

        it(`${framework.name}: the bound is on sessions, not on requests of one session`, async (t) => {
          const at = await scene(t, framework, { apart: false, config });
          const request = await at.begin('/slow/read');
          for (let visits = 1; visits <= 5; visits++) await at.browser.post('/visit');
          await request.end();
          assert.equal((await at.browser.get('/me')).body.visits, 5);
        });
      }

      for (const resave of [false, true]) {
        it(`Express with resave ${resave} needs no such memory`, async (t) => {
          const at = await scene(t, expressWith(resave), { apart: false, config });
          const request = await at.begin('/slow/read');
          await at.browser.post('/logout');
          await readOthers(at);
          mock.timers.tick(2000);
          assert.deepEqual(await outcomes(at.slow.store, () => request.end()), { gone: 1 });
          assert.equal((await at.browser.get('/me')).status, 401);
        });
      }

      it('a plain caller needs no such memory', async () => {
        const store = backend.store({ ...config, prefix: `${++number}:` });
        for (const sid of ['a', 'b', 'c', 'd']) await store.set(sid, { sid });
        const sessions: any[] = await Promise.all(['a', 'b', 'c', 'd'].map((sid) => store.get(sid)));
        await store.clear();
        for (const session of sessions) session.changed = true;
        const settled = await outcomes(store, () => Promise.all(sessions.map((session) => store.set(session.sid, session))));
        assert.deepEqual(settled, { gone: 4 });
        assert.equal(await store.length(), 0);
      });
    });
  });
}
