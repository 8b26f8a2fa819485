// update(request.session) in the handlers of both frameworks over HTTP, and the save at the end of the request, which must not undo it.

import assert from 'node:assert/strict';
import { describe, it, mock, type TestContext } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { cookieExpires } from '../support/browser.ts';
import { type EditingApp, type Framework, frameworks, login, type Work } from '../support/editing-apps.ts';
import { assertFailure } from '../support/failures.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2030, 0, 1);
const FRESH = { access_token: 'fresh', expires_at: '2098-01-01T00:00:00.000Z' };

/** What the gateway does when a provider has given it new tokens. */
const refresh = async (session: any) => {
  await null;
  session.tokens = FRESH;
};

const visit = (session: any) => {
  session.visits += 1;
};

/** The application on a store of its own, with a second store beside it: another instance. */
async function serve<B extends Backend>(
  t: TestContext,
  framework: Framework,
  start: () => Promise<B>,
  work: (store: DynamoDBSessionStore, other: DynamoDBSessionStore) => Record<string, Work>,
  options: SessionStoreConfig = {},
): Promise<{ backend: B; store: DynamoDBSessionStore; other: DynamoDBSessionStore; app: EditingApp }> {
  const backend = await start();
  t.after(() => backend.stop());
  const [store, other] = [backend.store(options), backend.store(options)];
  return { backend, store, other, app: await framework.start(t, store, work(store, other)) };
}

