// A process of its own that is stopped and told to end. `hold` runs a task under a session's lease until its signal aborts, and prints what happened. `save`
// saves a session, and closes the store when it gets a SIGTERM.

import { once } from 'node:events';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';

const [what, config, sid, options] = programArguments();
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config, logger: { warn: console.error, debug() {} } });
const alive = setInterval(() => {}, 1 << 30);

if (what === 'hold') {
  const result = await store.withLock(
    sid,
    async (signal) => {
      console.log('holds');
      if (!signal.aborted) await once(signal, 'abort');
      console.log(signal.reason.code);
      return 'the result';
    },
    options,
  );
  console.log(result); // after the lease was given back
}

if (what === 'save') {
  process.on('SIGTERM', async () => {
    const closing = store.close();
    console.log('closing');
    await store.get(sid).catch((error) => console.log(error.code));
    await closing;
    console.log('closed');
    clearInterval(alive);
  });
  console.log('ready');
  await store.set(sid, { user: 'Ada' }).then(
    () => console.log('saved'),
    (error) => console.log(error.code),
  );
}
if (what === 'hold') process.exit(0);
