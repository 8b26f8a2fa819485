// Subscribers of the channel of calls that throw. Prints one line of JSON: what the calls gave, and what was uncaught.

import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { callChannel, EVENTS } from './channels.ts';
import { programArguments } from './program.ts';

const [path] = programArguments();
const uncaught: string[] = [];
process.on('uncaughtException', (error) => void uncaught.push(error.message));
const subscribers: any = {};
for (const event of EVENTS)
  subscribers[event] = () => {
    throw new Error(`thrown at ${event}`);
  };
callChannel.subscribe(subscribers);
callChannel.start.bindStore(new AsyncLocalStorage(), () => {
  throw new Error('thrown at bound');
});
const store = new DynamoDBSessionStore({ local: { path }, recordVersion: 2, logger: { warn() {}, debug() {} } });
const answers = [await store.get('sid'), await promisify(store.get as any)('sid')];
await turn();
await turn();
console.log(JSON.stringify({ answers, uncaught: uncaught.sort() }));
process.exit(0);
