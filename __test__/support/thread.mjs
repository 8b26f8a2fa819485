// A worker thread with a store of its own, asked by messages; see store-thread.ts. JavaScript: tsx is not there in workers.

import { parentPort, workerData } from 'node:worker_threads';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const store = new DynamoDBSessionStore({ recordVersion: 1, logger: { warn() {}, debug() {} }, ...workerData });

parentPort.on('message', async ({ id, name, args }) => {
  // What the thread is asked to do instead of answering: to end as a program may, with what is in flight.
  if (name === 'exit') process.exit(...args);
  try {
    parentPort.postMessage({ id, value: await store[name](...args) });
  } catch (error) {
    parentPort.postMessage({ id, error: `${error.code}: ${error.detail}` });
  }
});
