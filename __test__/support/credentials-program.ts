// Stores of one process with an environment of its own, which look for a session when a line names them (a second word is the `callMillis` of a new one); prints the code of the failure, or `null` for no session.

import { createInterface } from 'node:readline';
import { DynamoDBSessionStore, type SessionStoreError } from 'connect-dynamodb-kms';

const [environment, config] = process.argv.slice(2).map((arg) => JSON.parse(arg));
for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
Object.assign(process.env, { HOME: '/nonexistent', AWS_EC2_METADATA_DISABLED: 'true', ...environment });
const stores = new Map<string, DynamoDBSessionStore>();

for await (const line of createInterface({ input: process.stdin })) {
  const [name = '', callMillis] = line.split(' ');
  const timeouts = callMillis ? { callMillis: Number(callMillis) } : undefined;
  const store = stores.get(name) ?? new DynamoDBSessionStore({ ...config, timeouts, logger: { warn() {}, debug() {} } });
  stores.set(name, store);
  const outcome = await store.get('sid').catch((error: SessionStoreError) => error.code);
  console.log(JSON.stringify(outcome));
}