for (const framework of frameworks) {
  for (const { name, start } of backends) {
    describe(`update in a handler behind ${framework.name} on ${name}`, () => {
      for (const onConflict of ['overwrite', 'error', 'drop'] as const) {
        for (const recordVersion of [1, 2] as const) {
          it(`is there after the request, in the handler at once, and no conflict; '${onConflict}', version ${recordVersion}`, async (t) => {
            const work = (store: DynamoDBSessionStore) => ({
              refresh: async (session: any) => {
                const updated = await store.update(session, refresh);
                return { updated: updated!.tokens, held: session.tokens, user: session.user };
              },
            });
            const { store, other, app } = await serve(t, framework, start, work, { onConflict, recordVersion });
            const [browser] = await login(app);
            const { status, body } = await browser.post('/work/refresh');
            assert.deepEqual([status, body.result], [200, { updated: FRESH, held: FRESH, user: 'ada' }], body.code);
            const [sid] = await store.ids();
            const stored = (await other.get(sid))!;
            assert.deepEqual([stored.user, stored.tokens, stored.visits], ['ada', FRESH, 0]);
            assert.deepEqual((await browser.post('/visit')).body, { visits: 1 });
            assert.deepEqual((await browser.get('/me')).body.tokens, FRESH);
            assert.equal(store.stats().sessions.conflicts, 0);
            assert.deepEqual(app.lateErrors, []);
          });
        }
      }

      it('brings what others have changed since the request began, and the end of the request undoes none of it', async (t) => {
        const { store, other, app } = await serve(t, framework, start, (store, other) => ({
          refresh: async (session, sid) => {
            await other.update(sid, (theirs) => {
              theirs.note = 'theirs';
              delete theirs.visits;
            });
            await store.update(session, refresh);
            return [session.note, 'visits' in session];
          },
        }));
        const [browser] = await login(app);
        assert.deepEqual((await browser.post('/work/refresh')).body.result, ['theirs', false]);
        const [sid] = await store.ids();
        const { tokens, note, visits } = (await other.get(sid))!;
        assert.deepEqual([tokens, note, visits], [FRESH, 'theirs', undefined]);
      });

      it('by id, from elsewhere, is not undone by a request that changes nothing', async (t) => {
        const { store, other, app } = await serve(t, framework, start, (store, other) => ({
          // Through another instance and through this one: the request's own session is not refreshed by either.
          other: async (_session, sid) => void (await other.update(sid, refresh)),
          same: async (_session, sid) => void (await store.update(sid, (session) => ({ ...session, note: 'x' }))),
        }));
        const [browser] = await login(app);
        await browser.post('/work/other');
        await browser.post('/work/same');
        const [sid] = await store.ids();
        const { tokens, note } = (await other.get(sid))!;
        assert.deepEqual([tokens, note], [FRESH, 'x']);
      });

      it('can be repeated in one request, with a change of the session in between that is saved by hand', async (t) => {
        const { store, app } = await serve(t, framework, start, (store) => ({
          twice: async (session) => {
            for (const visits of [1, 2]) {
              await store.update(session, visit);
              assert.equal(session.visits, visits);
            }
            session.note = 'by hand';
            await new Promise<void>((resolve, reject) => {
              session.save((error: any) => (error ? reject(error) : resolve()));
            });
            await store.update(session, visit);
            session.note += ', at the end';
            return session.visits;
          },
        }));
        const [browser] = await login(app);
        const { status, body } = await browser.post('/work/twice');
        assert.deepEqual([status, body.result], [200, 3], body.code);
        const { visits, note } = (await browser.get('/me')).body;
        assert.deepEqual([visits, note], [3, 'by hand, at the end']);
        assert.equal(store.stats().sessions.conflicts, 0);
      });

      it('can run twice at a time on the session of one request, and both count', async (t) => {
        const { app } = await serve(t, framework, start, (store) => ({
          both: async (session) => {
            await Promise.all([store.update(session, visit), store.update(session, visit)]);
            return session.visits;
          },
        }));
        const [browser] = await login(app);
        assert.equal((await browser.post('/work/both')).body.result, 2);
        assert.equal((await browser.get('/me')).body.visits, 2);
      });

      it('refuses a session with unsaved changes, which are saved at the end of the request as ever', async (t) => {
        let error: any;
        const { app } = await serve(t, framework, start, (store) => ({
          unsaved: async (session) => {
            session.note = 'unsaved';
            error = await store.update(session, () => assert.fail('mutate was called')).catch((reason) => reason);
            return session.note;
          },
        }));
        const [browser] = await login(app);
        assert.deepEqual((await browser.post('/work/unsaved')).body.result, 'unsaved');
        assertFailure(error, 'ERR_CONFLICT');
        assert.equal((await browser.get('/me')).body.note, 'unsaved');
      });

      it('is null after a logout elsewhere, and the end of the request does not bring the session back', async (t) => {
        const { store, app } = await serve(t, framework, start, (store, other) => ({
          late: async (session, sid) => {
            await other.destroy(sid);
            return [await store.update(session, refresh)];
          },
          during: async (session, sid) => [
            await store.update(session, async (inner) => {
              await other.destroy(sid);
              inner.tokens = FRESH;
            }),
          ],
        }));
        for (const path of ['/work/late', '/work/during']) {
          const [browser] = await login(app);
          assert.deepEqual((await browser.post(path)).body.result, [null]);
          assert.deepEqual(await store.ids(), []);
          assert.equal((await browser.get('/me')).status, 401);
        }
      });

      it('is ERR_NOT_SAVED for a visitor whose session was never saved, and leaves what the request puts into it', async (t) => {
        const { app } = await serve(t, framework, start, (store) => ({
          first: async (session) => {
            session.user = 'eve';
            return [await store.update(session, refresh).catch((error) => error.code)];
          },
        }));
        const [stranger] = await login(app);
        stranger.cookies.clear();
        assert.deepEqual((await stranger.post('/work/first')).body.result, ['ERR_NOT_SAVED']);
        assert.equal((await stranger.get('/me')).body.user, 'eve');
      });

      it('changes the cookie: the longer life that it gives is in the table and outlives the request', async (t) => {
        mock.timers.enable({ apis: ['Date'], now: START });
        t.after(() => mock.timers.reset());
        const { store, app } = await serve(t, framework, start, (store) => ({
          remember: async (session) => {
            await store.update(session, (inner) => {
              inner.cookie!.originalMaxAge = 24 * HOUR;
              inner.cookie!.expires = new Date(Date.now() + 24 * HOUR);
              inner.note = 'remembered';
            });
            return [new Date(session.cookie.expires).getTime(), session.cookie.originalMaxAge];
          },
        }));
        const [browser] = await login(app);
        mock.timers.setTime(START + HOUR / 2);
        const end = START + 24.5 * HOUR;
        const { body, setCookie } = await browser.post('/work/remember');
        assert.deepEqual(body.result, [end, 24 * HOUR]);
        assert.deepEqual(setCookie.map(cookieExpires), [end]);
        const [sid] = await store.ids();
        assert.equal((await store.record(sid))!.ttl, end / 1000);
        mock.timers.setTime(START + 24 * HOUR);
        assert.equal((await browser.get('/me')).body.note, 'remembered');
      });

      it('changes the end of the cookie alone, and the end of the request leaves it there', async (t) => {
        mock.timers.enable({ apis: ['Date'], now: START });
        t.after(() => mock.timers.reset());
        const { store, app } = await serve(t, framework, start, (store) => ({
          shorten: async (session) => {
            await store.update(session, ({ cookie }) => {
              cookie!.expires = new Date(START + HOUR / 4);
            });
            return new Date(session.cookie.expires).getTime();
          },
        }));
        const [browser] = await login(app);
        assert.equal((await browser.post('/work/shorten')).body.result, START + HOUR / 4);
        const [sid] = await store.ids();
        assert.equal((await store.record(sid))!.ttl, (START + HOUR / 4) / 1000);
      });
    });
  }

  describe(`what update costs behind ${framework.name}`, () => {
    const costs: Record<string, { work: (store: DynamoDBSessionStore) => Work; calls: Record<string, number> }> = {
      'the read at the beginning, and one read and one write of its own': {
        work: (store) => async (session) => void (await store.update(session, refresh)),
        calls: { 'dynamodb:GetItem': 2, 'dynamodb:PutItem': 1 },
      },
      'nothing more at the end of the request if it also changes the cookie': {
        work: (store) => async (session) =>
          void (await store.update(session, (inner) => {
            inner.cookie!.originalMaxAge = 2 * HOUR;
            inner.cookie!.expires = new Date(Date.now() + 2 * HOUR);
          })),
        calls: { 'dynamodb:GetItem': 2, 'dynamodb:PutItem': 1 },
      },
      'one more write if the request changes the session afterwards': {
        work: (store) => async (session) => {
          await store.update(session, refresh);
          session.note = 'afterwards';
        },
        calls: { 'dynamodb:GetItem': 2, 'dynamodb:PutItem': 2 },
      },
      'two reads if mutate changes nothing': {
        work: (store) => async (session) => void (await store.update(session, () => {})),
        calls: { 'dynamodb:GetItem': 2 },
      },
    };
    for (const [what, { work, calls }] of Object.entries(costs)) {
      it(`is ${what}`, async (t) => {
        const { backend, app } = await serve<AwsBackend>(t, framework, startAws, (store) => ({ work: work(store) }));
        const [browser] = await login(app);
        await backend.aws.reset();
        assert.equal((await browser.post('/work/work')).status, 200);
        assert.deepEqual(await backend.aws.calls(), calls);
      });
    }
  });
}

describe('properties that a framework does not let its session have', () => {
  const own = { '@fastify/session': 'sessionId', 'express-session': 'id' };
  for (const framework of frameworks) {
    const property = own[framework.name as keyof typeof own];
    it(`update writes ${property} behind ${framework.name} as it writes anything, and succeeds`, async (t) => {
      const { store, app } = await serve(t, framework, startAws, (store) => ({
        own: async (session) =>
          (await store.update(session, (inner) => ({ ...inner, [property]: 'of another system' })))![property],
      }));
      const [browser] = await login(app);
      const { status, body } = await browser.post('/work/own');
      assert.deepEqual([status, body.result], [200, 'of another system'], body.message);
      const [sid] = await store.ids();
      assert.notEqual(sid, 'of another system');
      assert.equal((await browser.get('/me')).body.sid, sid);
    });
  }
});
