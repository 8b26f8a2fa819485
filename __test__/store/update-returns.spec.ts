// What the function given to update may return, and which sessions it may be given.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Backend, backends } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { frameworks } from '../support/framework-apps.ts';

const COOKIE = { path: '/', originalMaxAge: 60_000, expires: '2099-01-01T00:00:00.000Z' };

/** Functions as they slip in, whose value is not meant as a session. */
const MISTAKES: Record<string, (session: any) => any> = {
  'an assignment without braces': (s) => (s.user = { id: 7 }),
  'a counter without braces': (s) => s.visits++,
  'a deletion without braces': (s) => delete s.user,
  'a push without braces': (s) => s.list.push(1),
  'a change, and another object': (s) => {
    s.user = 'bob';
    return { ...s, visits: 2 };
  },
  'a change deep inside, and another object': (s) => ({ ...s, length: s.list.push(2) }),
  'a promise of a value': async (s) => (s.user = { id: 7 }),
  'an object without the cookie': () => ({ user: 'bob' }),
  'an object whose toJSON leaves the cookie out': (s) => ({ ...s, toJSON: () => ({ user: 'bob' }) }),
};

const RIGHT: Record<string, (session: any) => any> = {
  nothing: (s) => {
    s.user = 'bob';
  },
  'the session': (s) => Object.assign(s, { user: 'bob' }),
  null: (s) => {
    s.user = 'bob';
    return null;
  },
  'another object with the cookie': (s) => ({ ...s, user: 'bob' }),
};

for (const { name, start } of backends) {
  describe(`update on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    for (const touched of [false, true]) {
      const when = touched ? ', of a session whose end a touch has moved past its cookie' : '';

      for (const [mistake, mutate] of Object.entries(MISTAKES)) {
        it(`refuses ${mistake}, and writes nothing${when}`, async () => {
          const store = backend.store({ prefix: `${mistake}${touched}:` });
          const cookie = touched ? { ...COOKIE, expires: new Date(Date.now() + 60_000).toISOString() } : COOKIE;
          await store.set('sid', { cookie, user: 'ada', visits: 1, list: [] });
          if (touched) await store.touch('sid', { cookie: { expires: Date.now() + 3_600_000 } });
          const before = await store.record('sid');
          const error = await failing(store.update('sid', mutate), 'ERR_CONFIG');
          assert.match(error.detail, /in braces/);
          assert.deepEqual(await store.record('sid'), before);
        });
      }

      for (const [what, mutate] of Object.entries(RIGHT)) {
        it(`takes ${what}${when}`, async () => {
          const store = backend.store({ prefix: `right ${what}${touched}:` });
          const cookie = touched ? { ...COOKIE, expires: new Date(Date.now() + 60_000).toISOString() } : COOKIE;
          await store.set('sid', { cookie, user: 'ada' });
          if (touched) await store.touch('sid', { cookie: { expires: Date.now() + 3_600_000 } });
          assert.equal((await store.update('sid', mutate))?.user, 'bob');
          assert.equal((await store.get('sid'))?.user, 'bob');
        });
      }
    }

    it('of an object that was never saved is ERR_NOT_SAVED', async () => {
      const store = backend.store();
      const session = { id: 'a-new-session', cookie: COOKIE };
      const error = await failing(
        store.update(session, () => assert.fail('it must not run')),
        'ERR_NOT_SAVED',
        ['a-new-session'],
      );
      assert.match(error.detail, /save it first/);
      assert.equal(await store.get('a-new-session'), null);
    });

    it('of an object that is gone gives null', async () => {
      const store = backend.store();
      await store.set('sid', { cookie: COOKIE });
      const session = (await store.get('sid'))!;
      await backend.store().destroy('sid');
      assert.equal(await store.update(session, () => {}), null);
    });
  });
}

for (const framework of frameworks) {
  describe(`update of the session of a request of ${framework.name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await backends[0]!.start();
    });
    after(() => backend.stop());

    it('that was never saved fails, and the session can be saved and updated then', async (t) => {
      const store = backend.store();
      const codes: unknown[] = [];
      const { origin } = await framework.serve(t, store, {
        [framework.name === 'Fastify' ? 'idGenerator' : 'genid']: () => 'a-new-session',
      });
      // The route /save-alone saves in the middle; here the store is asked from outside, with the object that the framework saves.
      const { set } = store;
      store.set = ((sid: string, session: any, callback: any) => {
        void store
          .update(session, () => {})
          .catch((error) => codes.push(error.code))
          .then(() => set(sid, session, callback));
      }) as any;
      await fetch(`${origin}/save-alone`, { method: 'POST' });
      assert.equal(codes[0], 'ERR_NOT_SAVED');
      store.set = set;
      assert.equal((await store.get('a-new-session'))?.note, 'saved in the middle');
    });
  });
}
