// This store: the package as npm would publish it, with a release build of its core.

import { createRequire } from 'node:module';

const { DynamoDBSessionStore } = createRequire(import.meta.url)('connect-dynamodb-kms');

/** So few data keys stay that a session of a pool has always lost its own when its turn comes again. */
const FORGETS = { maxEntries: 4 };

export function open(servers, options) {
  const config = {
    tableName: servers.table,
    kmsKeyArn: servers.keyArn,
    region: 'us-east-1',
    dynamodbEndpoint: servers.dynamodb,
    kmsEndpoint: servers.kms,
    ...options,
  };
  const store = new DynamoDBSessionStore({ recordVersion: 1, ...config });
  let cold;
  let due;
  return {
    store,
    get cold() {
      cold ??= new DynamoDBSessionStore({ recordVersion: 1, ...config, keyCache: FORGETS });
      return cold;
    },
    get due() {
      due ??= new DynamoDBSessionStore({ recordVersion: 1, ...config, touchAfter: 0 });
      return due;
    },
    close: () => Promise.all([store.close(), cold?.close(), due?.close()]),
  };
}
