// Opens a folder of the local mode, saves one session and holds the folder until it is killed. Prints `holds`, or the error as JSON.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { programArguments } from './program.ts';

const [path, sid, session] = programArguments();
const logger = { warn() {}, debug() {} };
const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path }, logger });
try {
  const before = await store.all();
  await store.set(sid, session);
  console.log(JSON.stringify({ holds: path, before }));
} catch (error) {
  const { code, detail, retryable } = error as any;
  console.log(JSON.stringify({ code, detail, retryable }));
}
setInterval(() => store, 1 << 30); // a store that nobody holds is collected, and gives the folder free
