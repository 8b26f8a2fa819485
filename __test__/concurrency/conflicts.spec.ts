// Two copies of one session that both were changed: what becomes of the later save, and who hears of it.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it, mock, type TestContext } from 'node:test';
import type { DynamoDBSessionStore, SessionConflict, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, quietLogger, startAws } from '../support/backends.ts';
import { assertNothingOf, failing } from '../support/failures.ts';
import { PlainStore } from '../support/plain-store.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

type Mode = NonNullable<SessionStoreConfig['onConflict']>;

/** What becomes of the later of two saves. */
const MODES: Array<{ onConflict: Mode; resolution: SessionConflict['resolution']; winner: 'first' | 'second'; writes: number }> =
  [
    { onConflict: 'overwrite', resolution: 'overwritten', winner: 'second', writes: 1 },
    { onConflict: 'error', resolution: 'refused', winner: 'first', writes: 0 },
    { onConflict: 'drop', resolution: 'dropped', winner: 'first', writes: 0 },
  ];
/** The modes in which the later of two saves writes nothing. */
const KEEPING = MODES.filter(({ winner }) => winner === 'first');

const hashOf = (sid: string) => createHash('sha256').update(sid).digest('hex');

/** The conflicts that a store tells of, also those of a moment later. */
function conflictsOf(store: DynamoDBSessionStore): SessionConflict[] {
  const seen: SessionConflict[] = [];
  store.on('conflict', (conflict) => seen.push(conflict));
  return seen;
}

/** Saves; the failure that 'error' asks for is no failure of the test. */
async function save(store: DynamoDBSessionStore, sid: string, session: object, onConflict?: Mode): Promise<void> {
  if (onConflict === 'error') await failing(store.set(sid, session), 'ERR_CONFLICT', [sid]);
  else await store.set(sid, session);
}

