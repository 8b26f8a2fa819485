import { DynamoDBSessionStore } from 'connect-dynamodb-kms';

const store = new DynamoDBSessionStore({ recordVersion: 2 });
await store.set('an id', { cookie: {}, tokens: { access: 'old', refresh: 'once', expires: 0 } });
let refreshes = 0;

async function accessToken(sid: string): Promise<string | undefined> {
  return store.withLock(sid, async (signal) => {
    const session = await store.get(sid);
    if (!session || session.tokens.expires > Date.now()) return session?.tokens.access;
    const tokens = await refresh(session.tokens.refresh, signal); // asks the provider; gives up if the lease is lost
    await store.update(sid, (session) => void Object.assign(session, { tokens }));
    return tokens.access;
  });
}

async function refresh(_token: string, signal: AbortSignal) {
  signal.throwIfAborted();
  return { access: `new ${++refreshes}`, refresh: 'next', expires: Date.now() + 3_600_000 };
}

console.log(await Promise.all([accessToken('an id'), accessToken('an id')])); // [ 'new 1', 'new 1' ]
