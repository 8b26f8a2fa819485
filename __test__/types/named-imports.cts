// CommonJS from named imports.

import { DynamoDBSessionStore, type SessionStoreConfig, SessionStoreError } from 'connect-dynamodb-kms';

const config: SessionStoreConfig = { local: { path: './.sessions' } };
export const store: DynamoDBSessionStore = new DynamoDBSessionStore(config);
export const isOurs = (error: unknown): error is SessionStoreError => error instanceof SessionStoreError;
