// A worker thread whose store has many calls at a time; it says when they are answered, and ends when it is told to.

import { parentPort, workerData } from 'node:worker_threads';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const store = new DynamoDBSessionStore({ ...workerData, logger: { warn() {}, debug() {} } });
await Promise.all(Array.from({ length: 100 }, (_, number) => store.set(`${number}`, { cookie: {} })));
parentPort.once('message', () => void store.close());
parentPort.postMessage('busy');
