// As ../express.ts, in an application that says what is in its sessions, some of it always.

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import express from 'express';
import session, { type Store } from 'express-session';

declare module 'express-session' {
  interface SessionData {
    user?: { id: number; name: string };
    csrf: string;
  }
}

const store = new DynamoDBSessionStore({ ttlSeconds: ({ user }) => (user ? 604_800 : 600) });
const asStore: Store = store;
const app = express();
app.use(session({ store, secret: 'secret', resave: false, saveUninitialized: false }));
app.get('/', async ({ session, sessionID }, response) => {
  const name: string | undefined = session.user?.name;
  // @ts-expect-error no such property
  session.admin;
  await store.set(sessionID, session);
  await store.touch(sessionID, session);
  store.set(sessionID, session, () => response.json({ name, csrf: session.csrf }));
});
export default asStore;
