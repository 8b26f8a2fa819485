// A small gateway on Fastify: login with tokens in the session, as an application writes it.

import fastifyCookie from '@fastify/cookie';
import fastifySession, { type FastifySessionOptions } from '@fastify/session';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface Session {
    user?: string;
    tokens?: { access_token: string; expires_at: Date };
    visits?: number;
    note?: string;
  }
}

export const COOKIE = 'gateway.sid';
export const HOUR = 3_600_000;

/** The application; it listens to nothing yet. */
export async function fastifyApp(
  store: DynamoDBSessionStore,
  options: Partial<FastifySessionOptions> = {},
  plugin = fastifySession,
): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(fastifyCookie);
  await app.register(plugin, {
    store,
    secret: 'the secret that signs the cookies of the tests',
    cookieName: COOKIE,
    cookie: { secure: false, maxAge: HOUR, path: '/' },
    saveUninitialized: false,
    ...options,
  });

  app.post<{ Params: { user: string } }>('/login/:user', async ({ session, params }) => {
    session.user = params.user;
    session.tokens = { access_token: `token-of-${params.user}`, expires_at: new Date('2099-01-01') };
    session.visits = 0;
    return { user: session.user };
  });
  app.get('/me', async ({ session }, reply) => {
    if (!session.user) return reply.code(401).send({ error: 'not signed in' });
    return { user: session.user, tokens: session.tokens, visits: session.visits, note: session.note, sid: session.sessionId };
  });
  app.get('/nothing', async () => ({}));
  app.post('/visit', async ({ session }) => {
    session.visits = (session.visits ?? 0) + 1;
    return { visits: session.visits };
  });
  app.post('/regenerate', async (request) => {
    const before = request.session.sessionId;
    await request.session.regenerate(['user']);
    return { before, after: request.session.sessionId };
  });
  app.post('/reload', async (request) => {
    request.session.user = 'Mallory';
    await request.session.reload();
    return { user: request.session.user };
  });
  app.post('/save', async (request) => {
    request.session.note = 'saved in the middle';
    await request.session.save();
    const stored = await store.get(request.session.sessionId);
    request.session.note = 'saved at the end';
    return { stored: stored?.note };
  });
  app.post('/logout', async (request) => {
    await request.session.destroy();
    return { session: request.session };
  });
  return app;
}

/** Lets it listen on a free port of this machine. @returns its address. */
export async function listen(app: FastifyInstance): Promise<string> {
  return app.listen({ host: '127.0.0.1', port: 0 });
}
