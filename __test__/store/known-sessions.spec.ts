// Sessions that a store knows again when a plain caller passes them back; known-sessions-frameworks.spec.ts has the frameworks.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import session from 'express-session';
import { type Backend, backends } from '../support/backends.ts';
import { outcomes } from '../support/outcomes.ts';

const SOME_DAY = '2099-12-31T23:59:59.999Z';
const COOKIE = { originalMaxAge: 3_600_000, expires: SOME_DAY, secure: false, httpOnly: true, path: '/', sameSite: 'lax' };
const SESSION = { cookie: COOKIE, user: 'ada', tokens: { access_token: 'ya29', scopes: ['a', 'b'] }, visits: 0 };

const fresh = (): any => structuredClone(SESSION);

/** What a caller may do to the object that `get` gave without changing the session. */
const sameContent: Record<string, (session: any) => unknown> = {
  nothing: () => {},
  'a change that is taken back': (session) => {
    session.visits = 1;
    session.visits = 0;
  },
  'a property that JSON leaves out': (session) => {
    session.helper = () => {};
    session.nothing = undefined;
    Object.defineProperty(session, 'hidden', { value: 1 });
  },
  'another order of its properties': (session) => {
    const { user } = session;
    delete session.user;
    session.user = user;
  },
  'a Date in place of its text': (session) => {
    session.cookie.expires = new Date(session.cookie.expires);
  },
  'another end of the cookie, far behind the end of the session': (session) => {
    session.cookie.expires = '2098-01-01T00:00:00.000Z';
  },
  'a lifetime of the cookie that lost a millisecond': (session) => {
    session.cookie.originalMaxAge -= 1;
  },
  'properties of the cookie that are null': (session) => {
    session.cookie.domain = null;
    session.cookie.partitioned = null;
  },
};

const otherContent: Record<string, (session: any) => unknown> = {
  'a changed value': (session) => session.visits++,
  'a value of another type': (session) => {
    session.visits = '0';
  },
  'a change deep inside': (session) => session.tokens.scopes.push('c'),
  'another order in an array': (session) => session.tokens.scopes.reverse(),
  'an added property': (session) => {
    session.note = null;
  },
  'a removed property': (session) => delete session.tokens,
  'a property in place of one that means the same to a careless hash': (session) => {
    session.use = 'rada';
    delete session.user;
  },
  "the cookie's sameSite": (session) => {
    session.cookie.sameSite = 'strict';
  },
  "the cookie's lifetime": (session) => {
    session.cookie.originalMaxAge = 7_200_000;
  },
  'a removed cookie': (session) => delete session.cookie,
};

/** How a session goes. */
const ends: Record<string, (store: DynamoDBSessionStore, sid: string) => Promise<unknown>> = {
  destroy: (store, sid) => store.destroy(sid),
  clear: (store) => store.clear(),
};

