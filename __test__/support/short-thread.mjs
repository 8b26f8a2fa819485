// A worker thread that loads the package, writes and reads a session, and ends in one of the ways in which threads end.

import { parentPort, workerData } from 'node:worker_threads';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const { config, ending } = workerData;
const store = new DynamoDBSessionStore({ recordVersion: 1, logger: { warn() {}, debug() {} }, ...config });
await store.set('sid', { ending });
parentPort.postMessage(await store.get('sid'));
if (ending === 'closed') await store.close();
if (ending === 'exited' || ending === 'terminated') {
  for (let call = 0; call < 20; call++) store.set(`in flight ${call}`, { text: 'x'.repeat(10_000) });
}
if (ending === 'exited') process.exit(7);
if (ending === 'terminated') setInterval(() => {}, 1 << 30);
