// What makes it a gateway: tokens in the session, refreshed by a hook when they end, and an upstream that gets them.

import fastifyProxy from '@fastify/http-proxy';
import type { FastifyInstance } from 'fastify';
import type { Runs } from '../runs.ts';

export async function tokens(app: FastifyInstance, runs: Runs, upstream: string): Promise<void> {
  app.register(async (api) => {
    api.addHook('onRequest', async (request, reply) => {
      runs.count('api guard');
      if (!request.session.user) reply.code(401).send({ error: 'denied' });
    });
    api.addHook('preHandler', async (request, reply) => {
      const { session } = request;
      if (!session.user || (session.accessTokenEnds ?? 0) > Date.now()) return;
      runs.count('token refresh');
      const answer = await fetch(`${upstream}/refresh`, { method: 'POST', body: session.accessToken ?? '' });
      if (!answer.ok) {
        await session.destroy();
        reply.code(401).send({ error: 'sign in again' });
        return;
      }
      session.accessToken = await answer.text();
      session.accessTokenEnds = Date.now() + 300_000;
    });
    api.get('/api/token', async ({ session }) => {
      runs.count('api token');
      return { token: session.accessToken };
    });
    api.post('/api/revoke', async ({ session }) => {
      runs.count('api revoke');
      session.accessToken = 'revoked';
      session.accessTokenEnds = 0;
      return {};
    });
  });

  app.register(fastifyProxy, {
    upstream,
    prefix: '/proxied',
    preHandler: async (request, reply) => {
      runs.count('proxy guard');
      if (!request.session.user) {
        reply.code(401).send({ error: 'denied' });
      }
    },
    replyOptions: {
      rewriteRequestHeaders: (request, headers) => ({
        ...headers,
        authorization: `Bearer ${(request as any).session.accessToken}`,
      }),
    },
  });
}
