// A worker thread that makes one call, tells what came of it, and has nothing else to do.

import { parentPort, workerData } from 'node:worker_threads';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

new DynamoDBSessionStore({ recordVersion: 1, ...workerData }).get('sid').then((session) => parentPort.postMessage(session));
