import cookie from '@fastify/cookie';
import session from '@fastify/session';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import Fastify from 'fastify';

declare module 'fastify' {
  interface Session {
    user?: string;
  }
}

const app = Fastify();
const store = new DynamoDBSessionStore({ recordVersion: 2 });
await app.register(cookie);
await app.register(session, {
  secret: process.env.SESSION_SECRET!,
  store,
  saveUninitialized: false,
  cookie: { maxAge: 7 * 24 * 3600 * 1000, secure: 'auto' },
});
app.post('/login', async (request) => {
  await request.session.regenerate();
  request.session.user = 'ada';
  return { ok: true };
});
app.get('/me', async (request) => ({ user: request.session.user ?? null }));
app.addHook('onClose', () => store.close());
await app.listen({ port: 42875 });
