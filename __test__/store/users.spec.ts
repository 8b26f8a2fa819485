// The option `users`: sessionsOf and destroyAllOf, on both backends and in both versions.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { DynamoDBSessionStore, SealedStore } from 'connect-dynamodb-kms';
import { type Backend, backends, quietLogger } from '../support/backends.ts';
import { byCallback } from '../support/calls.ts';
import { assertFailure, failing } from '../support/failures.ts';

const SECRET = 'a secret of the users';
const users = { idOf: 'user.id', secret: SECRET };
const of = (id: unknown, more: object = {}) => ({ cookie: { path: '/' }, user: { id }, ...more });
/** An object whose properties cannot be read. */
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

for (const { name, start } of backends) {
  for (const recordVersion of [1, 2] as const) {
    for (const hashSessionIds of [false, true]) {
      describe(`users, version ${recordVersion}, ids ${hashSessionIds ? 'hashed' : 'plain'}, on ${name}`, () => {
        let backend: Backend;
        let store: DynamoDBSessionStore;
        before(async () => {
          backend = await start();
        });
        after(() => backend.stop());
        const another = (options = {}) => backend.store({ recordVersion, hashSessionIds, users, ...options });
        beforeEach(async () => {
          store = another();
          await store.clear();
        });
        const ids = async (user: string | number, by = store) => (await by.sessionsOf(user)).map(({ id }) => id);

        it("lists a user's sessions, the latest login first, and nobody else's", async () => {
          await store.set('a', of('ada', { device: 'phone' }));
          await another().set('b', of('ada'));
          await store.set('c', of('bob'));
          await store.set('d', { cookie: { path: '/' } });
          assert.deepEqual(await store.sessionsOf('ada'), [
            { ...of('ada'), id: 'b' },
            { ...of('ada', { device: 'phone' }), id: 'a' },
          ]);
          assert.deepEqual(await ids('eve'), []);
          assert.equal(await store.length(), 4);
        });

        it('ends all of them but one, on every store', async () => {
          for (const sid of ['a', 'b', 'c']) await another().set(sid, of('ada'));
          await store.set('x', of('bob'));
          assert.equal(await another().destroyAllOf('ada', { except: 'b' }), 2);
          assert.deepEqual(await ids('ada'), ['b']);
          assert.equal(await store.destroyAllOf('ada'), 1);
          assert.equal(await store.destroyAllOf('ada'), 0);
          assert.deepEqual(await store.ids(), ['x']);
        });

        it('a stale request does not bring back a session that was ended with all of them', async () => {
          await store.set('a', of('ada'));
          const stale = await store.get('a');
          await another().destroyAllOf('ada');
          await store.set('a', { ...stale, changed: true });
          await store.touch('a', stale!);
          const changed = Object.assign(stale!, { changed: true });
          await store.set('a', changed);
          assert.deepEqual(await ids('ada'), ['a'], 'a plain copy is a new session');
          await store.destroyAllOf('ada');
          await store.set('a', changed);
          assert.deepEqual(await store.ids(), []);
        });

        it('follows a change of the user, and a logout that keeps the session', async () => {
          await store.set('a', of('ada'));
          const session = (await store.get('a'))!;
          session.user = { id: 'bob' };
          await store.set('a', session);
          assert.deepEqual([await ids('ada'), await ids('bob')], [[], ['a']]);
          await store.update('a', (session) => void delete session.user);
          assert.deepEqual(await ids('bob'), []);
          assert.equal(await store.destroyAllOf('bob'), 0);
          assert.deepEqual(await store.ids(), ['a']);
        });

        it('takes numbers and bigints for their digits', async () => {
          await store.set('a', of(7));
          await store.set('b', of('7'));
          const byNumber = another({ users: { ...users, idOf: () => 7n } });
          await byNumber.set('c', of('x'));
          assert.deepEqual(await ids(7), ['b', 'a'], "'c' says that it is x's");
          assert.deepEqual(await ids(7, byNumber), ['c', 'b', 'a']);
          assert.equal(await store.destroyAllOf(7n), 3);
        });

        it('a session without a user is nobody’s', async () => {
          for (const [sid, user] of Object.entries({ a: undefined, b: null, c: false })) await store.set(sid, of(user));
          await store.set('d', { cookie: { path: '/' }, user: undefined });
          assert.equal((await store.ids()).length, 4);
        });

        it('a save whose user has no usable id fails, and says why', async () => {
          const bad: [unknown, RegExp][] = [
            ['', /an empty string/],
            [1.5, /a number that is not whole/],
            [2 ** 60, /a number that is not whole or not exact/],
            [Number.NaN, /a number that is not whole/],
            [true, /the type boolean/],
            [{ id: 1 }, /an object; name the id in it/],
            [() => 'ada', /the type function/],
            [revoked(), /an object; name the id in it/],
            ['undefined', /the text 'undefined'/],
            ['[object Object]', /the text '\[object Object\]'/],
            ['\ud800', /lone surrogates/],
          ];
          for (const [id, detail] of bad) {
            const failed: any = await failing(store.set('a', of(id)), 'ERR_CONFIG');
            assert.match(failed.detail, detail);
            const touched: Promise<void> = store.touch('a', of(id) as any);
            await failing(touched, 'ERR_CONFIG');
          }
          const throwing = another({ users: { ...users, idOf: (session: any) => session.user.id } });
          const failed: any = await failing(throwing.set('a', { cookie: { path: '/' } }), 'ERR_CONFIG');
          assert.match(failed.detail, /session\.user\?\.id/);
          assert(failed.cause instanceof TypeError);
          assert.deepEqual(await store.ids(), []);
        });

        it('refuses functions that are async, whether or not their promises fail', async (t) => {
          const unhandled = t.mock.fn();
          process.on('unhandledRejection', unhandled);
          t.after(() => process.off('unhandledRejection', unhandled));
          const late = async () => {
            throw new Error('no such user');
          };
          for (const idOf of [async () => 'ada', late] as any[]) {
            const store = another({ users: { ...users, idOf } });
            assert.match((await failing(store.set('a', of('x')), 'ERR_CONFIG')).detail, /a promise/);
            assert.match((await failing(store.sessionsOf(idOf()), 'ERR_CONFIG')).detail, /a promise/);
          }
          for (const ttlSeconds of [async () => 60, late] as any[]) {
            const store = another({ ttlSeconds });
            assert.match((await failing(store.set('a', of('x')), 'ERR_CONFIG')).detail, /ttlSeconds.*a promise/);
          }
          await new Promise(setImmediate);
          assert.equal(unhandled.mock.callCount(), 0);
        });

        it('refuses what is no user id, and options that it does not have', async () => {
          for (const id of [undefined, null, '', {}, Number.NaN, false, 'undefined', 'null', revoked()] as any[]) {
            await failing(store.sessionsOf(id), 'ERR_CONFIG');
            await failing(store.destroyAllOf(id), 'ERR_CONFIG');
          }
          const failed: any = await failing(store.sessionsOf(undefined as any), 'ERR_CONFIG');
          assert.match(failed.detail, /not undefined \(is somebody signed in\?\)/);
          for (const options of [{ except: 7 }, { except: '' }, { but: 'a' }, 'a'] as any[])
            await failing((store.destroyAllOf as any)('ada', options), 'ERR_CONFIG');
        });

        it('shows in the record under which user a session is listed', async () => {
          await store.set('a', of('ada'));
          await store.set('b', of(undefined));
          await another({ users: undefined }).set('c', of('ada'));
          const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((sid) => store.record(sid)));
          assert.match(a!.user!, /^[\w-]{43}$/);
          assert(Number.isSafeInteger(a!.userEntry));
          assert.deepEqual([b!.user, b!.userEntry], ['-', undefined]);
          assert.deepEqual([c!.user, c!.userEntry], [undefined, undefined]);
        });

        it('calls back', async () => {
          await store.set('a', of('ada'));
          const [, [session]] = await byCallback((callback) => store.sessionsOf('ada', callback));
          assert.equal(session.id, 'a');
          assert.deepEqual(await byCallback((callback) => store.destroyAllOf('ada', { except: 'a' }, callback)), [null, 0]);
          assert.deepEqual(await byCallback((callback) => store.destroyAllOf('ada', callback)), [null, 1]);
          const [error] = await byCallback((callback) => store.destroyAllOf('' as any, callback));
          assertFailure(error, 'ERR_CONFIG');
        });

        it('a login beyond maxSessions ends the oldest', async () => {
          const limited = another({ users: { ...users, maxSessions: 2 } });
          for (const sid of ['a', 'b', 'c']) await limited.set(sid, of('ada'));
          assert.deepEqual(await ids('ada'), ['c', 'b']);
          assert.deepEqual((await store.ids()).sort(), ['b', 'c']);
        });

        it('a session from before the option joins with its next save or touch', async () => {
          const before = another({ users: undefined });
          for (const sid of ['saved', 'touched']) await before.set(sid, of('ada'));
          assert.deepEqual(await ids('ada'), []);
          await store.set('saved', (await store.get('saved'))!);
          await store.touch('touched', (await store.get('touched'))!);
          assert.deepEqual(await ids('ada'), ['touched', 'saved']);
          assert.equal(store.stats().sessions.conflicts, 0);
        });
      });
    }
  }
}

