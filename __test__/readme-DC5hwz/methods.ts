import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const store = new DynamoDBSessionStore({ prefix: 'admin:' });
await store.ping(); // the table is there and ACTIVE, the key makes and unwraps data keys
await store.set('a', { cookie: {}, user: 'ada' });
console.log(await store.length(), await store.ids(), await store.all()); // 1 [ 'a' ] [ { cookie: {}, user: 'ada', id: 'a' } ]
store.destroy('a', (error) => {
  console.log(error); // null
});
