// A process of its own that uses the package with the environment it was given: a job on standard input, what came of it on
// standard output, both JSON. See store-process.ts.

import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import store from 'connect-dynamodb-kms';

const { config, handles = [], calls } = JSON.parse(await text(process.stdin));
const { KMS_KEY_ARN, SESSIONS_TABLE, AWS_REGION } = store;

function outcome(error) {
  const cause = error.cause && { name: error.cause.name, message: error.cause.message };
  const { name, code, message, detail, retryable } = error;
  return { error: { name, code, message, detail, retryable, cause, shown: inspect(error, { depth: 9, showHidden: true }) } };
}

async function work() {
  const results = [];
  try {
    const stores = handles.map((handle) => [handle, store[handle]]);
    const target = new store.DynamoDBSessionStore({
      logger: { warn() {}, debug() {} },
      ...config,
      ...Object.fromEntries(stores),
    });
    for (const [name, ...args] of calls) {
      try {
        const value = await (name in target ? target[name](...args) : store[name](...args));
        results.push({ value: value ?? null });
      } catch (error) {
        results.push(outcome(error));
      }
    }
  } catch (error) {
    results.push(outcome(error));
  }
  return results;
}

process.stdout.write(JSON.stringify({ constants: { KMS_KEY_ARN, SESSIONS_TABLE, AWS_REGION }, results: await work() }));
