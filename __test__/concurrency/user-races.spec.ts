// Each way in which the list of a user's sessions could lose a session, and each way in which a session could outlive the end of all of them. A proxy stops
// requests where it matters.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it, mock } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, quiet, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { fastifyApp, listen } from '../support/fastify-app.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { Stops } from '../support/stops.ts';
import { TableItems } from '../support/table-items.ts';
import { checkLists, entriesOf, listKey, USERS } from '../support/user-lists.ts';

/** A request that never comes would hold the tests up. */
const LIMIT = { timeout: 300_000 };
const HOUR = 3_600_000;
const cookie = (life = HOUR) => ({ path: '/', originalMaxAge: life, expires: new Date(Date.now() + life) });

describe('sessions of a user', LIMIT, () => {
  let backend: AwsBackend;
  let items: TableItems;
  let proxy: StoppingProxy;
  let user: string;
  let number = 0;
  before(async () => {
    backend = await startAws();
    items = new TableItems(backend.aws);
    proxy = await StoppingProxy.start(backend.aws.dynamodb);
  });
  after(async () => {
    items.close();
    await proxy.close();
    await backend.stop();
  });
  beforeEach(() => {
    user = `user-${++number}`;
  });
  const store = (options: SessionStoreConfig = {}) => backend.store({ users: USERS, touchAfter: 0, ...options });
  const stoppable = (options: SessionStoreConfig = {}) => store({ dynamodbEndpoint: proxy.url, ...options });
  const id = (name: string) => `${number}/${name}`;
  const names = async (by = store()) => (await by.sessionsOf(user)).map(({ id }) => id.split('/')[1]).sort();
  const logIn = (by: DynamoDBSessionStore, name: string) => by.set(id(name), { cookie: cookie(), user });

  it('that log in at the same time on three stores are all listed, and ended together', async () => {
    const stores = [store(), store(), store({ recordVersion: 2 })];
    const all = Array.from({ length: 30 }, (_, at) => `s${at}`);
    await Promise.all(all.map((name, at) => logIn(stores[at % 3], name)));
    assert.deepEqual(await names(), [...all].sort());
    checkLists(await items.all());
    assert.equal(await stores[1].destroyAllOf(user), 30);
    for (const name of all) assert.equal(await stores[0].get(id(name)), null);
  });

  /** Calls that have read the list and stop before they write it. Each begins with the sessions a and b; c logs in meanwhile. */
  const writers: Record<
    string,
    { stops: string; begin: (own: DynamoDBSessionStore) => Promise<() => Promise<unknown>>; ends: string[] }
  > = {
    'another login': {
      stops: 'TransactWriteItems',
      begin: async (own) => () => logIn(own, 'd'),
      ends: ['a', 'b', 'c', 'd'],
    },
    'a login that ends the oldest': {
      stops: 'TransactWriteItems',
      begin: async (own) => () => logIn(own, 'd'),
      ends: ['c', 'd'],
    },
    'a logout': {
      stops: 'PutItem',
      begin: async (own) => () => own.destroy(id('a')),
      ends: ['b', 'c'],
    },
    'a logout that keeps the session': {
      stops: 'TransactWriteItems',
      begin: async (own) => {
        const session: any = await own.get(id('a'));
        delete session.user;
        return () => own.set(id('a'), session);
      },
      ends: ['b', 'c'],
    },
    'a switch to another account': {
      stops: 'TransactWriteItems',
      begin: async (own) => {
        const session: any = await own.get(id('a'));
        session.user = `other-${user}`;
        return () => own.set(id('a'), session);
      },
      ends: ['b', 'c'],
    },
    destroyAllOf: {
      stops: 'PutItem',
      begin: async (own) => () => own.destroyAllOf(user),
      ends: ['c'],
    },
    'sessionsOf, which takes what is gone off the list': {
      stops: 'PutItem',
      begin: async (own) => {
        await backend.store().destroy(id('a')); // without the option
        return () => own.sessionsOf(user);
      },
      ends: ['b', 'c'],
    },
  };
  for (const [what, { stops, begin, ends }] of Object.entries(writers)) {
    it(`lose no entry to ${what} that has read their list before`, async () => {
      const own = stoppable({ users: { ...USERS, maxSessions: what.includes('oldest') ? 2 : 10 } });
      await logIn(store(), 'a');
      await logIn(store(), 'b');
      const call = await begin(own);
      const stop = proxy.hold(stops, 'request');
      const called = call();
      await stop.reached;
      await logIn(store({ users: { ...USERS, maxSessions: what.includes('oldest') ? 2 : 10 } }), 'c');
      stop.pass();
      await called;
      checkLists(await items.all());
      assert.deepEqual(await names(), ends);
      assert.equal(await store().destroyAllOf(user), ends.length);
      for (const name of ends) assert.equal(await items.get(id(name)), undefined);
    });
  }

  it('that are destroyed while a login is about to end them do not fail it', async () => {
    const own = stoppable({ users: { ...USERS, maxSessions: 2 } });
    await logIn(store(), 'a');
    await logIn(store(), 'b');
    const stop = proxy.hold('TransactWriteItems', 'request');
    const called = logIn(own, 'c');
    await stop.reached;
    await backend.store().destroy(id('a')); // without the option, so the list stays as it was read
    stop.pass();
    await called;
    assert.deepEqual(await names(), ['b', 'c']);
    checkLists(await items.all());
  });

  it('that log in again under the id of one that is being ended with all are listed, and live', async () => {
    const own = stoppable();
    await logIn(own, 'a');
    const stop = proxy.hold('PutItem', 'request');
    const ending = own.destroyAllOf(user);
    await stop.reached;
    await logIn(store(), 'a');
    stop.pass();
    assert.equal(await ending, 1);
    assert.deepEqual(await names(), ['a']);
    checkLists(await items.all());
    assert.equal(await store().destroyAllOf(user), 1);
  });

  it('that are saved over changes of others, while they change hands, are on the list of the user that they get', async () => {
    const own = stoppable();
    await logIn(own, 'a');
    const session: any = await own.get(id('a'));
    await store().update(id('a'), (session: any) => Object.assign(session, { note: 'of somebody else' }));
    const refused = proxy.hold('PutItem', 'answer');
    const saved = own.set(id('a'), Object.assign(session, { note: 'mine' }));
    await refused.reached;
    // It knows by now that it overwrites a session of the same user.
    const writes = ['PutItem', 'TransactWriteItems'].map((operation) => proxy.hold(operation, 'request'));
    refused.pass();
    await Promise.race(writes.map(({ reached }) => reached));
    const other = store();
    const switching: any = await other.get(id('a'));
    switching.user = `other-${user}`;
    await other.set(id('a'), switching);
    for (const { pass } of writes) pass();
    await saved;
    assert.equal(((await store().get(id('a'))) as any).note, 'mine');
    checkLists(await items.all());
    assert.deepEqual(await names(), ['a']);
    assert.equal(await store().destroyAllOf(`other-${user}`), 0);
    assert.equal(await store().destroyAllOf(user), 1);
  });

  it('that changed hands while destroyAllOf was on its way are not ended', async () => {
    const own = stoppable();
    await logIn(own, 'a');
    await logIn(own, 'b');
    const stop = proxy.hold('GetItem', 'answer'); // it knows the list, and has ended nothing
    const ending = own.destroyAllOf(user);
    await stop.reached;
    const session: any = await store().get(id('a'));
    const other = store();
    const theirs: any = await other.get(id('a'));
    assert.deepEqual(theirs, session);
    theirs.user = `other-${user}`;
    await other.set(id('a'), theirs);
    stop.pass();
    assert.equal(await ending, 1);
    assert.deepEqual(await names(), []);
    assert.equal((await store().get(id('a')))!.user, `other-${user}`);
    assert.equal(await store().destroyAllOf(`other-${user}`), 1);
  });

  /** What a slow request does to its session after all were ended. `begin` has read the session; what it gives ends the request. */
  const requests: Record<string, (own: DynamoDBSessionStore, sid: string) => Promise<() => Promise<unknown>>> = {
    'a save with a change': async (own, sid) => {
      const session: any = await own.get(sid);
      return () => own.set(sid, Object.assign(session, { changed: true }));
    },
    'a save without a change': async (own, sid) => {
      const session: any = await own.get(sid);
      return () => own.set(sid, Object.assign(session, { cookie: cookie(2 * HOUR) }));
    },
    'a touch': async (own, sid) => {
      const session: any = await own.get(sid);
      session.cookie.expires = new Date(Date.now() + 2 * HOUR);
      return () => own.touch(sid, session);
    },
    'an update': async (own, sid) => {
      const stops = new Stops();
      const updated = own.update(sid, async (session: any) => {
        await stops.stop('mutate');
        session.changed = true;
      });
      await stops.reached('mutate');
      return async () => {
        stops.pass('mutate');
        assert.equal(await updated, null);
      };
    },
    'a refresh of tokens': async (own, sid) => {
      const stops = new Stops();
      const refresh = async (session: any) => {
        await stops.stop('refresh');
        session.token = 'new';
      };
      const refreshed = own.refresh(sid, { isFresh: (session: any) => session.token === 'new', refresh });
      await stops.reached('refresh');
      return async () => {
        stops.pass('refresh');
        assert.equal(await refreshed, null);
      };
    },
  };
  for (const [what, begin] of Object.entries(requests)) {
    for (const where of ['the same store', 'another store']) {
      for (const recordVersion of [1, 2] as const) {
        it(`stay ended by ${where} after ${what} that began before, version ${recordVersion}`, async () => {
          const own = store({ recordVersion });
          await logIn(own, 'a');
          await logIn(own, 'b');
          const finish = await begin(own, id('a'));
          const by = where === 'the same store' ? own : store({ recordVersion });
          assert.equal(await by.destroyAllOf(user, { except: id('b') }), 1);
          await finish();
          assert.equal(await items.get(id('a')), undefined);
          assert.deepEqual(await names(), ['b']);
          assert.deepEqual(Object.keys(entriesOf(await items.get(listKey(user)))), [id('b')]);
        });
      }
    }
  }

  for (const where of ['its own', 'another'] as const) {
    it(`of a rolling @fastify/session stay ended by ${where} gateway, with slow requests under way`, async (t) => {
      const stores = [store(), store()];
      const stops = new Stops();
      const apps = await Promise.all(stores.map((each) => fastifyApp(each, { rolling: true })));
      t.after(() => Promise.all(apps.map((app) => app.close())));
      apps[0].get<{ Querystring: { note?: string } }>('/slow/:name', async ({ session, params, query }) => {
        await stops.stop((params as any).name);
        if (query.note) session.note = query.note;
        return {};
      });
      for (const [at, app] of apps.entries()) {
        app.post('/everywhere', async ({ session }) => ({
          ended: await stores[at].destroyAllOf(session.user!, { except: session.sessionId }),
        }));
      }
      const [here, there] = await Promise.all(apps.map(listen));
      const stolen = new Browser(here);
      const owner = new Browser(where === 'its own' ? here : there);
      for (const browser of [stolen, owner]) assert.equal((await browser.post(`/login/${user}`)).status, 200);
      const slow = [stolen.get('/slow/unchanged'), stolen.get('/slow/changed?note=late')];
      await stops.reached('unchanged', 'changed');
      assert.deepEqual((await owner.post('/everywhere')).body, { ended: 1 });
      for (const name of ['unchanged', 'changed']) stops.pass(name);
      for (const { status } of await Promise.all(slow)) assert.equal(status, 200);
      assert.equal((await stolen.get('/me')).status, 401);
      assert.equal((await owner.get('/me')).body.user, user);
      assert.equal((await stores[0].sessionsOf(user)).length, 1);
    });
  }

  it('are not taken back by a slow request that changes nothing, if the store is wrapped so that it answers later', async (t) => {
    const own = store();
    const stops = new Stops();
    // Behind this, and with cookies without an end, nothing tells which revision of its session a request has.
    const wrapped: any = {
      get: (sid: string, callback: any) => own.get(sid, (...answer) => void setImmediate(callback, ...answer)),
      set: own.set.bind(own),
      destroy: own.destroy.bind(own),
    };
    const app = await fastifyApp(wrapped, { rolling: true, cookie: { secure: false, path: '/' } });
    t.after(() => app.close());
    app.get('/slow', async () => {
      await stops.stop('slow');
      return {};
    });
    app.post('/leave', async ({ session }) => {
      delete session.user;
      return {};
    });
    const browser = new Browser(await listen(app));
    await browser.post(`/login/${user}`);
    const slow = browser.get('/slow');
    await stops.reached('slow');
    await browser.post('/leave');
    stops.pass('slow');
    await slow;
    await quiet(own);
    assert.equal((await browser.get('/me')).status, 401, 'the user is logged in again');
    assert.deepEqual(await own.sessionsOf(user), []);
  });

  it('that the table deletes after their end do not make the list grow', async () => {
    const own = store();
    await backend.aws.reset();
    for (let login = 0; login < 60; login++) {
      await logIn(own, `s${login}`);
      await items.remove(id(`s${login}`)); // as Time to Live does
    }
    const left = Object.keys(entriesOf(await items.get(listKey(user)))).length;
    assert.ok(left <= 12, `${left} entries`);
    await logIn(own, 'last');
    assert.deepEqual(await names(), ['last']);
    assert.deepEqual(Object.keys(entriesOf(await items.get(listKey(user)))), [id('last')], 'sessionsOf has taken the others off');
    assert.equal((await backend.aws.calls())['dynamodb:Scan'], undefined);
  });

  it('are listed, although their list cannot be put right', async () => {
    await logIn(store(), 'a');
    await logIn(store(), 'b');
    await items.remove(id('a'));
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
    assert.deepEqual(await names(), ['b']);
    await backend.aws.clearFaults();
  });
});

