import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const store = new DynamoDBSessionStore({ recordVersion: 2 });
await store.set('an id', { cookie: {}, user: 'ada', tokens: { google: 'old', slack: 'kept' } });

export async function saveTokens(session: object | string, refreshed: Record<string, string>) {
  return store.update(session, (session) => {
    Object.assign(session.tokens, refreshed);
  });
}

console.log((await saveTokens('an id', { google: 'new' }))?.tokens); // { google: 'new', slack: 'kept' }
