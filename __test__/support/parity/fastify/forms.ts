// Forms and what surrounds them: CSRF tokens, flash messages, a rate limit, payloads that hooks change, compression.

import fastifyCompress from '@fastify/compress';
import fastifyCsrf from '@fastify/csrf-protection';
import type {} from '@fastify/flash';
import fastifyRateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import type { Runs } from '../runs.ts';

export async function forms(app: FastifyInstance, runs: Runs): Promise<void> {
  await app.register(fastifyCsrf, { sessionPlugin: '@fastify/session' });
  app.get('/csrf', async (_request, reply) => {
    runs.count('csrf token');
    return { token: reply.generateCsrf() };
  });
  app.get('/csrf/unreturned', async (_request, reply) => {
    runs.count('csrf token');
    reply.send({ token: reply.generateCsrf() });
  });
  const csrfProtection: any = app.csrfProtection; // it answers in callback style
  app.post('/transfer', { preHandler: csrfProtection }, async () => {
    runs.count('transfer');
    return { transferred: true };
  });
  app.post('/transfer/early', { onRequest: [csrfProtection] }, async () => {
    runs.count('transfer');
    return { transferred: true };
  });

  app.post('/flash', async (request, reply) => {
    runs.count('flash');
    request.flash('info', ['saved', 'twice']);
    reply.redirect('/flash');
  });
  app.get('/flash', async (_request, reply) => {
    runs.count('flash page');
    return { info: reply.flash('info') };
  });

  await app.register(fastifyRateLimit, { global: false });
  app.get('/limited', { config: { rateLimit: { max: 2, timeWindow: 86_400_000 } } }, async () => {
    runs.count('limited');
    return 'within the limit';
  });
  const perUser = {
    max: 1,
    timeWindow: 86_400_000,
    hook: 'preHandler',
    keyGenerator: (r: any) => r.session.user ?? r.ip,
  } as const;
  app.get('/limited/user', { config: { rateLimit: perUser } }, async () => {
    runs.count('limited');
    return 'within the limit';
  });

  app.register(async (child) => {
    child.addHook('onSend', async (_request, _reply, payload) => {
      runs.count('onSend');
      return typeof payload === 'string' ? payload.replace('plain', 'changed') : payload;
    });
    child.addHook('onSend', (request, reply, payload, done) => {
      runs.count('onSend');
      reply.header('x-user', request.session?.user ?? 'nobody');
      done(null, payload);
    });
    child.addHook('preSerialization', async (_request, _reply, payload: any) => ({ ...payload, wrapped: true }));
    child.addHook('onRequest', async (request, reply) => {
      if ((request.query as any).refuse) reply.code(403).send({ error: 'plain refusal' });
    });
    child.get('/payload', async () => {
      runs.count('payload');
      return { text: 'plain' };
    });
    child.post('/payload', async ({ session }, reply) => {
      runs.count('payload');
      session.note = 'of a payload';
      return reply.send({ text: 'plain' });
    });
  });

  app.register(async (child) => {
    await child.register(fastifyCompress, { threshold: 0, encodings: ['gzip'] });
    child.addHook('preHandler', async (request, reply) => {
      if (!request.session.user) reply.code(401).send({ error: 'denied' });
    });
    child.get('/compressed', async () => {
      runs.count('compressed');
      return { text: 'compressed '.repeat(100) };
    });
  });
}
