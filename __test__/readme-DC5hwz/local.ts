import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const store = new DynamoDBSessionStore({ local: { path: './.sessions' } });
await store.set('an id', { cookie: {}, user: 'ada' });
console.log(await store.get('an id')); // { cookie: {}, user: 'ada' }
console.log(await store.record('an id')); // what lies in the table: { encryptedData: 'kX0…', encryptedKey: … }
await store.close();
