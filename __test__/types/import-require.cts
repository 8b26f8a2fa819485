// CommonJS, as TypeScript writes it.

import store = require('connect-dynamodb-kms');

const made: store.DynamoDBSessionStore = new store.DynamoDBSessionStore({ local: { path: './.sessions' } });
const config: store.SessionStoreConfig = { tableName: store.SESSIONS_TABLE, region: store.AWS_REGION, kmsKeyArn: store.KMS_KEY_ARN };
const code: store.SessionStoreErrorCode = 'ERR_CLOSED';
made.get('id').then((session: store.SessionData | null) => session?.cookie);
// @ts-expect-error an unknown option
new store.DynamoDBSessionStore({ table: 'sessions' });
// @ts-expect-error the package itself is no class
new store();
export = [made, config, code];
