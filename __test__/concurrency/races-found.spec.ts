// Races that the interleavings of model.spec.ts have found, each made as small as it goes.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it, mock, type TestContext } from 'node:test';
import type { FastifySessionOptions } from '@fastify/session';
import type { DynamoDBSessionStore, SessionConflict } from 'connect-dynamodb-kms';
import type { FastifyRequest } from 'fastify';
import { type Backend, backends } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { fastifyApp, HOUR, listen } from '../support/fastify-app.ts';

const NOW = Date.UTC(2030, 0, 1) + 250;

/** A request that has its session, waits, and does something then. */
interface Slow {
  finish(work?: (request: FastifyRequest) => unknown): Promise<void>;
}

for (const { name, start } of backends) {
  describe(`races found on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
      await backend.store().length(); // the folder of the local mode stays open
    });
    after(() => backend.stop());
    beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW }));
    afterEach(() => mock.timers.reset());

    /** A user of a Fastify application, logged in. `slow` sends a request that waits. */
    async function gateway(t: TestContext, store: DynamoDBSessionStore, options: Partial<FastifySessionOptions> = {}) {
      const app = await fastifyApp(store, options);
      t.after(() => app.close());
      let arrived = (_finish: (work: (request: FastifyRequest) => unknown) => void) => {};
      app.get('/slow', async (request) => {
        const work = await new Promise<(request: FastifyRequest) => unknown>((resolve) => arrived(resolve));
        await work(request);
        return {};
      });
      const browser = new Browser(await listen(app));
      assert.equal((await browser.post('/login/ada')).status, 200);
      const { sid } = (await browser.get('/me')).body;
      async function slow(): Promise<Slow> {
        const waits = new Promise<(work: (request: FastifyRequest) => unknown) => void>((resolve) => {
          arrived = resolve;
        });
        const reply = browser.get('/slow');
        const finish = await waits;
        return {
          async finish(work = () => {}) {
            finish(work);
            assert.equal((await reply).status, 200);
          },
        };
      }
      return { browser, sid, slow };
    }

    /** Nobody has written the record since; local mode has removed it, or will soon. */
    async function assertEnded(store: DynamoDBSessionStore, sid: string, ended: unknown): Promise<void> {
      const record = await store.record(sid);
      if (record !== null || name !== 'local mode') assert.deepEqual(record, ended);
    }

    it('a Fastify request that changes nothing and outlives its session does not bring it back, though another one found it ended', async (t) => {
      const store = backend.store();
      const { browser, sid, slow } = await gateway(t, store);
      const request = await slow();
      mock.timers.setTime(NOW + HOUR + 1000);
      const ended = await store.record(sid);
      assert.equal(await store.get(sid), null);
      await request.finish();
      await assertEnded(store, sid, ended);
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('a Fastify request that saves in the middle, changes nothing, and outlives its session does not bring it back', async (t) => {
      const store = backend.store();
      const { browser, sid, slow } = await gateway(t, store);
      const request = await slow();
      mock.timers.setTime(NOW + HOUR + 1000);
      const ended = await store.record(sid);
      await request.finish(({ session }) => {
        session.touch();
        return session.save();
      });
      await assertEnded(store, sid, ended);
      assert.equal((await browser.get('/me')).status, 401);
    });

    it('what is saved twice and has not changed does not bring back a session that has ended', async () => {
      const store = backend.store({ ttlSeconds: 600 });
      await store.set('twice', { user: 'ada' });
      const held = await store.get('twice');
      mock.timers.setTime(NOW + 600_000);
      for (let time = 1; time <= 2; time++) {
        await store.set('twice', held!);
        assert.equal(await store.get('twice'), null, `after save ${time}`);
      }
    });

    it('a session that was destroyed and made again is not overwritten by what somebody still holds unchanged of the old one', async () => {
      const store = backend.store({ touchAfter: 0 });
      const cookie = { originalMaxAge: HOUR };
      await store.set('again', { cookie, user: 'ada' });
      const held = await store.get('again');
      await store.destroy('again');
      mock.timers.setTime(NOW + 60_000);
      await store.set('again', held!); // finds it gone
      await store.set('again', { cookie, user: 'bob' }); // a new one under the same id
      await store.set('again', held!);
      assert.deepStrictEqual(await store.get('again'), { cookie, user: 'bob' });
    });

    const cookies = {
      'a change that came with another lifetime of the cookie': undefined,
      'a change that gave a cookie without an end a lifetime': { cookie: { secure: false, path: '/' } },
    };
    for (const [change, options] of Object.entries(cookies)) {
      it(`a Fastify request that changes nothing does not undo ${change}`, async (t) => {
        const { browser, slow } = await gateway(t, backend.store(), options);
        const [unchanged, remembers] = [await slow(), await slow()];
        await remembers.finish(({ session }) => {
          session.note = 'remember me';
          session.cookie.maxAge = 30 * 24 * HOUR;
        });
        await unchanged.finish();
        assert.equal((await browser.get('/me')).body.note, 'remember me');
      });
    }

    it('a Fastify request that changes nothing does not undo update(), though somebody has changed the lifetime of the cookie', async (t) => {
      const store = backend.store();
      const { browser, sid, slow } = await gateway(t, store);
      const [unchanged, shortens] = [await slow(), await slow()];
      await shortens.finish(({ session }) => {
        session.cookie.maxAge = HOUR / 2;
      });
      await store.update(sid, (session) => Object.assign(session, { visits: session.visits + 1 }));
      await unchanged.finish();
      assert.equal((await browser.get('/me')).body.visits, 1);
    });

    it('no conflict is reported of a session that nobody has changed since it was read', async (t) => {
      const store = backend.store();
      const conflicts: SessionConflict[] = [];
      store.on('conflict', (conflict) => void conflicts.push(conflict));
      const { browser, slow } = await gateway(t, store);
      const early = await slow();
      let late: Slow | undefined;
      await early.finish(async ({ session }) => {
        session.note = 'saved in the middle';
        await session.save();
        assert.equal((await browser.post('/visit')).status, 200);
        late = await slow(); // has read what nobody changes from now on
      });
      await late!.finish(({ session }) => {
        session.note = 'the newest';
      });
      assert.equal((await browser.get('/me')).body.note, 'the newest');
      assert.deepEqual([conflicts, store.stats().sessions.conflicts], [[], 0]);
    });

    it('a save of an unchanged session that has ended does not bring it back, however short its life', async () => {
      for (const ttlSeconds of [1, 2, 3]) {
        const store = backend.store({ ttlSeconds });
        const sid = `short-${ttlSeconds}`;
        mock.timers.setTime(NOW);
        await store.set(sid, { user: 'ada' });
        const held = await store.get(sid);
        mock.timers.setTime(NOW + ttlSeconds * 1000);
        assert.equal(await store.get(sid), null);
        await store.set(sid, held!);
        assert.equal(await store.get(sid), null, `a lifetime of ${ttlSeconds} s`);
      }
    });
  });
}
