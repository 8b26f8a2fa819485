import { DynamoDBSessionStore, SessionStoreError } from 'connect-dynamodb-kms';

const store = new DynamoDBSessionStore({ tableName: 'not-there' });
try {
  await store.get('an id');
} catch (error) {
  if (!(error instanceof SessionStoreError)) throw error;
  console.log(error.code, error.statusCode, error.message); // ERR_TABLE_NOT_FOUND 500 the session store's table does not exist; see detail
  console.log(error.detail); // the DynamoDB table not-there does not exist in this account and region (us-east-1); create it, or correct tableName or region
}
