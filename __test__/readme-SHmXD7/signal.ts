import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const store = new DynamoDBSessionStore({ timeouts: { attemptMillis: 500, callMillis: 1500 } });
console.log(await store.get('no such id', { signal: AbortSignal.timeout(1000) })); // null
