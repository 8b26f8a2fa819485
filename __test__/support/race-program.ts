// The small gateway as a process of its own, with what a race needs: requests that wait, counters, and tasks under a lock. Prints its address.

import { appendFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { fastifyApp, listen } from './fastify-app.ts';
import { programArguments } from './program.ts';

const [config, name] = programArguments();
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config, logger: { warn: console.error, debug() {} } });
const app = await fastifyApp(store);

/** Waiting requests, and who waits for them to wait. */
const waiting: Array<() => void> = [];
const expecting: Array<{ count: number; resolve: () => void }> = [];

/** Has its session, and answers when it is released. */
app.get<{ Querystring: { note?: string } }>('/slow', async ({ session, query }) => {
  await new Promise<void>((resolve) => {
    waiting.push(resolve);
    for (const { count, resolve } of expecting) if (waiting.length >= count) resolve();
  });
  if (query.note) session.note = query.note;
  return {};
});
/** Answers when so many requests wait. */
app.get<{ Params: { count: number } }>('/waiting/:count', async ({ params }) => {
  const count = Number(params.count);
  if (waiting.length < count) await new Promise<void>((resolve) => expecting.push({ count, resolve }));
  return {};
});
app.post('/release', async () => {
  for (const resolve of waiting.splice(0)) resolve();
  return {};
});

/** Adds to a counter in the session of an id, `at a time` callers each `times`. */
app.post<{ Params: { sid: string; callers: number; times: number } }>('/count/:sid/:callers/:times', async ({ params }) => {
  const caller = async () => {
    for (let time = 0; time < Number(params.times); time++) {
      await store.update(params.sid, (session) => Object.assign(session, { visits: session.visits + 1 }), {
        deadlineSeconds: 60,
      });
    }
  };
  await Promise.all(Array.from({ length: Number(params.callers) }, caller));
  return {};
});

/** Runs tasks under the lock of an id, which write down when they begin and end. */
app.post<{ Params: { sid: string; tasks: number }; Querystring: { file: string } }>(
  '/lock/:sid/:tasks',
  async ({ params, query }) => {
    const task = async (number: number) =>
      store.withLock(
        params.sid,
        async (signal) => {
          appendFileSync(query.file, `begin ${name} ${number}\n`);
          for (let turns = 0; turns < 5; turns++) await turn();
          await store.get(params.sid); // long enough for another process to come in
          appendFileSync(query.file, `end ${name} ${number}${signal.aborted ? ' aborted' : ''}\n`);
        },
        { waitSeconds: 60 },
      );
    await Promise.all(Array.from({ length: Number(params.tasks) }, (_, number) => task(number)));
    return {};
  },
);

console.log(await listen(app));