for (const { name, start } of backends) {
  describe(`two changed copies of a session on ${name}`, () => {
    let backend: Backend;
    let number = 0;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    const newSid = () => `the-session-${++number}`;

    for (const recordVersion of [1, 2] as const) {
      for (const { onConflict, resolution, winner, writes } of MODES) {
        for (const count of [2, 1]) {
          it(`with '${onConflict}' the later save is ${resolution}; version ${recordVersion}, ${count === 2 ? 'two stores' : 'one store'}`, async () => {
            const sid = newSid();
            const options = { onConflict, recordVersion };
            const first = backend.store(options);
            const second = count === 2 ? backend.store(options) : first;
            await first.set(sid, { user: 'Ada' });
            const [one, other]: any[] = [await first.get(sid), await second.get(sid)];
            const events = conflictsOf(second);
            const others = count === 2 ? conflictsOf(first) : [];
            one.note = 'first';
            other.note = 'second';
            await first.set(sid, one);
            const written = second.stats().sessions.written;
            await save(second, sid, other, onConflict);
            assert.equal((await backend.store().get(sid))!.note, winner);
            assert.deepEqual(events, [{ session: hashOf(sid), resolution }]);
            assert.deepEqual(others, []);
            assert.equal(second.stats().sessions.conflicts, 1);
            assert.equal(second.stats().sessions.written, written + writes);
          });
        }
      }
    }

    for (const { onConflict, resolution } of KEEPING) {
      it(`with '${onConflict}' the same copy is ${resolution} again and again, and is saved once it was read again`, async () => {
        const sid = newSid();
        const [first, second] = [backend.store({ onConflict }), backend.store({ onConflict })];
        await first.set(sid, { user: 'Ada' });
        const [one, other]: any[] = [await first.get(sid), await second.get(sid)];
        one.from = 'first';
        await first.set(sid, one);
        for (const note of ['a', 'b']) {
          other.note = note;
          await save(second, sid, other, onConflict);
        }
        assert.equal(second.stats().sessions.conflicts, 2);
        const again: any = await second.get(sid);
        again.note = 'c';
        await second.set(sid, again);
        const { user, from, note } = (await first.get(sid))!;
        assert.deepEqual([user, from, note], ['Ada', 'first', 'c']);
        assert.equal(second.stats().sessions.conflicts, 2);
      });
    }

    it("with 'error', everybody who reads again and repeats the change gets it in, and no change is lost", async () => {
      const sid = newSid();
      const stores = [0, 1].map(() => backend.store({ onConflict: 'error' }));
      await stores[0].set(sid, { changes: [] });
      const added = Array.from({ length: 12 }, (_, change) => change);
      await Promise.all(
        added.map(async (change) => {
          for (;;) {
            const session: any = await stores[change % 2].get(sid);
            session.changes.push(change);
            const error: any = await stores[change % 2].set(sid, session).catch((reason) => reason);
            if (error === undefined) return;
            assert.equal(error.code, 'ERR_CONFLICT');
          }
        }),
      );
      const { changes } = (await stores[0].get(sid))!;
      assert.deepEqual(
        changes.toSorted((a: number, b: number) => a - b),
        added,
      );
    });

    /** What another store does between the read and the save of a changed copy, and what is there afterwards; nothing of this is a conflict. */
    const harmless: Record<string, (other: DynamoDBSessionStore, sid: string) => Promise<void>> = {
      'reads it': async (other, sid) => void (await other.get(sid)),
      'saves it unchanged': async (other, sid) => other.set(sid, (await other.get(sid))!),
      'moves its end': async (other, sid) => other.touch(sid, {}),
      'changes another session': async (other, sid) => other.set(`${sid}-of-another`, { user: 'Bob' }),
    };
    for (const [what, act] of Object.entries(harmless)) {
      it(`is no conflict where another store only ${what}`, async () => {
        for (const { onConflict } of MODES) {
          const sid = newSid();
          const [store, other] = [backend.store({ onConflict }), backend.store({ onConflict })];
          const events = [conflictsOf(store), conflictsOf(other)];
          await store.set(sid, { user: 'Ada' });
          const copy: any = await store.get(sid);
          await act(other, sid);
          copy.note = 'changed';
          await store.set(sid, copy);
          assert.equal((await other.get(sid))!.note, 'changed');
          assert.deepEqual(events, [[], []]);
          assert.equal(store.stats().sessions.conflicts, 0);
        }
      });
    }

    it('is no conflict with its own saves, however often and without awaiting them', async () => {
      for (const { onConflict } of MODES) {
        const sid = newSid();
        const store = backend.store({ onConflict });
        await store.set(sid, { user: 'Ada' });
        const copy: any = await store.get(sid);
        const saves = [1, 2, 3, 4, 5].map((visits) => {
          copy.visits = visits;
          return store.set(sid, copy);
        });
        await Promise.all(saves);
        copy.visits = 6;
        await store.set(sid, copy);
        assert.equal((await store.get(sid))!.visits, 6);
        assert.equal(store.stats().sessions.conflicts, 0);
      }
    });

    it('a copy that was not changed overwrites nothing and is no conflict', async () => {
      for (const { onConflict } of MODES) {
        const sid = newSid();
        const [first, second] = [backend.store({ onConflict }), backend.store({ onConflict })];
        await first.set(sid, { user: 'Ada' });
        const [one, other]: any[] = [await first.get(sid), await second.get(sid)];
        one.note = 'first';
        await first.set(sid, one);
        await second.set(sid, other);
        await second.touch(sid, other);
        assert.equal((await first.get(sid))!.note, 'first');
        assert.equal(second.stats().sessions.conflicts, 0);
      }
    });

    it('a changed copy of a session that is gone is no conflict, and does not bring it back', async () => {
      for (const { onConflict } of MODES) {
        const sid = newSid();
        const [first, second] = [backend.store({ onConflict }), backend.store({ onConflict })];
        await first.set(sid, { user: 'Ada' });
        const copy: any = await second.get(sid);
        await first.destroy(sid);
        copy.note = 'changed';
        await second.set(sid, copy);
        assert.equal(await first.get(sid), null);
        const { gone, conflicts } = second.stats().sessions;
        assert.deepEqual([gone, conflicts], [1, 0]);
      }
    });
  });
}