for (const { name, start } of backends) {
  describe(`the list of a user on ${name}`, () => {
    const START = Date.UTC(2030, 0, 1);
    const DAY = 24 * HOUR;
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    const store = () => backend.store({ users: USERS, ttlSeconds: HOUR / 1000, touchAfter: 0 });

    it('outlives its sessions, however long they are touched', async (t) => {
      mock.timers.enable({ apis: ['Date'], now: START });
      t.after(() => mock.timers.reset());
      const own = store();
      await own.set('touched', { user: 'ada' });
      await own.set('saved', { user: 'ada', count: 0 });
      for (let half = 1; half <= 60; half++) {
        mock.timers.setTime(START + half * (HOUR / 2));
        await own.touch('touched', (await own.get('touched'))!);
        const session: any = await own.get('saved');
        session.count++;
        await own.set('saved', session);
        if (half % 20 !== 0) continue;
        // Local mode removes what has ended with the first call of a store, as DynamoDB does by itself.
        const cleaning = backend.store();
        await cleaning.get('none');
        await cleaning.close();
      }
      const ids = (await store().sessionsOf('ada')).map(({ id }) => id);
      assert.deepEqual(ids, ['saved', 'touched']);
      assert.equal(await store().destroyAllOf('ada'), 2);
      assert.equal(await own.get('touched'), null);
      if ('aws' in backend) {
        const items = new TableItems((backend as AwsBackend).aws);
        await own.set('a', { user: 'eve' });
        const { ttl } = (await items.get(listKey('eve')))!;
        assert.equal(Number(ttl.N), Math.floor(Date.now() / 1000) + 3600 + 315_360_000);
        items.close();
      }
    });

    it('that was empty and is deleted does not stand in the way of the next login', async (t) => {
      mock.timers.enable({ apis: ['Date'], now: START + 30 * DAY });
      t.after(() => mock.timers.reset());
      const own = store();
      await own.set('first', { user: 'bob' });
      await own.destroy('first');
      mock.timers.setTime(START + 33 * DAY);
      const cleaning = backend.store();
      await cleaning.get('none');
      await cleaning.close();
      await own.set('second', { user: 'bob' });
      assert.deepEqual(
        (await store().sessionsOf('bob')).map(({ id }) => id),
        ['second'],
      );
      assert.equal(await own.destroyAllOf('bob'), 1);
    });
  });
}
