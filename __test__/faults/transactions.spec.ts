// What may happen to the transaction of a login, a logout and a change of the user, and to other writes because of one. DynamoDB's answers are made by hand,
// from its API Reference: TransactWriteItems, CancellationReason.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig, SessionStoreErrorCode } from 'connect-dynamodb-kms';
import { AnsweringProxy, cancelled, type Refusal } from '../support/answering-proxy.ts';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { TableItems } from '../support/table-items.ts';
import { checkLists, entriesOf, listKey, USERS } from '../support/user-lists.ts';

/** More than the SDK sends. */
const EVERY = 1000;
/** How often a transaction is tried again that meets another one. */
const CONFLICTS = 15;

describe('a transaction', () => {
  let backend: AwsBackend;
  let items: TableItems;
  let proxy: AnsweringProxy;
  let user: string;
  let sid: string;
  let number = 0;
  before(async () => {
    backend = await startAws();
    items = new TableItems(backend.aws);
    proxy = await AnsweringProxy.start(backend.aws.dynamodb);
  });
  after(async () => {
    items.close();
    await proxy.close();
    await backend.stop();
  });
  beforeEach(() => {
    proxy.reset();
    number++;
    [user, sid] = [`user-${number}`, `sid-${number}`];
  });

  /** A store with clients of its own, so with retries of its own. Its users have one session. */
  let clients = 0;
  const behind = (options: SessionStoreConfig = {}) =>
    backend.store({
      users: { ...USERS, maxSessions: 1 },
      dynamodbEndpoint: proxy.url,
      touchAfter: 0,
      ...options,
      timeouts: { callMillis: 20_000 + clients++, ...options.timeouts },
    });
  const plainly = (options: SessionStoreConfig = {}) => backend.store({ users: USERS, ...options });
  const entries = async (of = user) => entriesOf(await items.get(listKey(of)));
  const transactions = () => proxy.requests.filter(({ operation }) => operation === 'TransactWriteItems');

  /** What changes whose session it is. Each gives the users whose lists have the session then, and those whose lists have not. */
  const changes: Record<
    string,
    (store: DynamoDBSessionStore) => Promise<{ make: () => Promise<unknown>; on: string[]; off: string[] }>
  > = {
    'a login with a new session': async (store) => ({
      make: () => store.set(sid, { user }),
      on: [user],
      off: [],
    }),
    'a login that ends the oldest session': async (store) => {
      await plainly().set(`old-${sid}`, { user });
      return { make: () => store.set(sid, { user }), on: [user], off: [] };
    },
    'a login with a session that was there': async (store) => {
      await plainly().set(sid, {});
      const session: any = await store.get(sid);
      session.user = user;
      return { make: () => store.set(sid, session), on: [user], off: [] };
    },
    'a switch to another account': async (store) => {
      await plainly().set(sid, { user });
      const session: any = await store.get(sid);
      session.user = `other-${user}`;
      return { make: () => store.set(sid, session), on: [`other-${user}`], off: [user] };
    },
    'a logout that keeps the session': async (store) => {
      await plainly().set(sid, { user });
      const session: any = await store.get(sid);
      session.user = undefined;
      return { make: () => store.set(sid, session), on: [], off: [user] };
    },
    'a login by update()': async (store) => {
      await plainly().set(sid, {});
      return { make: () => store.update(sid, (session: any) => Object.assign(session, { user })), on: [user], off: [] };
    },
  };

  /** The session is on these lists alone, and one of its own. */
  async function assertDone(store: DynamoDBSessionStore, { on, off }: { on: string[]; off: string[] }) {
    const item = (await items.get(sid))!;
    for (const each of off) assert.deepEqual(await entries(each), {});
    for (const each of on) assert.deepEqual(await entries(each), { [sid]: item.userEntry.N });
    if (on.length === 0) assert.equal(item.user.S, '-');
    assert.equal(await items.get(`old-${sid}`), undefined);
    checkLists(await items.all());
    assert.deepEqual([store.stats().sessions.conflicts, store.stats().sessions.gone], [0, 0]);
    // The store knows what it has written: the next save is a plain one, and no conflict.
    const sent = transactions().length;
    const session: any = await store.get(sid);
    session.more = true;
    await store.set(sid, session);
    assert.equal(transactions().length, sent);
    assert.equal(store.stats().sessions.conflicts, 0);
    assert.equal(((await plainly().get(sid)) as any).more, true);
  }

  for (const [change, prepare] of Object.entries(changes)) {
    for (const knowsTokens of [true, false]) {
      for (const onConflict of ['overwrite', 'error'] as const) {
        const server = knowsTokens ? 'a server that remembers tokens' : 'a server that does not';
        it(`whose reply is lost makes ${change} once, on ${server}: '${onConflict}'`, async () => {
          const store = behind({ onConflict });
          const done = await prepare(store);
          proxy.knowsTokens = knowsTokens;
          proxy.lose('TransactWriteItems');
          await done.make();
          const tokens = transactions().map(({ body }) => body.ClientRequestToken);
          assert.ok(tokens.length >= 2 && tokens[0].length > 0 && tokens[0] === tokens[1], `tokens: ${tokens}`);
          await assertDone(store, done);
        });
      }
    }

    it(`whose reply is lost makes ${change} once, on a server that does not tell which items a refused one met`, async () => {
      const store = behind({ onConflict: 'error' });
      const done = await prepare(store);
      proxy.knowsTokens = false;
      proxy.tellsItems = false;
      proxy.lose('TransactWriteItems');
      await done.make();
      await assertDone(store, done);
    });

    it(`none of whose replies comes fails, and a repeated call makes ${change} once`, async () => {
      const store = behind({ onConflict: 'error' });
      const done = await prepare(store);
      proxy.lose('TransactWriteItems', EVERY);
      await failing(done.make(), 'ERR_DYNAMODB_UNAVAILABLE');
      proxy.lose('TransactWriteItems', 0);
      await done.make();
      await assertDone(store, done);
    });
  }

  const again: Array<[string, Refusal, SessionStoreErrorCode]> = [
    ['another transaction', cancelled('TransactionConflict', 'None'), 'ERR_DYNAMODB_THROTTLED'],
    [
      'another transaction on the list, with a condition that did not hold',
      cancelled('ConditionalCheckFailed', 'TransactionConflict'),
      'ERR_DYNAMODB_THROTTLED',
    ],
    ['a table that throttles', cancelled('ThrottlingError', 'None'), 'ERR_DYNAMODB_THROTTLED'],
    ['a table without capacity', cancelled('None', 'ProvisionedThroughputExceeded'), 'ERR_DYNAMODB_THROTTLED'],
    ['a request that is throttled', { code: 'ThrottlingException' }, 'ERR_DYNAMODB_THROTTLED'],
    ['a request over the capacity', { code: 'ProvisionedThroughputExceededException' }, 'ERR_DYNAMODB_THROTTLED'],
    ['its own first attempt, which is under way', { code: 'TransactionInProgressException' }, 'ERR_DYNAMODB_THROTTLED'],
    ['an error of the server', { code: 'InternalServerError', status: 500 }, 'ERR_DYNAMODB_UNAVAILABLE'],
  ];
  for (const [what, refusal, code] of again) {
    it(`that meets ${what} twice is repeated, and makes one session and one entry`, async () => {
      const store = behind();
      proxy.refuse('TransactWriteItems', refusal, 2);
      await store.set(sid, { user });
      assert.equal(transactions().length, 3);
      await assertDone(store, { on: [user], off: [] });
    });

    it(`that meets ${what} for good is a retryable failure, and nothing is written`, async () => {
      const store = behind();
      proxy.refuse('TransactWriteItems', refusal);
      const session = { user };
      const error = await failing(store.set(sid, session), code);
      assert.match(error.cause!.name, /^Transaction|Throttl|Throughput|^InternalServerError$/);
      assert.equal(transactions().length, what.startsWith('another transaction') ? CONFLICTS + 1 : 3);
      assert.deepEqual([await items.get(sid), await items.get(listKey(user))], [undefined, undefined]);
      proxy.refuse('TransactWriteItems', refusal, 0);
      await store.set(sid, session);
      await assertDone(store, { on: [user], off: [] });
    });
  }

  it('that is not made ends no session of a user who may have no more', async () => {
    const old = `old-${sid}`;
    const failures: Array<[string, Refusal, SessionStoreErrorCode]> = [
      ...again,
      ['a table that never takes it', cancelled('ValidationError', 'None', 'None'), 'ERR_TABLE_SCHEMA'],
      ['a role that may not make it', { code: 'AccessDeniedException' }, 'ERR_ACCESS_DENIED'],
    ];
    await plainly().set(old, { user });
    for (const [what, refusal, code] of failures) {
      proxy.refuse('TransactWriteItems', refusal);
      await failing(behind().set(sid, { user }), code);
      assert.deepEqual(Object.keys(await entries()), [old], what);
      assert.deepEqual(await plainly().get(old), { user }, what);
    }
    proxy.refuse('TransactWriteItems', cancelled(), 0);
    await behind().set(sid, { user });
    assert.equal(await items.get(old), undefined);
    assert.deepEqual(Object.keys(await entries()), [sid]);
  });

  it('that meets another one ends at the deadline of the call', async () => {
    const store = behind({ timeouts: { callMillis: 1000, attemptMillis: 1000, connectMillis: 1000 } }); // its repetitions take three seconds
    await store.get('none'); // which makes the clients
    proxy.refuse('TransactWriteItems', cancelled('TransactionConflict', 'None'));
    await failing(store.set(sid, { user }), 'ERR_DYNAMODB_UNAVAILABLE');
    assert.ok(transactions().length < CONFLICTS);
  });

  it('that the table can never take is no failure to repeat', async () => {
    const store = behind();
    proxy.refuse('TransactWriteItems', cancelled('ValidationError', 'None'));
    const error = await failing(store.set(sid, { user }), 'ERR_TABLE_SCHEMA');
    assert.equal(error.cause!.name, 'ValidationError');
    assert.equal(transactions().length, 1);
  });

  it('that is cancelled without reasons, or with those of another transaction, is a failure and no success', async () => {
    for (const refusal of [
      { code: 'TransactionCanceledException' },
      cancelled(),
      cancelled('None', 'None'),
      cancelled('ConditionalCheckFailed'),
      cancelled('None', 'None', 'ConditionalCheckFailed'),
      cancelled('None', 'SomethingNew'),
    ]) {
      const store = behind();
      proxy.refuse('TransactWriteItems', refusal);
      await failing(store.set(sid, { user }), 'ERR_DYNAMODB_UNAVAILABLE');
      assert.deepEqual([await items.get(sid), await items.get(listKey(user))], [undefined, undefined]);
      assert.equal(store.stats().sessions.written, 0);
    }
  });

  it('that finds the session changed or gone is a conflict or leaves it gone, and writes no entry', async () => {
    for (const tellsItems of [true, false]) {
      const store = behind({ onConflict: 'error' });
      proxy.tellsItems = tellsItems;
      const changed: any = await store.set(sid, {}).then(() => store.get(sid));
      await plainly().update(sid, (session: any) => Object.assign(session, { changed: true }));
      changed.user = user;
      await failing(store.set(sid, changed), 'ERR_CONFLICT');
      const gone: any = await store.get(sid);
      await plainly().destroy(sid);
      gone.user = user;
      await store.set(sid, gone);
      assert.deepEqual([await items.get(sid), await entries()], [undefined, {}]);
      assert.deepEqual([store.stats().sessions.conflicts, store.stats().sessions.gone], [1, 1]);
    }
  });

  it('that may not be made names the IAM action', async () => {
    const store = behind();
    proxy.refuse('TransactWriteItems', { code: 'AccessDeniedException' });
    const { detail } = await failing(store.set(sid, { user }), 'ERR_ACCESS_DENIED');
    assert.match(detail, /dynamodb:PutItem\b(?! and)/);
    // At the limit, the transaction also removes a session.
    await plainly().set(`old-${sid}`, { user });
    const ending = await failing(store.set(sid, { user }), 'ERR_ACCESS_DENIED');
    assert.match(ending.detail, /dynamodb:PutItem and dynamodb:DeleteItem/);
  });

  for (const code of ['UnknownOperationException', 'ValidationException']) {
    it(`that a server does not know (${code}) says that users needs it, writes nothing, and leaves all other calls working`, async () => {
      const store = behind();
      proxy.refuse('TransactWriteItems', { code });
      for (const login of [() => store.set(sid, { user }), () => store.set('anonymous', { user })]) {
        const error = await failing(login(), 'ERR_TABLE_SCHEMA');
        assert.match(error.detail, /option users/);
        assert.match(error.detail, /transactions/);
        assert.equal(error.cause!.name, code);
      }
      assert.deepEqual([await items.get(sid), await items.get(listKey(user))], [undefined, undefined]);
      await store.set(sid, {});
      const session: any = await store.get(sid);
      session.cookie = { expires: new Date(Date.now() + 1000_000) };
      await store.touch(sid, session);
      session.changed = true;
      await store.set(sid, session);
      await failing(
        store.update(sid, (session: any) => Object.assign(session, { user })),
        'ERR_TABLE_SCHEMA',
      );
      assert.deepEqual(((await plainly().get(sid)) as any).changed, true);
      assert.deepEqual(await store.sessionsOf(user), []);
      assert.equal(await store.destroyAllOf(user), 0);
      assert.equal(await store.withLock(sid, () => 'held'), 'held');
      await store.destroy(sid);
      assert.equal(await items.get(sid), undefined);
    });
  }

  describe('that others have under way refuses', () => {
    const conflict = { code: 'TransactionConflictException' };
    const calls: Record<
      string,
      { operation: string; make: (store: DynamoDBSessionStore, session: any) => Promise<unknown>; check: () => Promise<void> }
    > = {
      'a save': {
        operation: 'PutItem',
        make: (store, session) => store.set(sid, Object.assign(session, { changed: true })),
        check: async () => assert.equal(((await plainly().get(sid)) as any).changed, true),
      },
      'a touch': {
        operation: 'UpdateItem',
        make: (store, session) =>
          store.touch(sid, Object.assign(session, { cookie: { expires: new Date(Date.now() + 900_000) } })),
        check: async () => assert.ok(Number((await items.get(sid))!.ttl.N) < Date.now() / 1000 + 1000),
      },
      'a destroy': {
        operation: 'DeleteItem',
        make: (store) => store.destroy(sid),
        check: async () => assert.deepEqual([await items.get(sid), await entries()], [undefined, {}]),
      },
      'the deletes of destroyAllOf': {
        operation: 'DeleteItem',
        make: async (store) => assert.equal(await store.destroyAllOf(user), 1),
        check: async () => assert.deepEqual([await items.get(sid), await entries()], [undefined, {}]),
      },
      'the list that destroyAllOf writes': {
        operation: 'PutItem',
        make: async (store) => assert.equal(await store.destroyAllOf(user), 1),
        check: async () => assert.deepEqual([await items.get(sid), await entries()], [undefined, {}]),
      },
    };
    for (const [call, { operation, make, check }] of Object.entries(calls)) {
      it(`${call} twice, and it is repeated`, async () => {
        const store = behind();
        await store.set(sid, { user, cookie: { expires: new Date(Date.now() + 600_000) } });
        const session = await store.get(sid);
        proxy.refuse(operation, conflict, 2);
        await make(store, session);
        assert.equal(proxy.count(operation), 3);
        await check();
      });

      it(`${call} for good, and it is a retryable failure`, async () => {
        const store = behind();
        await store.set(sid, { user, cookie: { expires: new Date(Date.now() + 600_000) } });
        const session = await store.get(sid);
        proxy.refuse(operation, conflict);
        const error = await make(store, session).then(
          () => assert.fail('it succeeded'),
          (error) => error,
        );
        assert.equal(error.retryable, true);
        assert.equal(error.cause.name, 'TransactionConflictException');
        proxy.refuse(operation, conflict, 0);
        if (call !== 'the list that destroyAllOf writes') await make(store, session);
        else assert.equal(await store.destroyAllOf(user), 0);
        await check();
      });
    }
  });

  it('that is lost of a logout takes nobody’s place: the list is put right by the next reader', async () => {
    const store = behind();
    await store.set(sid, { user });
    proxy.lose('DeleteItem');
    await store.destroy(sid); // the repetition does not learn whose it was
    assert.deepEqual(Object.keys(await entries()), [sid]);
    assert.deepEqual(await store.sessionsOf(user), []);
    assert.deepEqual(await entries(), {});
  });

  it('of a destroyAllOf whose replies are lost ends with all of them gone, and no other', async () => {
    const store = behind({ users: USERS });
    for (const one of ['a', 'b', 'c']) await store.set(`${sid}-${one}`, { user });
    await store.set(sid, { user: 'other' });
    proxy.lose('DeleteItem', 3);
    proxy.lose('PutItem');
    await store.destroyAllOf(user);
    assert.deepEqual(await entries(), {});
    const left = Object.keys(await items.all()).filter((key) => key.startsWith(sid));
    assert.deepEqual(left, [sid]);
  });
});