describe('what a conflict tells', () => {
  async function conflict(t: TestContext, onConflict: Mode) {
    const backend = await startAws();
    t.after(() => backend.stop());
    const logger = quietLogger();
    const sid = 'a-session-id-that-nobody-may-see';
    const [first, second] = [backend.store({ onConflict, logger }), backend.store({ onConflict, logger })];
    await first.set(sid, { token: 'secret-1' });
    const [one, other]: any[] = [await first.get(sid), await second.get(sid)];
    one.token = 'secret-2';
    other.token = 'secret-3';
    await first.set(sid, one);
    await backend.aws.reset();
    return { backend, logger, sid, second, other };
  }

  it("'error' fails with ERR_CONFLICT, which the same call will meet again", async (t) => {
    const { sid, second, other } = await conflict(t, 'error');
    const error = await failing(second.set(sid, other), 'ERR_CONFLICT', [sid, 'secret-']);
    assert.equal(error.retryable, false);
    assert.match(error.detail, /read it again/i);
  });

  for (const { onConflict } of MODES) {
    it(`'${onConflict}' writes nothing to the log that says more than a fingerprint`, async (t) => {
      const { sid, second, other, logger } = await conflict(t, onConflict);
      await save(second, sid, other, onConflict);
      assert.notEqual(logger.lines.length, 0);
      assertNothingOf([sid, hashOf(sid), 'secret-'], logger.lines.join('\n'));
      assert.ok(logger.lines.every((line) => line.includes(hashOf(sid).slice(0, 8))));
    });
  }

  const calls = { overwrite: 2, error: 1, drop: 1 };
  for (const { onConflict } of MODES) {
    it(`'${onConflict}' costs ${calls[onConflict]} PutItem, and nothing is read`, async (t) => {
      const { backend, sid, second, other } = await conflict(t, onConflict);
      await save(second, sid, other, onConflict);
      assert.deepEqual(await backend.aws.calls(), { 'dynamodb:PutItem': calls[onConflict] });
    });
  }

  it('a save whose answer was lost and that was sent again is no conflict with itself', async (t) => {
    const backend: AwsBackend = await startAws();
    t.after(() => backend.stop());
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const store = backend.store({ onConflict: 'error', dynamodbEndpoint: proxy.url });
    await store.set('sid', { user: 'Ada' });
    const copy: any = await store.get('sid');
    copy.user = 'Bob';
    await backend.aws.reset();
    proxy.lose('PutItem');
    await store.set('sid', copy);
    assert.deepEqual(await backend.aws.calls(), { 'dynamodb:PutItem': 2 });
    assert.equal(store.stats().sessions.conflicts, 0);
    copy.user = 'Eve';
    await store.set('sid', copy);
    assert.equal((await store.get('sid'))!.user, 'Eve');
  });
});

describe('the revision that a session carries', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  it('is there only where conflicts must be exact', async () => {
    const session = { user: 'Ada' };
    await backend.store().set('sid', session);
    assert.deepStrictEqual(await backend.store().get('sid'), session);
    for (const { onConflict } of KEEPING) {
      const read: any = await backend.store({ onConflict }).get('sid');
      assert.deepEqual(Object.keys(read), ['user', 'sessionRevision']);
      assert.deepStrictEqual(JSON.parse(JSON.stringify(read)), session);
    }
  });

  it('is in no record, in no result of all or update, and in nothing that update hands over', async (t) => {
    const plain = new PlainStore(backend.aws);
    t.after(() => plain.close());
    const store = backend.store({ onConflict: 'error' });
    await store.set('sid', { user: 'Ada' });
    const read: any = await store.get('sid');
    read.user = 'Bob';
    await store.set('sid', read);
    assert.deepStrictEqual(await plain.get('sid'), { user: 'Bob' });
    assert.deepStrictEqual(await store.all(), [{ id: 'sid', user: 'Bob' }]);
    let handed: unknown;
    const updated = await store.update('sid', (session) => {
      handed = { ...session };
      session.user = 'Eve';
    });
    assert.deepStrictEqual([handed, updated], [{ user: 'Bob' }, { user: 'Eve' }]);
    assert.deepStrictEqual(await plain.get('sid'), { user: 'Eve' });
  });
});

describe('a record of version 2, which is bound to an end of twice its lifetime and sealed again, with a new revision, to go past it', () => {
  /** A store with a copy of such a session, at the moment when the next move of its end seals it again. */
  async function old(t: TestContext, onConflict: Mode) {
    mock.timers.enable({ apis: ['Date'], now: Date.UTC(2030, 0, 1) });
    t.after(() => mock.timers.reset());
    const backend = await startAws();
    t.after(() => backend.stop());
    const [store, other] = [0, 1].map(() => backend.store({ onConflict, recordVersion: 2, ttlSeconds: 100 }));
    await store.set('sid', { user: 'Ada' });
    mock.timers.setTime(Date.now() + 90_000);
    await store.set('sid', (await store.get('sid'))!);
    mock.timers.setTime(Date.now() + 90_000);
    const copy: any = await store.get('sid');
    return { store, other, copy, events: conflictsOf(store), revision: async () => (await store.record('sid'))!.authTag };
  }

  for (const { onConflict } of MODES) {
    it(`is no conflict for the copy that did it, with '${onConflict}'`, async (t) => {
      const { store, copy, events, revision } = await old(t, onConflict);
      const before = await revision();
      await store.set('sid', copy);
      assert.notEqual(await revision(), before);
      copy.note = 'changed';
      await store.set('sid', copy);
      assert.equal((await store.get('sid'))!.note, 'changed');
      assert.deepEqual(events, []);
    });

    it(`is no conflict, with '${onConflict}', if another store did it without changing the session`, async (t) => {
      const { store, other, copy, events, revision } = await old(t, onConflict);
      const before = await revision();
      await other.set('sid', (await other.get('sid'))!);
      assert.notEqual(await revision(), before);
      copy.note = 'changed';
      await store.set('sid', copy);
      assert.equal((await store.get('sid'))!.note, 'changed');
      assert.deepEqual(events, []);
    });
  }
});
