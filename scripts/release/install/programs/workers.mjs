// The store in worker threads that start, work and stop, some of them in the middle of a call, while the main thread uses it too.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { use } from './use.cjs';

const WORKERS = 12;

if (isMainThread) {
  for (let round = 0; round < WORKERS; round += 3) {
    const workers = Array.from({ length: 3 }, () => new Worker(new URL(import.meta.url)));
    const exits = workers.map((worker) => once(worker, 'exit'));
    await Promise.all([use(DynamoDBSessionStore), ...workers.map((worker) => once(worker, 'message'))]);
    await workers[0].terminate();
    const codes = (await Promise.all(exits)).map(([code]) => code);
    assert.deepEqual(codes.slice(1), [0, 0]);
  }
  console.log('used');
} else {
  await use(DynamoDBSessionStore);
  parentPort.postMessage('used');
  await use(DynamoDBSessionStore); // what the first of them is stopped in
}
