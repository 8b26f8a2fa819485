// A gateway's load on the sessions of users, on two stores, until SIGTERM. Prints `ready`, and what it begins and what was acknowledged as lines of JSON, by a
// clock that all processes of this machine share.

import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';
import { Random } from './random.ts';
import type { UserEvent } from './user-history.ts';

const LANES = 6;
const MOST_KNOWN = 300;

const [config, name, seed, users] = programArguments();
const random = new Random(seed);
const stores = [0, 1].map(
  () => new DynamoDBSessionStore({ recordVersion: 1, touchAfter: 0, ...config, logger: { warn() {}, debug() {} } }),
);
/** Ids of sessions that this process has heard of. */
const known: string[] = [];
let calls = 0;
let stopping = false;
process.on('SIGTERM', () => {
  stopping = true;
});

const clock = () => Number(process.hrtime.bigint());
const print = (event: UserEvent) => writeSync(1, `${JSON.stringify(event)}\n`);
const cookie = () => ({ path: '/', expires: new Date(Date.now() + 3_600_000) });
const anyUser = () => `user-${random.whole(0, users - 1)}`;
const pause = () => (random.chance(0.5) ? sleep(random.whole(0, 8)) : undefined);

/** `undefined` if it failed as it may under faults; then it was not acknowledged. */
async function call<T>(
  event: Omit<UserEvent, 'id' | 'at'>,
  work: () => Promise<T>,
  found?: (value: T) => object,
): Promise<T | undefined> {
  const id = `${name}-${++calls}`;
  print({ ...event, id, at: clock() });
  let value: T;
  try {
    value = await work();
  } catch (error: any) {
    if (!error.retryable) throw error;
    return undefined;
  }
  print({ ...event, ...found?.(value), id, at: clock(), done: true });
  return value;
}

const read = (store: DynamoDBSessionStore, sid: string) =>
  call(
    { what: 'read', sid },
    () => store.get(sid),
    (session: any) => (session ? { user: session.user ?? null } : {}),
  );

function learn(sid: string): void {
  known.push(sid);
  if (known.length > MOST_KNOWN) known.splice(random.whole(0, known.length - 1), 1);
}

async function create(store: DynamoDBSessionStore, user: string | null): Promise<void> {
  const sid = `${name}-sid-${++calls}`;
  const session = { cookie: cookie(), ...(user === null ? {} : { user }) };
  await call({ what: 'join', sid, user }, () => store.set(sid, session));
  learn(sid);
}

/** A request of a session: reads it, takes its time, and saves it, changed or not. */
async function request(store: DynamoDBSessionStore, sid: string): Promise<void> {
  const session: any = await read(store, sid);
  if (!session) return;
  await pause();
  session.cookie.expires = cookie().expires;
  const user = session.user ?? null;
  const how = random.weighted({ change: 4, keep: 2, touch: 3 });
  if (how === 'change') session.note = ++calls;
  await call({ what: 'save', sid, user }, () => (how === 'touch' ? store.touch(sid, session) : store.set(sid, session)));
}

/** The session gets another user, or none. */
async function change(store: DynamoDBSessionStore, sid: string): Promise<void> {
  const user = random.chance(0.3) ? null : anyUser();
  const become = (session: any) => {
    if (user === null) delete session.user;
    else session.user = user;
  };
  if (random.chance(0.5)) {
    const session: any = await read(store, sid);
    if (!session) return;
    await pause();
    become(session);
    await call({ what: 'join', sid, user }, () => store.set(sid, session));
  } else {
    const update = () => store.update(sid, become, { deadlineSeconds: 60 });
    // One that finds no session has seen that it is gone.
    await call({ what: 'join', sid, user }, update, (session) => (session ? {} : { what: 'read', user: undefined }));
  }
}

async function lane(): Promise<void> {
  while (!stopping) {
    const store = random.pick(stores);
    if (known.length === 0) await create(store, anyUser());
    const sid = random.pick(known);
    const act = random.weighted({ login: 12, anonymous: 3, request: 30, change: 4, logout: 8, list: 6, everywhere: 4, count: 4 });
    if (act === 'login') await create(store, anyUser());
    else if (act === 'anonymous') await create(store, null);
    else if (act === 'request') await request(store, sid);
    else if (act === 'change') await change(store, sid);
    else if (act === 'logout') {
      known.splice(known.indexOf(sid), 1);
      await call({ what: 'destroy', sid }, () => store.destroy(sid));
    } else if (act === 'list') {
      const user = anyUser();
      const ids = (sessions: Array<{ id: string }>) => ({ sids: sessions.map(({ id }) => id) });
      const sessions = await call({ what: 'list', user }, () => store.sessionsOf(user), ids);
      for (const { id } of sessions ?? []) if (!known.includes(id)) learn(id);
    } else if (act === 'everywhere') {
      const user = anyUser();
      const except = random.chance(0.3) ? random.pick(known) : undefined;
      await call({ what: 'all', user, ...(except && { sid: except }) }, () => store.destroyAllOf(user, except ? { except } : {}));
    } else {
      const note = (session: any) => Object.assign(session, { note: ++calls });
      await call(
        { what: 'read', sid },
        () => store.update(sid, note, { deadlineSeconds: 60 }),
        (session: any) => (session ? { user: session.user ?? null } : {}),
      );
    }
    await sleep(random.whole(0, 4));
  }
}

const warmUp = (store: DynamoDBSessionStore) =>
  store.get('none').catch((error) => {
    if (!error.retryable) throw error;
  });
await Promise.all(stores.map(warmUp));
writeSync(1, '"ready"\n');
await Promise.all(Array.from({ length: LANES }, lane));
await Promise.all(stores.map((store) => store.close()));
process.exit(0);
