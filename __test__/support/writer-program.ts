// Writes sessions until it is killed, and prints the id and the number of each save that was acknowledged.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';

const [path, round] = programArguments();
const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path } });
console.log('started');

/** New sessions beside one that is saved again and again. */
async function write(chain: number): Promise<never> {
  for (let number = 0; ; number++) {
    for (const sid of [`${round}/${chain}/${number}`, `again/${round}/${chain}`]) {
      await store.set(sid, { number, filler: 'x'.repeat((number * 997) % 5000) });
      console.log(JSON.stringify({ sid, number }));
    }
  }
}
await Promise.all([0, 1, 2, 3].map(write));
