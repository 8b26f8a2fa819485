// A worker thread that reads its own environment: tells which defaults the package took, which table a store without options asks, and what an own variable changes later.

import { parentPort } from 'node:worker_threads';
import { AWS_REGION, DynamoDBSessionStore, KMS_KEY_ARN, SESSIONS_TABLE } from 'connect-dynamodb-kms';

const logger = { warn() {}, debug() {} };
const tableOf = async (config) => {
  const store = new DynamoDBSessionStore({ recordVersion: 2, logger, ...config });
  const detail = await store.get('sid').then(String, (error) => error.detail);
  await store.close();
  return /table (\S+) /.exec(detail)?.[1] ?? detail;
};

parentPort.once('message', async (config) => {
  const own = await tableOf(config);
  process.env.SESSIONS_TABLE = 'changed-later';
  const later = await tableOf(config);
  parentPort.postMessage({ KMS_KEY_ARN, SESSIONS_TABLE, AWS_REGION, own, later });
});
