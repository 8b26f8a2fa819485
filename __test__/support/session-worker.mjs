// A store in a worker thread: reads one session, saves another, and leaves its store open. JavaScript: tsx is not there in workers.

import { parentPort, workerData } from 'node:worker_threads';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const { path, read, save } = workerData;
const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path } });
const found = await store.get(read);
await store.set(save, { from: 'worker' });
parentPort.postMessage(found);
