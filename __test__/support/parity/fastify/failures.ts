// Errors and pages that are not there, answered by handlers of the application.

import type { FastifyInstance } from 'fastify';
import type { Runs } from '../runs.ts';

class Refused extends Error {
  readonly statusCode = 418;
}

export function rootFailures(app: FastifyInstance, runs: Runs): void {
  app.setErrorHandler(async (error: any, _request, reply) => {
    runs.count('error handler');
    reply.code(error.statusCode ?? 500).send({ error: error.message });
  });
  app.setNotFoundHandler(async (request, reply) => {
    runs.count('not found handler');
    reply.code(404).send({ missing: request.url });
  });
}

export async function failures(app: FastifyInstance, runs: Runs): Promise<void> {
  const routes = (child: FastifyInstance, prefix: string) => {
    child.get(`${prefix}/throws`, async () => {
      runs.count('throws');
      throw new Refused('no');
    });
    child.get(`${prefix}/throws-in-hook`, { preHandler: async () => Promise.reject(new Refused('no')) }, async () => 'never');
    child.get(`${prefix}/sends`, (_request, reply) => {
      runs.count('sends');
      reply.send(new Refused('sent'));
    });
    child.post(`${prefix}/changes`, async ({ session }) => {
      runs.count('changes');
      session.note = `of ${prefix}`;
      throw new Refused('changed');
    });
    const schema = { body: { type: 'object', required: ['amount'], properties: { amount: { type: 'integer' } } } };
    child.post(`${prefix}/validated`, { schema }, async () => {
      runs.count('validated');
      return 'valid';
    });
  };

  routes(app, '/failures/async');
  app.register(async (child) => {
    child.setErrorHandler((error: any, _request, reply) => {
      runs.count('error handler');
      reply.code(error.statusCode ?? 500).send({ sync: error.message });
    });
    routes(child, '/failures/sync');
  });
  app.register(async (child) => {
    child.setErrorHandler(async (error: any, request, reply) => {
      runs.count('error handler');
      if (request.session) request.session.note = 'failed';
      reply.redirect(`/failed?why=${error.message}`);
    });
    routes(child, '/failures/redirect');
  });
  app.register(
    async (child) => {
      const preHandler = async (request: any, reply: any) => {
        runs.count('not found guard');
        if (!request.session.user) reply.code(401).send({ error: 'denied' });
      };
      child.setNotFoundHandler({ preHandler }, (request, reply) => {
        runs.count('not found handler');
        reply.code(404).type('text/plain').send(`nothing at ${request.url}`);
      });
    },
    { prefix: '/area' },
  );
}
