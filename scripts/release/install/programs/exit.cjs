// Ends with calls in flight: by process.exit with 7, or, with the argument `throw`, by an uncaught error.

const { DynamoDBSessionStore } = require('connect-dynamodb-kms');

const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path: process.argv[3] } });
store.set('first', { cookie: {} }).then(() => {
  for (let i = 0; i < 200; i += 1) {
    store.set(`id ${i}`, { cookie: {}, i });
    store.get('first');
  }
  if (process.argv[2] === 'throw') throw new Error('thrown with calls in flight');
  process.exit(7);
});
