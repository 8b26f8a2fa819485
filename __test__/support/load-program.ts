// A gateway's load on a pool of sessions, until it is killed. Prints `ready`, and what it begins and what was acknowledged as lines of JSON, at once, by a clock
// that all processes of this machine share. A SIGTERM ends it with nothing under way.

import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { checkWhole, type Event, padding } from './kill-history.ts';
import { programArguments } from './program.ts';
import { Random } from './random.ts';

const LANES = 4;

const [config, name, seed, pool] = programArguments();
const random = new Random(seed);
const store = new DynamoDBSessionStore({ recordVersion: 1, touchAfter: 0, ...config, logger: { warn() {}, debug() {} } });
let calls = 0;
let stopping = false;
process.on('SIGTERM', () => {
  stopping = true;
});

const clock = () => Number(process.hrtime.bigint());
const print = (event: Event) => writeSync(1, `${JSON.stringify(event)}\n`);

/** `null` if it failed as it may on a busy machine; then it was not acknowledged. */
async function call<T>(what: Event['what'], sid: string, work: () => Promise<T>, value?: string): Promise<T | null> {
  const id = `${name}-${++calls}`;
  print({ id, what, sid, at: clock(), value });
  let result: T;
  try {
    result = await work();
  } catch (error: any) {
    if (error.code !== 'ERR_DYNAMODB_UNAVAILABLE' && error.code !== 'ERR_KMS_UNAVAILABLE') throw error;
    return null;
  }
  print({ id, what, sid, at: clock(), done: true, value: what === 'read' ? (result as any)?.value : value });
  return result;
}

async function lane(): Promise<void> {
  while (!stopping) {
    const sid = `pool-${random.whole(0, pool - 1)}`;
    const session: any = await call('read', sid, () => store.get(sid));
    checkWhole(session);
    const act = random.weighted({ save: 20, touch: 5, read: 5, destroy: 2 });
    if (session !== null && act === 'save') {
      session.value = `${name}-${calls}`;
      session.padding = padding(session.value);
      await call('save', sid, () => store.set(sid, session), session.value);
    }
    if (session !== null && act === 'touch') await store.touch(sid, session).catch(allowOutage);
    if (session !== null && act === 'destroy') await call('destroy', sid, () => store.destroy(sid));
    await sleep(random.whole(1, 6));
  }
}

/** The server may be away; nothing else is a reason to fail. */
function allowOutage(error: any): void {
  if (error.code !== 'ERR_DYNAMODB_UNAVAILABLE' && error.code !== 'ERR_KMS_UNAVAILABLE') throw error;
}

await store.length();
writeSync(1, '"ready"\n');
await Promise.all(Array.from({ length: LANES }, lane));
await store.close();
process.exit(0);
