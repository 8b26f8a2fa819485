import { DynamoDBSessionStore, KMS_KEY_ARN } from 'connect-dynamodb-kms';

const newKey = 'arn:aws:kms:eu-west-1:232282424912:key/0f2d1c3b-6a5e-4d7c-8b9a-1e2f3a4b5c6d';
const store = new DynamoDBSessionStore({ recordVersion: 2, kmsKeyArn: [newKey, KMS_KEY_ARN], keyCache: 'strict' });
await store.set('an id', { cookie: {} });
console.log(store.stats().keyCache.loads); // 1
