// ES modules: named imports, all of it under a name, and import().

import { DynamoDBSessionStore, type SessionStoreConfig, SessionStoreError } from 'connect-dynamodb-kms';
import * as everything from 'connect-dynamodb-kms';

const config: SessionStoreConfig = { local: { path: './.sessions' } };
export const store: DynamoDBSessionStore = new everything.DynamoDBSessionStore(config);
export const isOurs = (error: unknown): error is SessionStoreError => error instanceof everything.SessionStoreError;
export const later: typeof DynamoDBSessionStore = (await import('connect-dynamodb-kms')).DynamoDBSessionStore;
