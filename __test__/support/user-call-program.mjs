// Calls of a store, one after the other, in a process that another one may end at any time; it starts quickly, for there are many. Each call is the name of a
// method and its arguments; `login` gives a session that is there another user, as a request does.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

process.stdin.resume().on('end', () => process.exit(1));
const [config, ...calls] = process.argv.slice(2).map((arg) => JSON.parse(arg));
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config, logger: { warn() {}, debug() {} } });
for (const [name, ...args] of calls) {
  if (name === 'login') {
    const [sid, user] = args;
    const session = await store.get(sid);
    session.user = user;
    await store.set(sid, session);
  } else await store[name](...args);
}
await store.close();
process.exit(0);
