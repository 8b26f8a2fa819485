// Requests that change nothing of a session but its cookie, and sessions that are only ever touched.

import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { Browser, cookieExpires } from '../support/browser.ts';
import { expressApp, HOUR, listen } from '../support/express-app.ts';
import { fastify } from '../support/framework-apps.ts';

const MONTH = 30 * 24 * HOUR;
const OLD_KEY = 'arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a';
const NEW_KEY = 'arn:aws:kms:us-east-1:232282424912:key/11111111-2222-3333-4444-555555555555';

async function serveExpress(t: TestContext, store: DynamoDBSessionStore, resave: boolean): Promise<Browser> {
  const app = expressApp(store, { resave, rolling: true });
  app.post('/remember-me', (request, response) => {
    request.session.cookie.maxAge = MONTH;
    response.json({ sid: request.sessionID });
  });
  const { origin, close } = await listen(app);
  t.after(close);
  return new Browser(origin);
}

/** How many milliseconds a session has left, in the table and in the browser. */
async function left(store: DynamoDBSessionStore, sid: string, setCookie: string[]) {
  const record = (await store.record(sid))!;
  return [record.ttl * 1000 - Date.now(), cookieExpires(setCookie[0]!)! - Date.now()];
}

for (const { name, start } of backends) {
  describe(`remember me on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    for (const resave of [false, true]) {
      it(`behind express-session with resave ${resave}: a request that changes only maxAge lasts through the next ones`, async (t) => {
        const store = backend.store({ prefix: `resave ${resave}:`, touchAfter: 0 });
        const browser = await serveExpress(t, store, resave);
        await browser.post('/login/ada');
        const { body, setCookie } = await browser.post('/remember-me');
        const after = [await left(store, body.sid, setCookie)];
        for (let i = 0; i < 2; i++) after.push(await left(store, body.sid, (await browser.get('/me')).setCookie));
        for (const millis of after.flat()) assert.ok(Math.abs(millis - MONTH) < 60_000, `${millis} ms are left`);
        // express-session derives it from the cookie's end by a clock that goes on meanwhile.
        const age = (await store.get(body.sid))!.cookie!.originalMaxAge!;
        assert.ok(Math.abs(age - MONTH) < 60_000, `originalMaxAge is ${age} ms`);
      });
    }

    it('behind @fastify/session: the same', async (t) => {
      const store = backend.store({ prefix: 'fastify:', touchAfter: 0 });
      const browser = new Browser((await fastify.serve(t, store)).origin);
      await browser.post('/login/ada');
      const { sid } = (await browser.get('/me')).body;
      const answers = [await browser.post(`/max-age/${MONTH}`), await browser.get('/me'), await browser.get('/me')];
      for (const { setCookie } of answers) {
        for (const millis of await left(store, sid, setCookie))
          assert.ok(Math.abs(millis - MONTH) < 60_000, `${millis} ms are left`);
      }
    });
  });
}

describe('a rotation of the key', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws(['--key-arn', OLD_KEY, '--key-arn', NEW_KEY]);
  });
  after(() => backend.stop());

  for (const recordVersion of [1, 2] as const) {
    it(`ends for sessions that are only touched; version ${recordVersion}`, async (t) => {
      const prefix = `touched ${recordVersion}:`;
      const login = await serveExpress(t, backend.store({ prefix, recordVersion, kmsKeyArn: OLD_KEY }), false);
      await login.post('/login/ada');
      const store = backend.store({ prefix, recordVersion, kmsKeyArn: [NEW_KEY, OLD_KEY] });
      const browser = await serveExpress(t, store, false);
      for (const [name, value] of login.cookies) browser.cookies.set(name, value);
      assert.equal((await browser.get('/me')).status, 200);
      assert.equal(store.stats().sessions.written, 1);
      // Nothing but the new key opens it now.
      const last = await serveExpress(t, backend.store({ prefix, recordVersion, kmsKeyArn: NEW_KEY }), false);
      for (const [name, value] of browser.cookies) last.cookies.set(name, value);
      assert.equal((await last.get('/me')).body.user, 'ada');
    });
  }
});
