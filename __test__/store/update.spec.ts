// update(): a change of a session that nobody else's change can undo, and that undoes nobody else's.

import assert from 'node:assert/strict';
import { after, before, describe, it, mock } from 'node:test';
import { type Backend, backends, quietLogger } from '../support/backends.ts';
import { byCallback } from '../support/calls.ts';
import { assertNothingOf, failing } from '../support/failures.ts';
import { START } from '../support/turned-clock.ts';

const count = (session: any) => {
  session.counter += 1;
};

for (const { name, start } of backends) {
  describe(`update on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    const newSid = () => `session-${++number}`;

    const mutates: Record<string, (session: any) => any> = {
      'in place': (session) => {
        session.user = 'Bob';
      },
      'in place, later': async (session) => {
        await null;
        session.user = 'Bob';
      },
      'by returning the same object': (session) => Object.assign(session, { user: 'Bob' }),
      'by returning another object': (session) => ({ ...session, user: 'Bob' }),
      'by a promise of another object': async (session) => ({ ...session, user: 'Bob' }),
      'by a promise-like of another object': (session) => ({
        // biome-ignore lint/suspicious/noThenProperty: such objects come from other promise libraries
        then: (resolve: (session: object) => void) => resolve({ ...session, user: 'Bob' }),
      }),
    };
    for (const [how, mutate] of Object.entries(mutates)) {
      for (const recordVersion of [1, 2] as const) {
        it(`changes a session ${how}, and gives it as it was written; version ${recordVersion}`, async () => {
          const sid = newSid();
          const store = backend.store({ recordVersion });
          await store.set(sid, { user: 'Ada', tokens: { a: 1 } });
          const before = (await store.record(sid))!;
          const updated = await store.update(sid, mutate);
          assert.deepStrictEqual(updated, { user: 'Bob', tokens: { a: 1 } });
          assert.deepStrictEqual(await backend.store().get(sid), updated);
          const after = (await store.record(sid))!;
          assert.notEqual(after.authTag, before.authTag);
          assert.deepEqual([after.ttl, after.version, after.encryptedKey], [before.ttl, recordVersion, before.encryptedKey]);
        });
      }
    }

    it('writes the version of its store, also over a record of the other', async () => {
      for (const [from, to] of [
        [1, 2],
        [2, 1],
      ] as const) {
        const sid = newSid();
        await backend.store({ recordVersion: from }).set(sid, { counter: 0 });
        const store = backend.store({ recordVersion: to });
        await store.update(sid, count);
        assert.equal((await store.record(sid))!.version, to);
        assert.deepStrictEqual(await store.get(sid), { counter: 1 });
      }
    });

    it('gives what JSON made of the session, as get does, and its result can be saved', async () => {
      const sid = newSid();
      const store = backend.store();
      await store.set(sid, { user: 'Ada' });
      const given: any = await store.update(sid, () => ({ at: new Date(START), nothing: undefined, gone: () => {} }));
      assert.deepStrictEqual(given, { at: '2030-01-01T00:00:00.000Z' });
      await store.set(sid, Object.assign(given, { user: 'Bob' }));
      assert.deepStrictEqual(await store.get(sid), { at: '2030-01-01T00:00:00.000Z', user: 'Bob' });
      assert.equal(store.stats().sessions.conflicts, 0);
    });

    it('leaves the record alone and fails with the very error if mutate throws, and the log does not tell what it says', async () => {
      const sid = newSid();
      const logger = quietLogger();
      const store = backend.store({ logger });
      await store.set(sid, { counter: 1 });
      const before = await store.record(sid);
      const thrown: unknown[] = [new Error('no token for secret-user'), 'a string of secret-user', { code: 'ERR_CONFLICT' }];
      for (const error of thrown) {
        const throwing = (session: any): never => {
          session.counter = 'changed';
          throw error;
        };
        for (const mutate of [throwing, async (session: any) => throwing(session)]) {
          const caught = await store.update(sid, mutate).then(
            () => assert.fail('it succeeded'),
            (reason) => reason,
          );
          assert.equal(caught, error);
          const [given] = await byCallback((callback) => store.update(sid, mutate, callback));
          assert.equal(given, error);
        }
      }
      assert.deepEqual(await store.record(sid), before);
      assert.equal(logger.lines.length, 1);
      assertNothingOf([sid, 'secret-user'], logger.lines.join('\n'));
    });

    it('loses none of many updates of one counter from two stores', async () => {
      const sid = newSid();
      const stores = [backend.store(), backend.store()];
      await stores[0].set(sid, { counter: 0 });
      const updates = Array.from({ length: 24 }, (_, index) => stores[index % 2].update(sid, count, { deadlineSeconds: 60 }));
      const given = await Promise.all(updates);
      assert.deepStrictEqual(await stores[0].get(sid), { counter: 24 });
      // Each wrote a number of its own: nobody wrote over anybody.
      assert.equal(new Set(given.map((session) => session!.counter)).size, 24);
    });

    it('reads again and calls mutate again if somebody else was faster, with what is there then', async () => {
      const sid = newSid();
      const [store, other] = [backend.store(), backend.store()];
      await store.set(sid, { counter: 0 });
      const seen: unknown[] = [];
      const updated = await store.update(sid, async (session) => {
        seen.push(structuredClone(session));
        if (seen.length <= 2) await other.update(sid, count);
        session.mine = true;
      });
      assert.deepEqual(seen, [{ counter: 0 }, { counter: 1 }, { counter: 2 }]);
      assert.deepStrictEqual(updated, { counter: 2, mine: true });
      assert.equal(store.stats().sessions.conflicts, 0); // nobody's change was in danger
    });

    for (const recordVersion of [1, 2] as const) {
      it(`takes back no touch that comes between its read and its write, in version ${recordVersion}`, async (t) => {
        mock.timers.enable({ apis: ['Date'], now: START });
        t.after(() => mock.timers.reset());
        const sid = newSid();
        const [store, other] = [0, 1].map(() => backend.store({ recordVersion, ttlSeconds: 100, touchAfter: 0 })) as [any, any];
        await store.set(sid, { counter: 0 });
        // The second is past the end that version 2 seals in, so that it seals the session again; the third brings the end nearer.
        const lives = [150, 1000, 50];
        for (const [round, seconds] of lives.entries()) {
          const toucher = backend.store({ recordVersion, ttlSeconds: seconds, touchAfter: 0 });
          const touching = await toucher.get(sid);
          let calls = 0;
          const updated = await store.update(sid, async (session: any) => {
            if (++calls === 1) await toucher.touch(sid, touching!);
            count(session);
          });
          assert.deepStrictEqual(updated, { counter: round + 1 });
          assert.equal((await other.record(sid)).ttl, START / 1000 + seconds);
          assert.deepStrictEqual(await other.get(sid), updated);
        }
        mock.timers.setTime(START + 60_000);
        assert.equal(await other.get(sid), null);
        assert.equal(await store.update(sid, () => assert.fail('it has ended')), null);
      });
    }

    it('shows other readers the session before or after, never half of it', async () => {
      const sid = newSid();
      const [store, other] = [backend.store(), backend.store()];
      await store.set(sid, { left: 1, right: 1 });
      await store.update(sid, async (session) => {
        session.left = 2;
        for (const reader of [store, other]) assert.deepStrictEqual(await reader.get(sid), { left: 1, right: 1 });
        session.right = 2;
        for (const reader of [store, other]) assert.deepStrictEqual(await reader.get(sid), { left: 1, right: 1 });
      });
      for (const reader of [store, other]) assert.deepStrictEqual(await reader.get(sid), { left: 2, right: 2 });
    });

    it('gives null without calling mutate if there is no session, or it has ended', async (t) => {
      mock.timers.enable({ apis: ['Date'], now: START });
      t.after(() => mock.timers.reset());
      const store = backend.store({ ttlSeconds: 60 });
      const [missing, ended] = [newSid(), newSid()];
      await store.set(ended, { user: 'Ada' });
      mock.timers.setTime(START + 60_000);
      for (const sid of [missing, ended]) assert.equal(await store.update(sid, () => assert.fail('mutate was called')), null);
      assert.equal(await store.record(missing), null);
    });

    for (const [who, index] of Object.entries({ 'another store': 1, 'the same store': 0 })) {
      it(`gives null and brings nothing back if ${who} destroys the session in the middle`, async () => {
        const sid = newSid();
        const stores = [backend.store(), backend.store()];
        await stores[0].set(sid, { counter: 0 });
        const updated = await stores[0].update(sid, async (session) => {
          await stores[index].destroy(sid);
          session.counter = 1;
        });
        assert.equal(updated, null);
        assert.equal(await stores[0].record(sid), null);
      });
    }

    it('finds the session by its id where the table has but a hash of it', async () => {
      for (const hashSessionIds of [true, { secret: 'the secret of at least 16 bytes' }]) {
        const options = { prefix: `app-${number}:`, hashSessionIds };
        const sid = newSid();
        const store = backend.store(options);
        await store.set(sid, { counter: 0 });
        const session = (await store.get(sid))!;
        assert.deepStrictEqual(await store.update(sid, count), { counter: 1 });
        assert.deepStrictEqual(await backend.store(options).update(sid, count), { counter: 2 });
        await store.set(sid, session); // not changed since it was read, so it undoes nothing
        assert.deepStrictEqual(await store.get(sid), { counter: 2 });
        assert.deepEqual(await store.ids(), [sid]);
      }
    });

    it('refreshes the object that it is given, so that a save of it undoes nothing', async () => {
      const sid = newSid();
      const [store, other] = [backend.store(), backend.store()];
      await store.set(sid, { counter: 0, old: true });
      const held: any = await store.get(sid);
      await other.update(sid, count);
      const updated = await store.update(held, (session) => {
        delete session.old;
        session.counter += 1;
      });
      assert.deepStrictEqual(held, { counter: 2 });
      assert.deepStrictEqual(updated, held);
      assert.notEqual(updated, held);
      const before = await store.record(sid);
      await store.set(sid, held);
      assert.deepEqual(await store.record(sid), before);
      held.counter += 1;
      await store.set(sid, held);
      assert.deepStrictEqual(await other.get(sid), { counter: 3 });
      assert.equal(store.stats().sessions.conflicts, 0);
    });

    it('refreshes an object again after the request has saved a change of its own in between', async () => {
      const [sid, store] = [newSid(), backend.store()];
      await store.set(sid, { counter: 0, note: 'as it was' });
      const held: any = (await store.get(sid))!;
      await store.update(held, count);
      held.note = 'of the request';
      await store.set(sid, held);
      await store.update(held, (session) => {
        session.note = 'of the update';
      });
      assert.deepEqual(held, { counter: 1, note: 'of the update' });
    });

    it('leaves what the request adds to the object meanwhile, for the save at its end', async () => {
      const [sid, store] = [newSid(), backend.store()];
      await store.set(sid, { counter: 0 });
      const held: any = (await store.get(sid))!;
      await store.update(held, async (session) => {
        held.added = 'by the request';
        session.counter += 1;
      });
      assert.deepEqual(held, { counter: 1, added: 'by the request' });
      await store.set(sid, held);
      assert.deepEqual(await store.get(sid), held);
    });

    it('refuses an object with unsaved changes, and leaves them and the record alone', async () => {
      const sid = newSid();
      const store = backend.store();
      await store.set(sid, { counter: 0 });
      const held: any = await store.get(sid);
      held.note = 'unsaved';
      const before = await store.record(sid);
      const error = await failing(
        store.update(held, () => assert.fail('mutate was called')),
        'ERR_CONFLICT',
        [sid],
      );
      assert.match(error.detail, /not saved/);
      assert.deepEqual([held, await store.record(sid)], [{ counter: 0, note: 'unsaved' }, before]);
      await store.set(sid, held);
      await store.update(held, count);
      assert.deepStrictEqual(await store.get(sid), { counter: 1, note: 'unsaved' });
    });
  });
}
