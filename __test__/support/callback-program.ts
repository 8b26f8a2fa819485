// Callbacks that throw, and promises that nobody looks at, in a process that these must not take down in the wrong way.
// Prints one line of JSON.

import { setImmediate as turn } from 'node:timers/promises';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';

const [what, config] = programArguments();
const warnings: string[] = [];
const store = new DynamoDBSessionStore({
  recordVersion: 1,
  ...config,
  logger: {
    warn(line: string) {
      warnings.push(line);
    },
    debug() {},
  },
});

const calls: [string, unknown[]][] = [
  ['set', ['sid', { user: 'Ada' }]],
  ['get', ['sid']],
  ['touch', ['sid', {}]],
  ['record', ['sid']],
  ['all', []],
  ['ids', []],
  ['length', []],
  ['ping', []],
  ['destroy', ['sid']],
  ['clear', []],
  ['close', []],
];

if (what === 'throwing callbacks') {
  const runs: Record<string, number> = {};
  const uncaught: string[] = [];
  for (const [method, args] of calls) {
    const caught = new Promise<void>((resolve) => {
      process.once('uncaughtException', (error) => {
        uncaught.push(error.message);
        resolve();
      });
    });
    (store as any)[method](...args, () => {
      runs[method] = (runs[method] ?? 0) + 1;
      throw new Error(`thrown by the callback of ${method}`);
    });
    await caught;
    await turn();
    await turn();
  }
  console.log(JSON.stringify({ runs, uncaught, warnings }));
}

if (what === 'promises left alone') {
  // No listener for unhandledRejection: Node.js would end this process with status 1.
  const writes = calls.filter(([method]) => ['set', 'touch', 'destroy'].includes(method));
  for (const [method, args] of writes) (store as any)[method](...args, undefined);
  for (const [method, args] of writes) (store as any)[method](...args);
  const failures = () => Object.values(store.stats().errors).reduce((sum, count) => sum + count, 0);
  while (failures() < 2 * writes.length) await turn();
  await turn();
  await turn();
  console.log(JSON.stringify({ warnings }));
}

if (what === 'late responses') {
  // No listener for uncaughtException: Node.js would end this process with status 7 or 1.
  const late = () => {
    throw Object.assign(new Error('Cannot write headers after they are sent to the client'), { code: 'ERR_HTTP_HEADERS_SENT' });
  };
  const session = { user: 'Ada' };
  for (let i = 0; i < 3; i++) {
    store.set('sid', { user: i }, late);
    await store.set('known', session);
    store.set('known', session, late);
    store.destroy('sid', late);
  }
  await store.close();
  await turn();
  await turn();
  console.log(JSON.stringify({ warnings }));
}
process.exit(0);
