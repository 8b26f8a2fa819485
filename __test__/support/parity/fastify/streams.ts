// Answers that do not go through `reply.send` of a value: events, raw replies, streams and sockets.

import { Readable } from 'node:stream';
import fastifyWebsocket from '@fastify/websocket';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Runs } from '../runs.ts';

export async function streams(app: FastifyInstance, runs: Runs): Promise<void> {
  const guard = async (request: FastifyRequest, reply: FastifyReply) => {
    runs.count('stream guard');
    if (!request.session.user) reply.code(401).send({ error: 'denied' });
  };
  const rememberingGuard = async (request: FastifyRequest, reply: FastifyReply) => {
    runs.count('stream guard');
    if (!request.session.user) {
      request.session.returnTo = request.url;
      reply.redirect('/login');
    }
  };
  const writeEvents = (request: FastifyRequest, reply: FastifyReply) => {
    runs.count('events');
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    reply.raw.write(`data: hello ${request.session.user}\n\n`);
    setImmediate(() => reply.raw.end('data: bye\n\n'));
  };

  app.get('/events', { preHandler: guard }, async (request, reply) => {
    reply.hijack();
    writeEvents(request, reply);
  });
  app.get('/events/unhijacked', { preValidation: [guard] }, (request, reply) => writeEvents(request, reply));
  app.get('/events/remembered', { onRequest: rememberingGuard }, async (request, reply) => {
    reply.hijack();
    writeEvents(request, reply);
  });
  app.get('/raw', { onRequest: guard }, async (_request, reply) => {
    runs.count('raw');
    reply.raw.setHeader('content-type', 'text/plain');
    reply.raw.end('raw');
    return reply;
  });
  app.get('/stream', { preHandler: guard }, (_request, reply) => {
    runs.count('stream');
    reply.type('text/plain').send(Readable.from(['a', 'b', 'c']));
  });
  app.get('/stream/returned', { preHandler: guard }, async ({ session }) => {
    runs.count('stream');
    session.note = 'streamed';
    return Readable.from(['a', 'b', 'c']);
  });

  await app.register(fastifyWebsocket);
  app.register(async (child) => {
    child.get('/socket', { websocket: true, preValidation: guard }, (socket, request) => {
      runs.count('socket');
      socket.send(`hello ${request.session.user}`);
      socket.on('message', (message: Buffer) => socket.send(`echo ${message}`));
    });
    child.get('/socket/remembered', { websocket: true, preValidation: [rememberingGuard] }, (socket) => {
      runs.count('socket');
      socket.send('open');
    });
  });
}
