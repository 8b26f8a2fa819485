// The package's types, and the package, from TypeScript.

import { DynamoDBSessionStore, type SessionData, SessionStoreError, type SessionStoreConfig } from 'connect-dynamodb-kms';
import { use } from './use.cjs';

const config: SessionStoreConfig = { local: { path: './never-made' }, recordVersion: 2 };
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config });
const ended: Promise<void> = store.close();
await ended;
const refused: unknown = await store.get('an id').then((session: SessionData | null) => session, (error: unknown) => error);
if (!(refused instanceof SessionStoreError) || refused.code !== 'ERR_CLOSED') throw new Error('it was not closed');
await use(DynamoDBSessionStore);
console.log('used');
