// The first call of a fresh process, timed from before the package is loaded. Its argument is a folder with one session.

const start = performance.now();
const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
const loaded = performance.now();
const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path: process.argv[2] } });
store.get('an id').then((session) => {
  const done = performance.now();
  if (session?.user !== 'ada') throw new Error('the session is lost');
  console.log(JSON.stringify({ load: loaded - start, get: done - loaded, process: done }));
});
