// A Fastify gateway that was written without a thought of the store behind it.

import fastifyCookie from '@fastify/cookie';
import fastifyFormbody from '@fastify/formbody';
import fastifySession, { type FastifySessionOptions } from '@fastify/session';
import Fastify, { type FastifyInstance } from 'fastify';
import type { Runs } from '../runs.ts';
import { accounts, type Slowness } from './accounts.ts';
import { failures, rootFailures } from './failures.ts';
import { forms } from './forms.ts';
import { guarded } from './guards.ts';
import { passport } from './passport.ts';
import { streams } from './streams.ts';
import { tokens } from './tokens.ts';

declare module 'fastify' {
  interface Session {
    user?: string;
    visits?: number;
    note?: string;
    returnTo?: string;
    accessToken?: string;
    accessTokenEnds?: number;
  }
}

export interface Surroundings {
  runs: Runs;
  slowness: Slowness;
  /** The address of the upstream. */
  upstream: string;
}

export async function gateway(
  { runs, slowness, upstream }: Surroundings,
  session: Partial<FastifySessionOptions>,
): Promise<FastifyInstance> {
  const app = Fastify();
  app.addHook('onRequest', async () => runs.count('first hook'));
  app.addHook('onResponse', async () => runs.count('onResponse'));
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret: 'the secret that signs the cookies of the gateway',
    cookieName: 'gateway.sid',
    cookie: { secure: false, maxAge: 3_600_000, sameSite: 'lax' },
    ...session,
  });
  await app.register(fastifyFormbody);
  rootFailures(app, runs);
  await passport(app, runs); // it brings @fastify/flash
  await forms(app, runs);
  await streams(app, runs);
  await accounts(app, runs, slowness);
  await guarded(app, runs);
  await tokens(app, runs, upstream);
  await failures(app, runs);
  return app;
}
