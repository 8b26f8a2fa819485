// A small gateway on Fastify with @fastify/session as it comes (rolling), for the workloads over HTTP.

import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import Fastify from 'fastify';
import { sessionData, userOf, WEEK } from './sessions.mjs';
import { forEach } from './work.mjs';

const COOKIE = 'sessionId';

/**
 * Starts the application on `store` and logs `users` in.
 * @param {(app: import('fastify').FastifyInstance) => void} [watch] adds hooks that run before those of the session.
 * @returns its address, and the cookies of the users.
 */
export async function startGateway(store, { size, users }, watch) {
  const app = Fastify();
  watch?.(app);
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    store,
    secret: 'the secret that signs the cookies of the benchmarks',
    cookieName: COOKIE,
    cookie: { secure: false, maxAge: WEEK },
    saveUninitialized: false,
  });
  let logins = 0;
  app.post('/login', async ({ session }) => {
    Object.assign(session, sessionData(size), { user: userOf(logins++) });
    return { user: session.user };
  });
  app.get('/me', async ({ session }) => {
    if (!session.user) throw new Error('the session is lost');
    return { user: session.user, visits: session.visits };
  });
  app.get('/visit', async ({ session }) => {
    if (!session.user) throw new Error('the session is lost');
    session.visits += 1;
    return { user: session.user, visits: session.visits };
  });
  const cookies = [];
  await forEach(users, async () => {
    const reply = await app.inject({ method: 'POST', url: '/login' });
    const cookie = reply.cookies.find(({ name }) => name === COOKIE);
    if (reply.statusCode !== 200 || !cookie) throw new Error(`the login failed: ${reply.statusCode} ${reply.body}`);
    cookies.push(`${COOKIE}=${encodeURIComponent(cookie.value)}`);
  });
  await verify(app, cookies[0]);
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { app, address: `127.0.0.1:${app.server.address().port}`, cookies };
}

/** A visit must be there at the next request. */
async function verify(app, cookie) {
  const ask = async (url) => (await app.inject({ url, headers: { cookie } })).json();
  const [before, visited, after] = [await ask('/me'), await ask('/visit'), await ask('/me')];
  if (visited.visits !== before.visits + 1 || after.visits !== visited.visits) {
    throw new Error(`a visit was not kept: ${JSON.stringify([before, visited, after])}`);
  }
}
