// A worker thread that is ended while its calls are in flight.

import { parentPort, workerData } from 'node:worker_threads';

const { config, packageName } = workerData;
const { DynamoDBSessionStore } = (await import(packageName)).default;
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config, logger: { warn() {}, debug() {} } });
await store.length().catch(() => {});
for (let number = 0; number < 50; number++) {
  store.set(`worker-${number}`, { number }).catch(() => {});
  store.get(`soak-${number}`).catch(() => {});
}
parentPort.postMessage('under way');
