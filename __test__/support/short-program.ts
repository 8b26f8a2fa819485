// Uses a store once and has nothing else to do: Node.js should end it by itself.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const [path, closes] = process.argv.slice(2).map((arg) => JSON.parse(arg));
const store = new DynamoDBSessionStore({ recordVersion: 2, local: { path } });
await store.set('sid', { user: 'Ada' });
if (closes) await store.close();
console.log('done');
