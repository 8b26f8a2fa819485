// Stores that are not given to express-session themselves, but behind a proxy or an object that inherits from them, as for traces and metrics.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import session from 'express-session';
import { type Backend, startLocal } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { expressApp } from '../support/express-app.ts';
import { startHttp } from '../support/http-server.ts';

const standIns: Record<string, (store: DynamoDBSessionStore) => any> = {
  'a proxy': (store) => new Proxy(store, {}),
  'a proxy that passes itself on': (store) => new Proxy(store, { get: (...found) => Reflect.get(...found) }),
  'an object that inherits from the store': (store) => Object.create(store),
  "a Store of the application's own": (store) => {
    const own = new (session.Store as any)();
    for (const name of ['get', 'set', 'touch', 'destroy'] as const) own[name] = store[name];
    return own;
  },
};

describe('an Express application that has the store behind', () => {
  let backend: Backend;
  before(async () => {
    backend = await startLocal();
  });
  after(() => backend.stop());

  for (const [name, standIn] of Object.entries(standIns)) {
    it(`${name}: a login lasts, and a request that changes nothing is known`, async (t) => {
      const store = backend.store();
      const server = await startHttp(expressApp(standIn(store)));
      t.after(() => server.close());
      const browser = new Browser(server.url);
      await browser.post('/login/ada');
      const { status, body } = await browser.get('/me');
      assert.deepEqual([status, body.user], [200, 'ada']);
      await browser.get('/nothing');
      const { written, unchanged } = store.stats().sessions;
      assert.equal(written, 1);
      if (name !== "a Store of the application's own") assert.equal(unchanged, 2);
    });
  }
});
