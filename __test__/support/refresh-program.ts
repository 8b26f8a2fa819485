// A server of a fleet as a process of its own: for each line on its standard input, it renews the token of a session for parallel requests, and prints
// what they got. `clock` is how many milliseconds its clock is ahead.

import { createInterface } from 'node:readline';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { renewing } from './oauth-provider.ts';
import { programArguments } from './program.ts';

export interface Order {
  sid: string;
  requests: number;
  options?: object;
  /** Whether the function stops for ever before it asks the provider; the program prints `asks` then. */
  stops?: boolean;
}

export interface Answer {
  /** The access tokens that the requests have, in the object of the request and in the result; or the code or text of an error. */
  got: string[];
  /** Writes of the saves at the end of the requests. */
  written: number;
}

const [config, url, clock] = programArguments();
const { now } = Date;
Date.now = () => now() + clock;
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config, logger: { warn() {}, debug() {} } });

async function request({ sid, options, stops }: Order): Promise<string> {
  const { isFresh, refresh } = renewing(url);
  const stopping = () => {
    console.log('asks');
    return new Promise<void>(() => setInterval(() => {}, 1 << 30));
  };
  const session: any = await store.get(sid);
  const result: any = await store.refresh(session, { isFresh, refresh: stops ? stopping : refresh, ...options });
  const { written } = store.stats().sessions;
  await store.set(sid, session);
  writes += store.stats().sessions.written - written;
  return result === session ? session.tokens.access : 'another object';
}

let writes = 0;
process.stdin.ref();
for await (const line of createInterface({ input: process.stdin })) {
  const order: Order = JSON.parse(line);
  writes = 0;
  const requests = Array.from({ length: order.requests }, () => request(order).catch((error) => error.code ?? error.message));
  console.log(JSON.stringify({ got: await Promise.all(requests), written: writes } satisfies Answer));
}
