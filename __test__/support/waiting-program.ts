// Makes one call, prints what came of it, and has nothing else to do.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const [config] = process.argv.slice(2).map((arg) => JSON.parse(arg));
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config });
store.get('sid').then((session) => console.log(JSON.stringify(session)));
process.on('SIGUSR2', () => process.exit(3)); // keeps nothing alive
