// connect-dynamodb 3: sessions as plain text in DynamoDB, on AWS SDK v3. Its base class is an EventEmitter here, so that express-session is
// loaded for nobody.

import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const DynamoDBStore = require('connect-dynamodb')({ Store: EventEmitter });

export function open({ table, dynamodb }) {
  const client = new DynamoDBClient({
    endpoint: dynamodb,
    region: 'us-east-1',
    requestHandler: { httpAgent: { keepAlive: true, maxSockets: 1024 } },
  });
  const store = new DynamoDBStore({ client, table, hashKey: 'sessionId', prefix: 'plain-text:' });
  return { store, cold: store, close: async () => client.destroy() };
}
