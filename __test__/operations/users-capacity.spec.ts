// The table of docs/costs.md on the option users: every cell is measured here, and that all other calls cost what they cost without it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, quiet, startAws } from '../support/backends.ts';
import { type Consumed, replay } from '../support/capacity.ts';
import { tableCells } from '../support/markdown-table.ts';
import { own, ownStore } from '../support/measured-day.ts';

const COSTS = process.env.COSTS ?? new URL('../../docs/costs.md', import.meta.url);
const HEADER = [
  '',
  'items read',
  'PutItem',
  'UpdateItem',
  'DeleteItem',
  'TransactWriteItems',
  'read units',
  'write units',
  'KMS calls',
];
const users = { idOf: 'user.id', secret: 'a secret of the users' };
const WEEK = 7 * 24 * 3600;
const HOUR = 3_600_000;
const START = Date.now();

/** A session of 2.2 kB as JSON, which makes an item of 2.6 kB, with the id of its user, if it has one. */
const session = (id?: string) => ({
  cookie: { path: '/', originalMaxAge: WEEK * 1000, expires: new Date(START + WEEK * 1000) },
  user: id && { id },
  tokens: 'x'.repeat(2100),
});
/** The same an hour later. */
const later = <T extends object>(session: T) =>
  Object.assign(session, { cookie: { path: '/', originalMaxAge: WEEK * 1000, expires: new Date(START + HOUR + WEEK * 1000) } });
/** An id as long as those of the frameworks. */
const newId = () => randomBytes(24).toString('base64url');

describe('what the option users costs', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  const storeWith = (more: SessionStoreConfig = {}) => ownStore(backend, more);
  const knowing = (maxSessions?: number) => storeWith({ users: { ...users, maxSessions } });

  /** What a call consumes of the table and of KMS, after another one that prepares it. */
  async function consumed<T>(prepare: () => Promise<T>, call: (prepared: T) => Promise<unknown>): Promise<Consumed> {
    const settle = () => Promise.all(backend.stores.map(quiet));
    const prepared = await prepare();
    await settle();
    const earlier = await backend.aws.requests();
    await call(prepared);
    await settle();
    const all = (await backend.aws.requests()).filter(({ action }) => action !== 'dynamodb:CreateTable');
    const made = earlier.filter(({ action }) => action !== 'dynamodb:CreateTable');
    const [until, before] = [replay(all, own.hashKey).consumed, replay(made, own.hashKey).consumed];
    return Object.fromEntries(
      Object.entries(until).map(([name, count]) => [name, count - before[name as 'kms']]),
    ) as any as Consumed;
  }

  const cells = (consumed: Consumed) => {
    const { GetItem, PutItem, UpdateItem, DeleteItem, TransactWriteItems, readUnits, writeUnits, kms } = consumed;
    return [GetItem, PutItem, UpdateItem, DeleteItem, TransactWriteItems, readUnits, writeUnits, kms].map(String);
  };

  let count = 0;
  /** A new user with so many sessions. @returns the user's id, and those of the sessions. */
  async function userWith(
    sessions: number,
    store = knowing(),
  ): Promise<{ user: string; sids: string[]; store: DynamoDBSessionStore }> {
    const user = `user-${++count}`;
    const sids = Array.from({ length: sessions }, newId);
    for (const sid of sids) await store.set(sid, session(user));
    return { user, sids, store };
  }

  /** A session that a request has read. */
  async function loaded(id: string | undefined, store = knowing()) {
    const sid = newId();
    await store.set(sid, session(id));
    return { store, sid, found: (await store.get(sid))! };
  }

  const login = ({ user, store }: { user: string; store: DynamoDBSessionStore }) => store.set(newId(), session(user));
  const rows: Record<string, () => Promise<Consumed>> = {
    'login, without `users`': () => consumed(async () => ({ user: 'ada', store: storeWith() }), login),
    'login, the first session': () => consumed(() => userWith(0), login),
    'login, the 10th': () => consumed(() => userWith(9), login),
    'login, the 100th': () => consumed(() => userWith(99), login),
    'login at `maxSessions: 10`': () => consumed(() => userWith(10, knowing(10)), login),
    'switch of account': () =>
      consumed(
        () => loaded('ada'),
        ({ store, sid, found }) => store.set(sid, Object.assign(found, { user: { id: 'bob' } })),
      ),
    'logout, without `users`': () =>
      consumed(
        () => loaded('ada', storeWith()),
        ({ store, sid }) => store.destroy(sid),
      ),
    'logout, of 10 sessions': () =>
      consumed(
        () => userWith(10),
        ({ store, sids }) => store.destroy(sids[0]!),
      ),
    '`destroy` of a session without a user': () =>
      consumed(
        () => loaded(undefined),
        ({ store, sid }) => store.destroy(sid),
      ),
    '`sessionsOf`, 10 sessions': () =>
      consumed(
        () => userWith(10),
        ({ user }) => knowing().sessionsOf(user),
      ),
    '`destroyAllOf`, 10 sessions': () =>
      consumed(
        () => userWith(10),
        ({ store, user }) => store.destroyAllOf(user),
      ),
    '`destroyAllOf`, no session': () =>
      consumed(
        () => userWith(0),
        ({ store, user }) => store.destroyAllOf(user),
      ),
  };
  for (const [name, measure] of Object.entries(rows)) {
    it(`is in docs/costs.md for ${name.replaceAll('`', '')}`, async () => {
      const [, ...written] = tableCells(await readFile(COSTS, 'utf8'), 'users-capacity').find(([row]) => row === name) ?? [];
      assert.deepEqual(written, cells(await measure()));
    });
  }

  it('is there for nothing else, under the names of what is counted', async () => {
    const [header, ...written] = tableCells(await readFile(COSTS, 'utf8'), 'users-capacity');
    assert.deepEqual(header, HEADER);
    assert.deepEqual(
      written.map(([name]) => name),
      Object.keys(rows),
    );
  });

  /** What requests do with a session that is listed, or nobody's. */
  const others: Record<string, (prepared: Awaited<ReturnType<typeof loaded>>) => Promise<unknown>> = {
    'a get': ({ store, sid }) => store.get(sid),
    'an unchanged save': ({ store, sid, found }) => store.set(sid, found),
    'an unchanged save that moves the end': ({ store, sid, found }) => store.set(sid, later(found)),
    'a changed save': ({ store, sid, found }) => store.set(sid, Object.assign(found, { changed: true })),
    'a touch': ({ store, sid, found }) => store.touch(sid, later(found)),
    'a touch of a session that was not read': ({ store, sid }) => store.touch(sid, later(session())),
    'an update': ({ store, sid }) => store.update(sid, (session) => void Object.assign(session, { changed: true })),
  };
  for (const [call, make] of Object.entries(others)) {
    for (const id of ['ada', undefined]) {
      it(`nothing, for ${call} of a session ${id ? 'with' : 'without'} a user`, async () => {
        const without = await consumed(() => loaded(id, storeWith()), make);
        assert.deepEqual(await consumed(() => loaded(id), make), without);
      });
    }
  }

  it('nothing, for a new session without a user', async () => {
    const save = (store: DynamoDBSessionStore) => store.set(newId(), session());
    const without = await consumed(async () => storeWith(), save);
    assert.deepEqual(await consumed(async () => knowing(), save), without);
  });
});
