// As ../fastify.ts, in an application that says what is in its sessions, some of it always.

import fastifyCookie from '@fastify/cookie';
import fastifySession, { type FastifySessionOptions } from '@fastify/session';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import Fastify from 'fastify';

declare module 'fastify' {
  interface Session {
    user?: { id: number; name: string };
    csrf: string;
  }
}

const store = new DynamoDBSessionStore();
const options: FastifySessionOptions = { store, secret: 'a secret of at least thirty-two letters' };
const app = Fastify();
app.register(fastifyCookie);
app.register(fastifySession, { store, secret: 'a secret of at least thirty-two letters', saveUninitialized: false });
app.get('/', async ({ session }) => {
  const name: string | undefined = session.user?.name;
  // @ts-expect-error no such property
  session.admin;
  await store.set(session.sessionId, session);
  return { name, csrf: session.csrf };
});
export default options;
