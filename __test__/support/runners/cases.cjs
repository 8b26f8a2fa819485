// What an application's own tests do with a store, for test runners whose timers are fakes meanwhile. `fakes` names the ways to install and remove them.

const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

module.exports = function cases({ runner, fakes, packages }) {
  const { describe, it, expect, beforeEach, afterEach } = runner;
  const { DynamoDBSessionStore, express, session, request } = packages;
  const lines = [];
  const logger = { warn: (line) => lines.push(line), debug: (line) => lines.push(line) };
  let folder;
  let store;

  for (const [name, { install, remove }] of Object.entries(fakes)) {
    describe(`with ${name}`, () => {
      beforeEach(() => {
        install();
        folder = mkdtempSync(join(tmpdir(), 'runner-'));
        store = new DynamoDBSessionStore({ local: { path: folder }, recordVersion: 2, logger });
      });
      afterEach(() => {
        remove();
        rmSync(folder, { recursive: true });
      });

      it('a store answers and closes', async () => {
        const byCallback = (call) => new Promise((resolve) => call((error, value) => resolve(error ?? value)));
        await byCallback((callback) => store.set('a', { cookie: {}, visits: 0 }, callback));
        expect(await byCallback((callback) => store.get('a', callback))).toEqual({ cookie: {}, visits: 0 });
        expect(await store.get('a', { signal: new AbortController().signal })).toEqual({ cookie: {}, visits: 0 });
        const visit = (session) => {
          session.visits++;
          session.cookie.sameSite = 'lax';
        };
        await Promise.all([store.update('a', visit), store.update('a', visit)]); // one of them waits and tries again
        expect(await store.withLock('a', async () => 'done', { signal: new AbortController().signal })).toBe('done');
        store.set('a', { cookie: {}, visits: 7 });
        store.set('a', { cookie: {}, visits: 8 });
        expect((await store.get('a')).visits).toBe(8);
        await byCallback((callback) => store.close(callback));
        expect(lines).toEqual([]);
      });

      it('an Express application keeps a login', async () => {
        const app = express();
        app.use(session({ store, secret: 'a secret', resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 } }));
        app.post('/login', (request, response) => {
          request.session.user = 'ada';
          response.json({});
        });
        app.post('/rename', async (request, response) => {
          await store.update(request.session, (session) => {
            session.user = 'grace';
          });
          response.json({});
        });
        app.get('/me', (request, response) => response.json({ user: request.session.user }));
        const agent = request.agent(app);
        await agent.post('/login').expect(200);
        expect((await agent.get('/me')).body).toEqual({ user: 'ada' });
        await agent.post('/rename').expect(200);
        expect((await agent.get('/me')).body).toEqual({ user: 'grace' });
        await store.close();
        expect(lines).toEqual([]);
      });
    });
  }
};
