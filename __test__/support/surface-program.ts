// What only a process of its own shows: exceptions that nobody catches, and promises that nobody looks at. Prints one line of JSON.

import { setImmediate as turn } from 'node:timers/promises';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';

const [what, config] = programArguments();
const silent = { warn() {}, debug() {} };
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config, logger: silent });
const unhandled: string[] = [];

/** Resolves with the message of the next exception that nobody catches. */
function uncaught(): Promise<string> {
  return new Promise((resolve) => {
    process.once('uncaughtException', (error) => resolve(error.message));
  });
}

function watchRejections(): void {
  process.on('unhandledRejection', (reason) => unhandled.push(String(reason)));
}

const mutate = (session: any) => {
  session.visits = (session.visits ?? 0) + 1;
};

/** Calls that take a callback, and how each of them ends. */
const calls: Record<string, (callback: (...args: unknown[]) => void) => unknown> = {
  'update of a session': (callback) => store.update('sid', mutate, callback),
  'update with options': (callback) => store.update('sid', mutate, { deadlineSeconds: 1 }, callback),
  'update of no session': (callback) => store.update('missing', mutate, callback),
  'update whose function throws': (callback) =>
    store.update(
      'sid',
      () => {
        throw new Error('mutate');
      },
      callback,
    ),
  'update of nonsense': (callback) => store.update(7 as any, mutate, callback),
  withLock: (callback) => store.withLock('sid', () => 'done', callback),
  'withLock with options': (callback) => store.withLock('sid', async () => 'done', { waitSeconds: 1 }, callback),
  'withLock whose task throws': (callback) =>
    store.withLock(
      'sid',
      () => {
        throw new Error('task');
      },
      callback,
    ),
  // These are answered before they return: what the callback throws goes on to whoever called them.
  'a save that changes nothing': (callback) =>
    void store.get('sid').then((session) => setImmediate(() => store.set('sid', session!, callback))),
  'a save of a session that is gone': (callback) =>
    void store.get('sid').then(async (session) => {
      await store.destroy('sid');
      setImmediate(() => store.set('sid', session!, callback));
    }),
  'a touch that moves nothing': (callback) => {
    const session = {};
    void store.set('sid', session).then(() => setImmediate(() => store.touch('sid', session, callback)));
  },
};

async function throwingCallbacks() {
  watchRejections();
  await store.set('sid', { user: 'ada' });
  const runs: Record<string, number> = {};
  const surfaced: string[] = [];
  for (const [name, call] of Object.entries(calls)) {
    const exception = uncaught();
    call(() => {
      runs[name] = (runs[name] ?? 0) + 1;
      throw new Error(name);
    });
    surfaced.push(await exception);
    await turn();
    await turn();
  }
  await store.close(); // waits for what a second run would come from
  return { runs, surfaced, unhandled };
}

/** Every method, given nonsense, with a callback; and the methods that a framework calls. */
async function nonsense() {
  watchRejections();
  const answers: string[] = [];
  const values: any[] = [undefined, null, '', 7, 7n, Symbol('s'), {}, [], () => {}, new Date(), '\ud800'];
  const waits: Promise<void>[] = [];
  for (const method of ['get', 'set', 'touch', 'destroy', 'record', 'update', 'withLock'] as const) {
    for (const sid of values) {
      for (const session of values) {
        waits.push(
          new Promise((resolve) => {
            const args = ['get', 'destroy', 'record'].includes(method) ? [sid] : [sid, session];
            // A function in the place of options is the callback, so what stands before it is given.
            (store as any)[method](...args, (error: any) => {
              answers.push(error?.name);
              resolve();
            });
          }),
        );
      }
    }
  }
  await Promise.all(waits);
  await turn();
  return {
    answers: answers.length,
    expected: waits.length,
    others: answers.filter((name) => name !== 'SessionStoreError'),
    unhandled,
  };
}

async function throwingListener() {
  watchRejections();
  const other = new DynamoDBSessionStore({ recordVersion: 1, ...config, onConflict: 'overwrite', logger: silent });
  await other.set('sid', { user: 'ada' });
  const session = (await store.get('sid'))!;
  const theirs = (await other.get('sid'))!;
  theirs.note = 'theirs';
  await other.set('sid', theirs);
  let heard = 0;
  store.on('conflict', () => {
    heard++;
    throw new Error('thrown by the listener');
  });
  const exception = uncaught();
  session.note = 'ours';
  const outcome = await store.set('sid', session).then(
    () => 'saved',
    (error) => error.code,
  );
  const message = await exception;
  await turn();
  const after = await store.get('sid');
  return { outcome, message, heard, note: after?.note, conflicts: store.stats().sessions.conflicts, unhandled };
}

/** Without any listener, a callback that throws ends the process, as a callback of Node.js's own would. */
function fatal() {
  store.get('sid', () => {
    throw new Error('thrown by a callback, and caught by nobody');
  });
  return new Promise<never>(() => setInterval(() => {}, 1000));
}

const programs: Record<string, () => Promise<unknown>> = {
  'throwing callbacks': throwingCallbacks,
  nonsense,
  'throwing listener': throwingListener,
  fatal,
};
console.log(JSON.stringify(await programs[what]!()));
process.exit(0);