for (const { name, start } of backends) {
  describe(`known sessions on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    /** A store of its own part of the table, with a saved session that another store has written. */
    async function saved(options = {}) {
      const prefix = `${++number}:`;
      const sid = `sid-${number}`;
      const [store, other] = [backend.store({ prefix, ...options }), backend.store({ prefix, ...options })];
      await other.set(sid, fresh());
      return { sid, store, other };
    }

    it('an object of a framework that cannot be compared counts as changed', async () => {
      const store = backend.store();
      const sid = 'not comparable';
      await store.set(sid, { cookie: {}, visits: 1 });
      await store.get(sid);
      const isModified = () => {
        throw new Error('isModified');
      };
      const session = Object.defineProperty({ cookie: {}, visits: 2, sessionId: sid, isModified }, 'constructor', {
        value: class {},
      });
      assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { written: 1 });
      assert.equal((await backend.store().get(sid))!.visits, 2);
    });

    for (const name of ['\ud83d', '\udc00 behind text', 'x\ud83d', '\ud83d\ude00', '', '__proto__', 'cookie ']) {
      it(`a session with the property name ${JSON.stringify(name)} is saved, changed and known as any other`, async () => {
        const store = backend.store();
        const named = (value: number) =>
          JSON.parse(JSON.stringify({ cookie: {}, at: value }).replace('"at"', JSON.stringify(name)));
        const sid = `named ${Buffer.from(name).toString('hex')} ${name.length}`;
        await store.set(sid, named(1));
        const session = (await store.get(sid))!;
        assert.deepStrictEqual(session, named(1));
        assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { unchanged: 1 });
        Object.defineProperty(session, name, { value: 2, enumerable: true });
        assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { written: 1 });
        assert.deepStrictEqual(await backend.store().get(sid), named(2));
        const updated = await store.update(sid, (session) => void Object.defineProperty(session, name, { value: 3 }));
        assert.deepStrictEqual(updated, named(3));
      });
    }

    for (const cookie of [null, 'text', [1, 2], { toJSON: 7, path: '/' }, { path: '/', expires: null }]) {
      it(`a callback gets what was saved and nothing else, with the cookie ${JSON.stringify(cookie)}`, async () => {
        const { store } = await saved();
        const session: any = { user: 'ada', cookie };
        await store.set('any cookie', session);
        const [got, json] = await new Promise<any>((resolve) =>
          store.get('any cookie', (error, found) => resolve([error ?? found, JSON.stringify(found)])),
        );
        assert.equal(json, JSON.stringify(session));
        assert.deepStrictEqual(got, session);
        if (cookie !== null) assert.deepEqual(Reflect.ownKeys(Object(got.cookie)), Reflect.ownKeys(Object(cookie)));
      });
    }

    it('an object that only has its id in it, as sessions of @fastify/session do, is a new session', async () => {
      const { store, other } = await saved();
      const sid = 'named within';
      await store.set(sid, { sessionId: sid, user: 'ada' });
      await other.destroy(sid);
      assert.deepEqual(await outcomes(store, () => store.set(sid, { sessionId: sid, user: 'bob' })), { written: 1 });
      assert.equal((await other.get(sid))!.user, 'bob');
    });

    it('get gives what was saved and nothing else, also after a touch that does not move the end past the cookie', async () => {
      const { sid, store, other } = await saved({ touchAfter: 0, ttlSeconds: 600 });
      for (const reader of [store, other, backend.store({ prefix: `${number}:` })]) {
        const got: any = await reader.get(sid);
        assert.deepStrictEqual(got, fresh());
        assert.deepEqual(Reflect.ownKeys(got), Reflect.ownKeys(fresh()));
        assert.deepEqual(Reflect.ownKeys(got.cookie), Reflect.ownKeys(COOKIE));
        await reader.touch(sid, got);
        await reader.set(sid, got);
        assert.deepStrictEqual(got, fresh()); // what the caller holds is not written on either
        assert.deepStrictEqual(await reader.get(sid), fresh());
      }
    });

    for (const [kind, change] of Object.entries(sameContent)) {
      it(`${kind}: a save of what get gave rewrites nothing`, async () => {
        const { sid, store, other } = await saved();
        const session = (await store.get(sid))!;
        const { authTag } = (await store.record(sid))!;
        change(session);
        assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { unchanged: 1 });
        assert.equal((await other.record(sid))!.authTag, authTag);
      });
    }

    for (const [kind, change] of Object.entries(otherContent)) {
      it(`${kind}: a save of what get gave writes it`, async () => {
        const { sid, store, other } = await saved();
        const session = (await store.get(sid))!;
        change(session);
        assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { written: 1 });
        assert.deepStrictEqual(await other.get(sid), JSON.parse(JSON.stringify(session)));
      });
    }

    it('the same object may be saved again and again, and is written as often as it has changed', async () => {
      const { store, other } = await saved();
      const session = fresh();
      const save = () => outcomes(store, () => store.set('new', session));
      assert.deepEqual(await save(), { written: 1 });
      assert.deepEqual(await save(), { unchanged: 1 });
      session.visits = 1;
      assert.deepEqual(await save(), { written: 1 });
      session.visits = 0; // what it was at first, but not what is there now
      assert.deepEqual(await save(), { written: 1 });
      assert.deepEqual(await save(), { unchanged: 1 });
      assert.deepStrictEqual(await other.get('new'), fresh());
      assert.equal(store.stats().sessions.conflicts, 0);
    });

    it('a touch between two saves leaves the object known', async () => {
      const { sid, store } = await saved();
      const session = (await store.get(sid))!;
      session.visits = 1;
      await store.touch(sid, session);
      assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { written: 1 });
      await store.touch(sid, session);
      assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { unchanged: 1 });
    });

    it('two objects of one session are both known, and the one that did not change undoes nothing', async () => {
      const { sid, store, other } = await saved();
      const [changed, stale] = [(await store.get(sid))!, (await store.get(sid))!];
      changed.visits = 1;
      await store.set(sid, changed);
      assert.deepEqual(await outcomes(store, () => store.set(sid, stale)), { unchanged: 1 });
      assert.equal((await other.get(sid))!.visits, 1);
    });

    it('an object that did not change undoes nothing of another store either, also when its end is moved', async () => {
      const { sid, store, other } = await saved({ touchAfter: 0, ttlSeconds: (session: any) => (session.stale ? 7200 : 3600) });
      const stale = (await store.get(sid))!;
      Object.defineProperty(stale, 'stale', { value: true }); // another end, the same content
      const changed = (await other.get(sid))!;
      changed.visits = 1;
      await other.set(sid, changed);
      const { ttl, ...sealed } = (await other.record(sid))!;
      assert.deepEqual(await outcomes(store, () => store.set(sid, stale)), { extended: 1 });
      const { ttl: moved, ...still } = (await other.record(sid))!;
      assert.deepEqual(still, sealed);
      assert.ok(moved >= ttl + 3600);
      assert.equal((await other.get(sid))!.visits, 1);
      assert.equal(store.stats().sessions.conflicts, 0);
    });

    for (const [way, end] of Object.entries(ends)) {
      for (const elsewhere of [false, true]) {
        it(`a known session stays gone after ${way} in ${elsewhere ? 'another' : 'the same'} store, whatever is done to it`, async () => {
          const { sid, store, other } = await saved({ touchAfter: 0, ttlSeconds: (session: any) => session.seconds ?? 600 });
          const objects = await Promise.all(Array.from({ length: 4 }, () => store.get(sid)));
          const [same, changed, touched, touchedFirst]: any[] = objects;
          const own = fresh();
          await store.set(sid, own); // known because it was saved
          await end(elsewhere ? other : store, sid);
          // A new end, so that something would have to be sent.
          for (const object of [same, touched, touchedFirst]) Object.defineProperty(object, 'seconds', { value: 1200 });
          changed.visits = own.visits = 1;
          const saves = await outcomes(store, async () => {
            assert.equal(await store.set(sid, same), undefined);
            assert.equal(await store.set(sid, changed), undefined);
            assert.equal(await store.set(sid, own), undefined);
            assert.equal(await store.touch(sid, touched), undefined);
            await store.touch(sid, touchedFirst);
            await store.set(sid, touchedFirst);
            await store.set(sid, changed); // a second time, after the first was refused
          });
          assert.deepEqual(saves, { gone: 7 });
          assert.equal(await store.record(sid), null);
          assert.equal(await other.get(sid), null);
        });
      }
    }

    it('a plain object that the store does not know is a new session, also after destroy', async () => {
      const { sid, store, other } = await saved();
      const got = (await store.get(sid))!;
      await store.destroy(sid);
      const copy = { ...got };
      assert.deepEqual(await outcomes(store, () => store.set(sid, copy)), { written: 1 });
      assert.deepStrictEqual(await other.get(sid), fresh());
    });

    it('an object of session A that is saved under the id B is a new session B', async () => {
      const { sid, store, other } = await saved();
      await store.set('B', { other: true });
      await store.destroy('B'); // were the object known as B, it would have to stay gone
      const session = (await store.get(sid))!;
      assert.deepEqual(await outcomes(store, () => store.set('B', session)), { written: 1 });
      assert.deepStrictEqual(await other.get('B'), fresh());
      assert.deepStrictEqual(await other.get(sid), fresh());
      // Now the object is of B.
      assert.deepEqual(await outcomes(store, () => store.set('B', session)), { unchanged: 1 });
      await other.destroy('B');
      session.visits = 1;
      assert.deepEqual(await outcomes(store, () => store.set('B', session)), { gone: 1 });
    });

    it('two stores do not know the objects of each other', async () => {
      const { sid, store, other } = await saved();
      const session = (await other.get(sid))!;
      await store.destroy(sid);
      // To its own store it is a session that is gone, to the first one a new session.
      session.visits = 1;
      assert.deepEqual(await outcomes(other, () => other.set(sid, session)), { gone: 1 });
      assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { written: 1 });
    });

    it('the objects of all are not known: a save of one writes it', async () => {
      const { sid, store } = await saved();
      const [session] = await store.all();
      assert.deepEqual(await outcomes(store, () => store.set(sid, session!)), { written: 1 });
    });

    it("a session object of express-session is known if its store's get has given what it was made of", async () => {
      const { sid, store, other } = await saved();
      const request: any = { sessionID: sid, sessionStore: store };
      const loaded = store.createSession(request, await store.get(sid));
      assert.ok(loaded.cookie instanceof session.Cookie);
      assert.deepEqual(await outcomes(store, () => store.set(sid, loaded)), { unchanged: 1 });
      const cached = store.createSession(request, fresh());
      assert.deepEqual(await outcomes(store, () => store.set(sid, cached)), { written: 1 });
      await other.destroy(sid);
      loaded.visits = 1;
      assert.deepEqual(await outcomes(store, () => store.set(sid, loaded)), { gone: 1 });
      const made = store.createSession(request, fresh());
      assert.deepEqual(await outcomes(store, () => store.set(sid, made)), { written: 1 });
    });

    it('a session that cannot be saved leaves what is known as it was', async () => {
      const { sid, store } = await saved();
      const session = (await store.get(sid))!;
      session.count = 1n;
      await assert.rejects(store.set(sid, session), { code: 'ERR_SERIALIZATION' });
      delete session.count;
      assert.deepEqual(await outcomes(store, () => store.set(sid, session)), { unchanged: 1 });
    });
  });
}
