import type { FastifyInstance } from 'fastify';

export function routes(app: FastifyInstance) {
  app.get('/wrong', async (request, reply) => {
    request.session.touch();
    reply.redirect('/');
  });
  app.get('/right', async (request, reply) => {
    request.session.touch();
    return reply.redirect('/');
  });
}
