// Where an application and the store do not find the same express-session: the store makes sessions of the application's own classes.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import express from 'express';
import session, { type SessionOptions } from 'express-session';
import { type Backend, startLocal } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { startHttp } from '../support/http-server.ts';

const here = fileURLToPath(new URL('..', import.meta.url));
const SECRET = 'the secret that signs the cookies of the tests';

/** An application that counts the visits of a session, and keeps the sessions that it was given. */
function visits(store: DynamoDBSessionStore, copy: typeof session, options: Partial<SessionOptions> = {}) {
  const given: any[] = [];
  const app = express();
  app.use(copy({ store, secret: SECRET, resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 }, ...options }));
  app.post('/visit', (request: any, response) => {
    given.push(request.session);
    request.session.visits = (request.session.visits ?? 0) + 1;
    // express-session derives it from the cookie's end, which may take a millisecond off.
    const seconds = Math.round(request.session.cookie.originalMaxAge / 1000);
    response.json({ visits: request.session.visits, seconds });
  });
  app.post('/reload', ({ session }: any, response, next) => {
    session.reload((error: unknown) => (error ? next(error) : response.json({})));
  });
  app.post('/login', ({ session }: any, response, next) => {
    session.regenerate((error: unknown) => (error ? next(error) : response.json({})));
  });
  return { app, given };
}

async function open(t: TestContext, app: express.Express): Promise<Browser> {
  const server = await startHttp(app);
  t.after(() => server.close());
  return new Browser(server.url);
}

describe('an application with another copy of express-session than the store finds', () => {
  let folder: string;
  let other: typeof session;
  let backend: Backend;
  before(async () => {
    folder = await mkdtemp(join(here, 'copies-')); // below node_modules, where the copy finds what it needs
    const copy = join(folder, 'node_modules', 'express-session');
    await mkdir(copy, { recursive: true });
    await cp(join(here, 'node_modules', 'express-session'), copy, { recursive: true });
    other = createRequire(join(folder, 'app.cjs'))('express-session');
    backend = await startLocal();
  });
  after(async () => {
    await backend.stop();
    await rm(folder, { recursive: true });
  });

  it('has sessions of its own classes, whichever copy it is, new and stored ones', async (t) => {
    assert.notEqual(other.Session, session.Session);
    for (const copy of [other, session]) {
      const store = backend.store();
      const { app, given } = visits(store, copy);
      const browser = await open(t, app);
      for (let visit = 1; visit <= 3; visit++) {
        assert.deepEqual((await browser.post('/visit')).body, { visits: visit, seconds: 60 });
      }
      assert.equal(given.length, 3);
      for (const session of given) {
        assert.ok(session instanceof (copy as any).Session);
        assert.ok(session.cookie instanceof copy.Cookie);
        assert.ok(session.cookie.expires instanceof Date);
      }
      assert.equal((await browser.post('/reload')).status, 200);
      assert.equal((await browser.post('/login')).status, 200);
    }
  });

  it('is asked for one more id at most, by the first request of a process that comes with a cookie', async (t) => {
    const asked: any[] = [];
    const genid = (request: any) => {
      asked.push(request);
      request.marked = true;
      return `${request.headers['user-agent']} ${request.ip} ${asked.length}`;
    };
    const first = await open(t, visits(backend.store(), other, { genid }).app);
    await first.post('/visit');
    await first.post('/visit');
    assert.equal(asked.length, 1);

    const { app, given } = visits(backend.store(), other, { genid }); // as after a restart
    const later = await open(t, app);
    for (const [name, value] of first.cookies) later.cookies.set(name, value);
    assert.equal((await later.post('/visit')).body.visits, 3);
    assert.equal((await later.post('/visit')).body.visits, 4);
    assert.equal(asked.length, 2);
    assert.match(given[0].id, / 1$/, 'the session keeps its id');
    assert.equal(given[0].req.marked, undefined, 'its request is left alone');
  });

  it('gets sessions of the installed copy if its genid fails then', async (t) => {
    let fails = false;
    const genid = (request: any) => {
      if (fails) throw new Error('no id for this one');
      return `id of ${request.url}`;
    };
    const first = await open(t, visits(backend.store(), other, { genid }).app);
    await first.post('/visit');
    fails = true;
    const later = await open(t, visits(backend.store(), other, { genid }).app);
    for (const [name, value] of first.cookies) later.cookies.set(name, value);
    assert.equal((await later.post('/visit')).body.visits, 2);
  });

  it('loads sessions outside requests', async (t) => {
    for (const genid of [undefined, ({ headers }: any) => headers['user-agent'] ?? 'nobody']) {
      const browser = await open(t, visits(backend.store(), other, { genid }).app);
      await browser.post('/visit');
      const store = backend.store();
      visits(store, other, { genid, proxy: true });
      const [sid] = (await store.ids()).slice(-1);
      const loaded: any = await new Promise((resolve, reject) => {
        store.load(sid, (error, session) => (error ? reject(error) : resolve(session)));
      });
      assert.ok(loaded instanceof (other as any).Session);
      assert.equal(loaded.id, sid);
    }
  });
});

describe('a store that finds no express-session', () => {
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'copies-'));
    for (const name of await readdir(join(here, 'node_modules'))) {
      if (name.startsWith('connect-dynamodb-kms'))
        await cp(join(here, 'node_modules', name), join(home, 'node_modules', name), { recursive: true });
    }
  });
  after(() => rm(home, { recursive: true }));

  it('calls `load` back with ERR_CONFIG before it is given to a middleware', async () => {
    const program = `
      const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
      const store = new DynamoDBSessionStore({ recordVersion: 2, local: { path: './sessions' } });
      store.load('nobody', (error, session) => console.log(error, session));
      store.set('ada', { cookie: {}, user: 'ada' }, () => {
        store.load('ada', (error, session) => console.log(error.code, session));
      });`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { cwd: home });
    assert.deepEqual(stdout.split('\n'), ['undefined undefined', 'ERR_CONFIG undefined', '']);
  });
});
