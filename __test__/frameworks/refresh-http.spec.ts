// refresh(request.session) in the handlers of both frameworks over HTTP: the new token is in the session of every request, and the save at the end of a
// request has nothing to write.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, quiet, startAws } from '../support/backends.ts';
import { type EditingApp, type Framework, frameworks, login, type Work } from '../support/editing-apps.ts';
import { OauthProvider, renewing } from '../support/oauth-provider.ts';

const HOUR = 3_600_000;
const REQUESTS = 12;

/** Two servers of an application, and a provider at which their user has a token that has run out. */
async function serve<B extends Backend>(
  t: TestContext,
  framework: Framework,
  start: () => Promise<B>,
  options: SessionStoreConfig = {},
) {
  const backend = await start();
  t.after(() => backend.stop());
  const provider = await OauthProvider.start(t);
  const stores = [backend.store(options), backend.store(options)];
  const tokens = provider.login();
  const work = (store: DynamoDBSessionStore): Record<string, Work> => ({
    login: (session) => void Object.assign(session, { tokens }),
    renew: async (session) => {
      const renewed = await store.refresh(session, renewing(provider.url));
      assert.equal(renewed, session);
      return [session.tokens.access, session.user];
    },
    remember: async (session) => {
      const { isFresh, refresh } = renewing(provider.url);
      const remembering = async (inner: any, signal: AbortSignal) => {
        inner.cookie.originalMaxAge = 24 * HOUR;
        inner.cookie.expires = new Date(Date.now() + 24 * HOUR);
        await refresh(inner, signal);
      };
      await store.refresh(session, { isFresh, refresh: remembering });
      return [session.tokens.access, session.cookie.originalMaxAge];
    },
    relax: async (session) => {
      const { isFresh, refresh } = renewing(provider.url);
      const relaxing = async (inner: any, signal: AbortSignal) => {
        inner.cookie.httpOnly = false;
        await refresh(inner, signal);
      };
      await store.refresh(session, { isFresh, refresh: relaxing });
      return [session.tokens.access, session.cookie.httpOnly];
    },
    unsaved: async (session) => {
      session.note = 'unsaved';
      return [await store.refresh(session, renewing(provider.url)).catch((error) => error.code)];
    },
    logout: async (session, sid) => {
      await stores[1].destroy(sid);
      return [await store.refresh(session, renewing(provider.url))];
    },
  });
  const apps: EditingApp[] = [];
  for (const store of stores) apps.push(await framework.start(t, store, work(store)));
  const browsers = await login(...apps);
  await browsers[0].post('/work/login');
  await Promise.all(stores.map(quiet));
  return { backend, provider, stores, browsers };
}

for (const framework of frameworks) {
  for (const { name, start } of backends) {
    describe(`refresh in a handler behind ${framework.name} on ${name}`, () => {
      for (const onConflict of ['overwrite', 'error', 'drop'] as const) {
        it(`gives parallel requests on two servers the token of one renewal, and no save undoes it; '${onConflict}'`, async (t) => {
          const { provider, stores, browsers } = await serve(t, framework, start, { onConflict });
          const answers = await Promise.all(
            Array.from({ length: 2 * REQUESTS }, (_, index) => browsers[index % 2].post('/work/renew')),
          );
          await Promise.all(stores.map(quiet));
          const [sid] = await stores[0].ids();
          const { tokens, user } = (await stores[1].get(sid)) as any;
          for (const { status, body } of answers)
            assert.deepEqual([status, body.result], [200, [tokens.access, user]], body.code);
          assert.ok(provider.takes(tokens.refresh));
          assert.equal(provider.requests, 1);
          for (const store of stores) assert.equal(store.stats().sessions.conflicts, 0);
          // The two saves at the login, and the write of the new token.
          const written = stores.map((store) => store.stats().sessions.written);
          assert.equal(written[0] + written[1], 3);
        });
      }

      it('gives everybody the cookie that the function changed', async (t) => {
        const { provider, stores, browsers } = await serve(t, framework, start);
        const answers = await Promise.all([0, 1, 0, 1].map((server) => browsers[server].post('/work/remember')));
        await Promise.all(stores.map(quiet));
        const [sid] = await stores[0].ids();
        const { tokens, cookie } = (await stores[1].get(sid)) as any;
        for (const { body } of answers) assert.deepEqual(body.result, [tokens.access, 24 * HOUR]);
        assert.equal(cookie.originalMaxAge, 24 * HOUR);
        assert.ok(Math.abs(Date.parse(cookie.expires) - Date.now() - 24 * HOUR) < HOUR / 10);
        assert.equal(provider.requests, 1);
      });

      it('gives everybody another attribute of the cookie, and leaves its end alone', async (t) => {
        const { provider, stores, browsers } = await serve(t, framework, start);
        const answers = await Promise.all([0, 1, 0, 1].map((server) => browsers[server].post('/work/relax')));
        await Promise.all(stores.map(quiet));
        const [sid] = await stores[0].ids();
        const { tokens, cookie } = (await stores[1].get(sid)) as any;
        for (const { body } of answers) assert.deepEqual(body.result, [tokens.access, false]);
        assert.equal(cookie.httpOnly, false);
        // express-session takes the clock twice when it sets it.
        assert.ok(cookie.originalMaxAge <= HOUR && cookie.originalMaxAge > HOUR - 1000, `${cookie.originalMaxAge} ms`);
        assert.equal(provider.requests, 1);
      });

      it('refuses a session with unsaved changes, which are saved at the end of the request as ever', async (t) => {
        const { provider, browsers } = await serve(t, framework, start);
        assert.deepEqual((await browsers[0].post('/work/unsaved')).body.result, ['ERR_CONFLICT']);
        assert.equal((await browsers[1].get('/me')).body.note, 'unsaved');
        assert.equal(provider.requests, 0);
      });

      it('is null after a logout elsewhere, and the end of the request does not bring the session back', async (t) => {
        const { provider, stores, browsers } = await serve(t, framework, start);
        assert.deepEqual((await browsers[0].post('/work/logout')).body.result, [null]);
        assert.deepEqual(await stores[1].ids(), []);
        assert.equal((await browsers[0].get('/me')).status, 401);
        assert.equal(provider.requests, 0);
      });
    });
  }

  it(`costs requests behind ${framework.name} with a fresh token nothing`, async (t) => {
    const { backend, provider, stores, browsers } = await serve<AwsBackend>(t, framework, startAws);
    for (const browser of browsers) await browser.post('/work/renew');
    await Promise.all(stores.map(quiet));
    await backend.aws.reset();
    for (const browser of browsers) assert.equal((await browser.post('/work/renew')).status, 200);
    await Promise.all(stores.map(quiet));
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:GetItem': 2 }); // of the framework
    assert.equal(provider.requests, 1);
  });
}
