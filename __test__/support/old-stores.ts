// Applications on other session stores that keep their sessions in DynamoDB, with those stores' own code.

import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { AwsLocal } from './aws-local.ts';

const require = createRequire(import.meta.url);
const session = require('express-session');

export interface OldStore {
  name: 'connect-dynamodb' | 'dynamodb-store';
  /** A store as an application has it, with a table of its own. */
  open(aws: AwsLocal, table: string): Promise<any>;
}

const credentials = { accessKeyId: 'old-store', secretAccessKey: 'local' };

export const oldStores: OldStore[] = [
  {
    name: 'connect-dynamodb',
    async open(aws, table) {
      const Store = require('connect-dynamodb')(session);
      const store = new Store({
        table,
        client: new DynamoDBClient({ endpoint: aws.dynamodb, region: 'us-east-1', credentials }),
      });
      await store.initialize();
      return store;
    },
  },
  {
    name: 'dynamodb-store',
    open(aws, table) {
      process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1';
      const Store = require('dynamodb-store');
      return new Promise((resolve, reject) => {
        const config = { endpoint: aws.dynamodb, region: 'us-east-1', ...credentials };
        const store = new Store({ table: { name: table }, dynamoConfig: config }, (error: Error | undefined) =>
          error ? reject(error) : resolve(store),
        );
      });
    },
  },
];

/** The methods of such a store as promises. */
export const promises = (store: any) => ({
  get: promisify(store.get.bind(store)) as (sid: string) => Promise<any>,
  set: promisify(store.set.bind(store)) as (sid: string, session: any) => Promise<void>,
  destroy: promisify(store.destroy.bind(store)) as (sid: string) => Promise<void>,
});
