// The option users in real applications: "your devices" and "log out everywhere", on several servers.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { DynamoDBSessionStore, UsersOptions } from 'connect-dynamodb-kms';
import { type AwsBackend, quiet, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { Program } from '../support/program.ts';
import { TableItems } from '../support/table-items.ts';
import { type Served, type UsersAppOptions, usersApps } from '../support/users-apps.ts';

const SECRET = 'a secret of the users';
const at = (path: string, session: any) => path.split('.').reduce((value, name) => value?.[name], session);

for (const [framework, { serve, path }] of Object.entries(usersApps)) {
  const ways: Record<string, UsersOptions['idOf']> = { 'a path': path, 'a function': (session) => at(path, session) };
  for (const [way, idOf] of Object.entries(ways)) {
    describe(`users on ${framework}, with idOf as ${way}`, () => {
      const users = { idOf, secret: SECRET };
      let backend: AwsBackend;
      let items: TableItems;
      let store: DynamoDBSessionStore;
      let served: Served[];
      let other: Program;
      let otherOrigin: string;
      before(async () => {
        backend = await startAws();
        items = new TableItems(backend.aws);
        other = new Program('users-program', framework, { ...backend.config, users: { ...users, idOf: path } });
        otherOrigin = await other.line();
      });
      after(async () => {
        const { stderr } = await other.end('SIGTERM');
        items.close();
        await backend.stop();
        assert.equal(stderr, '');
      });
      beforeEach(async () => {
        store = backend.store({ recordVersion: 2, users });
        await store.clear();
        served = [];
      });
      afterEach(() => Promise.all(served.map(({ close }) => close())));

      /** A browser on a new server. */
      async function browser(options?: UsersAppOptions, by = store): Promise<Browser> {
        const server = await serve(by, options);
        served.push(server);
        return new Browser(server.origin);
      }

      /** A browser that has logged in. */
      async function device(user: string, origin?: string): Promise<Browser> {
        const device = origin ? new Browser(origin) : await browser();
        assert.equal((await device.post(`/login/${user}`)).status, 200);
        return device;
      }

      async function ids(user: string): Promise<string[]> {
        await quiet(store);
        return (await store.sessionsOf(user)).map(({ id }) => id);
      }

      const status = async (device: Browser) => (await device.get('/me')).status;

      it("shows a user's devices, of all servers, the latest login first", async () => {
        const [first, second] = [await device('ada'), await device('ada', otherOrigin)];
        await device('bob');
        const [{ body: one }, { body: two }] = [await first.get('/me'), await second.get('/me')];
        assert.deepEqual((await first.get('/devices')).body, [
          { id: two.sid, isThis: false },
          { id: one.sid, isThis: true },
        ]);
      });

      it('logs the other devices out at once, on every server, and not this one', async () => {
        const [here, there, sameServer] = [await device('ada'), await device('ada', otherOrigin), await device('ada')];
        const bob = await device('bob', otherOrigin);
        assert.deepEqual(await Promise.all([here, there, sameServer, bob].map(status)), [200, 200, 200, 200]);
        assert.deepEqual((await here.post('/password')).body, { ended: 2 });
        assert.deepEqual(await Promise.all([here, there, sameServer, bob].map(status)), [200, 401, 401, 200]);
        assert.deepEqual((await here.post('/password')).body, { ended: 0 });
        assert.equal((await there.post('/password')).status, 401, 'a guard stays a guard');
        assert.equal((await there.post('/login/ada')).status, 200);
        assert.equal(await status(there), 200);
      });

      it('logs out everywhere, this device included', async () => {
        const [here, there] = [await device('ada'), await device('ada', otherOrigin)];
        assert.deepEqual((await here.post('/everywhere')).body, { ended: 2 });
        assert.deepEqual(await Promise.all([here, there].map(status)), [401, 401]);
        assert.deepEqual(await ids('ada'), []);
      });

      it('requests of a device that was logged out bring nothing back', async () => {
        const [here, there] = [await device('ada'), await device('ada', otherOrigin)];
        await here.post('/password');
        for (const path of ['/visit', '/save']) assert.equal((await there.post(path)).status, 200);
        await there.get('/nothing');
        assert.equal(await status(there), 401);
        assert.equal((await ids('ada')).length, 1);
      });

      it('a login moves an anonymous session to a new id, which alone is listed', async () => {
        for (const keep of ['yes', 'no']) {
          const visitor = await browser();
          await visitor.post('/visit');
          const anonymous = await store.ids();
          const reply = await fetch(`${visitor.origin}/login/${keep}`, {
            method: 'POST',
            headers: { cookie: [...visitor.cookies].map((pair) => pair.join('=')).join('; '), 'x-keep': keep },
          });
          const { sid } = (await reply.json()) as any;
          assert.deepEqual(await ids(keep), [sid]);
          assert.ok(!anonymous.includes(sid));
          assert.deepEqual(await store.ids(), [sid]);
          assert.equal((await store.get(sid))!.visits, keep === 'yes' ? 1 : undefined);
          await store.clear();
        }
      });

      it('a logout takes the session off the list', async () => {
        const here = await device('ada');
        await here.post('/logout');
        await quiet(store);
        assert.deepEqual([await ids('ada'), await store.ids()], [[], []]);
        assert.equal(await status(here), 401);
      });

      it('a switch of account lists the session under the new user alone', async () => {
        const here = await device('ada');
        for (const keep of ['no', 'yes']) {
          const reply = await fetch(`${here.origin}/login/bob`, {
            method: 'POST',
            headers: { cookie: [...here.cookies].map((pair) => pair.join('=')).join('; '), 'x-keep': keep },
          });
          const { sid } = (await reply.json()) as any;
          assert.deepEqual([await ids('ada'), await ids('bob')], [[], [sid]]);
          await store.clear();
          await here.post('/login/ada');
        }
      });

      it('anonymous sessions are nobody’s, saved or not', async () => {
        const lists = async () => Object.keys(await items.all()).filter((key) => key.startsWith('user:')).length;
        const before = await lists();
        for (const saveUninitialized of [true, false]) {
          const visitor = await browser({ session: { saveUninitialized } });
          assert.equal((await visitor.get('/nothing')).status, 200);
          assert.equal((await visitor.post('/visit')).status, 200);
          assert.equal((await visitor.get('/devices')).status, 401);
          await quiet(store);
          assert.equal((await store.ids()).length, 1);
          await store.clear();
        }
        assert.equal(await lists(), before);
      });

      it('saves in the middle, changes and touches keep the entry', async () => {
        for (const session of [{ resave: true, rolling: true }, { rolling: false }, {}]) {
          const here = await browser({ session });
          await here.post('/login/ada');
          const [listed] = await ids('ada');
          for (const path of ['/save', '/visit', '/save']) assert.equal((await here.post(path)).status, 200);
          await here.get('/nothing');
          const { body } = await here.get('/me');
          assert.deepEqual({ ...body, sid: listed }, { user: 'ada', sid: body.sid, note: 'saved at the end', visits: 1 });
          assert.deepEqual(await ids('ada'), [listed]);
          assert.equal(await store.destroyAllOf('ada'), 1);
        }
      });

      it('a session from before the option joins with its next request', async () => {
        const earlier = backend.store({ recordVersion: 2 });
        const old = await browser({}, earlier);
        await old.post('/login/ada');
        const now = await browser();
        for (const [name, value] of old.cookies) now.cookies.set(name, value);
        assert.deepEqual(await ids('ada'), []);
        assert.equal((await now.get('/nothing')).status, 200);
        assert.equal((await ids('ada')).length, 1);
        const elsewhere = await device('ada', otherOrigin);
        assert.deepEqual((await elsewhere.post('/password')).body, { ended: 1 });
        assert.deepEqual([await status(old), await status(now)], [401, 401]);
      });
    });
  }
}