describe('an idOf that looks in the wrong place', () => {
  for (const call of ['sessionsOf', 'destroyAllOf'] as const) {
    it(`is named in the log, once, when ${call} is called`, async (t) => {
      const backend = await backends[0]!.start();
      t.after(() => backend.stop());
      const logger = quietLogger();
      const store = backend.store({ logger, users: { idOf: 'user.name', secret: SECRET } });
      await store[call]('ada');
      assert.deepEqual(logger.lines, [], 'no session was saved');
      await store.set('a', of('ada'));
      for (let times = 0; times < 2; times++) await store[call]('ada');
      assert.equal(logger.lines.length, 1);
      assert.match(logger.lines[0]!, /^warn .*users\.idOf has given no user yet/);
    });
  }

  it('is not suspected once it gave a user', async (t) => {
    const backend = await backends[0]!.start();
    t.after(() => backend.stop());
    const logger = quietLogger();
    const store = backend.store({ logger, users });
    for (const id of [undefined, 'bob']) await store.set(`of ${id}`, of(id));
    await store.destroyAllOf('ada');
    assert.deepEqual(logger.lines, []);
  });
});

describe('the option users', () => {
  const options = { local: { path: '/nowhere' }, logger: quietLogger(), recordVersion: 1 as const };
  const bad: Record<string, [unknown, RegExp]> = {
    'no object': [true, /users must be an object with idOf and secret/],
    'no idOf': [{ secret: SECRET }, /users\.idOf/],
    'an idOf that is no path': [{ idOf: 'user..id', secret: SECRET }, /users\.idOf/],
    'an idOf of another type': [{ idOf: 7, secret: SECRET }, /users\.idOf/],
    'no secret': [{ idOf: 'user' }, /secret/],
    'a short secret': [{ idOf: 'user', secret: 'short' }, /at least 16 bytes/],
    'maxSessions 0': [{ ...users, maxSessions: 0 }, /1 to 2000/],
    'maxSessions 2001': [{ ...users, maxSessions: 2001 }, /1 to 2000/],
    'an unknown option': [{ ...users, max: 3 }, /max/],
    'a getter that throws': [
      {
        get idOf() {
          throw new Error('no');
        },
      },
      /cannot be read/,
    ],
  };
  for (const [what, [value, detail]] of Object.entries(bad)) {
    it(`refuses ${what}`, () => {
      const make = () => new DynamoDBSessionStore({ ...options, users: value as any });
      assert.throws(make, (error: any) => {
        assertFailure(error, 'ERR_CONFIG');
        assert.match(error.detail, detail);
        return true;
      });
    });
  }

  it('is none of a store of items', () => {
    const make = () => new SealedStore({ ...options, users } as any);
    assert.throws(
      make,
      (error: any) => error.code === 'ERR_CONFIG' && error.detail.startsWith('users is an option of DynamoDBSessionStore'),
    );
  });

  it('leaves the caller’s object as it is, and may be frozen', () => {
    const frozen = Object.freeze({ ...users });
    new DynamoDBSessionStore({ ...options, users: frozen });
    assert.deepEqual(frozen, users);
  });

  it('is needed by sessionsOf and destroyAllOf', async () => {
    const store = new DynamoDBSessionStore(options);
    const failed: any = await failing(store.sessionsOf('ada'), 'ERR_CONFIG');
    assert.match(failed.detail, /the option users/);
    await failing(store.destroyAllOf('ada'), 'ERR_CONFIG');
  });
});
