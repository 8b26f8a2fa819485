// A process of its own that takes a session's lease. `hold`: prints `holds` and keeps it until it is killed. `count`: adds to a session's counter
// again and again under the lease, by a read and a blind write that lose counts if anybody else is between them; prints `done`.

import { setImmediate as turn } from 'node:timers/promises';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';

const [what, config, sid, times] = programArguments();
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config });

if (what === 'hold') {
  await store.withLock(
    sid,
    () => {
      console.log('holds');
      return new Promise(() => setInterval(() => {}, 1 << 30));
    },
    { leaseSeconds: 3600 },
  );
}
for (let time = 0; time < times; time++) {
  await store.withLock(
    sid,
    async () => {
      const { counter } = (await store.get(sid))!;
      await turn();
      await store.set(sid, { counter: counter + 1 }); // an object that the store does not know: a write without condition
    },
    { waitSeconds: 60 },
  );
}
console.log('done');
process.exit(0);
