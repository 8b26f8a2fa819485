// Callbacks that throw, and promises that nobody looks at, in a process that these must not take down in the wrong way.
// Prints one line of JSON.

import { setImmediate as turn } from 'node:timers/promises';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';

const [what, config] = programArguments();
const warnings: string[] = [];
let warned = () => {};
const store = new DynamoDBSessionStore({
  ...config,
  logger: {
    warn(line: string) {
      warnings.push(line);
      warned();
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
  const done = new Promise<void>((resolve) => {
    warned = () => {
      if (warnings.length === writes.length) resolve();
    };
  });
  for (const [method, args] of writes) (store as any)[method](...args, undefined);
  await done;
  await turn();
  await turn();
  console.log(JSON.stringify({ warnings }));
}
process.exit(0);
