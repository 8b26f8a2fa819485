// Guards in every position and place, written in the ways that people write them: most of them answer and return nothing.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Runs } from '../runs.ts';

export const positions = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const;
type Position = (typeof positions)[number];

/** The ways in which a guard refuses. */
export const refusals = ['denies', 'redirects', 'remembers', 'throws', 'returns', 'calls-back', 'calls-back-with-error'] as const;
export type Refusal = (typeof refusals)[number];

/** Where the guard stands, or what it guards. */
export const places = ['function', 'array', 'instance', 'plugin', 'raw', 'sends'] as const;

function guard(runs: Runs, position: Position, refusal: Refusal): any {
  const entered = () => runs.count(`guard ${refusal}`);
  const isSignedIn = (request: FastifyRequest) => Boolean(request.session.user);
  const callBack = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
    entered();
    if (!isSignedIn(request)) {
      reply.redirect(`/login?redirect_to=${request.url}`);
      return;
    }
    done();
  };
  const callBackWithError = (request: FastifyRequest, done: (error?: Error) => void) => {
    entered();
    done(isSignedIn(request) ? undefined : Object.assign(new Error('sign in'), { statusCode: 401 }));
  };
  const guards: Record<Refusal, (...args: any[]) => unknown> = {
    async denies(request: FastifyRequest, reply: FastifyReply) {
      entered();
      if (!request.session.user) {
        reply.code(401).send({ error: 'denied' });
      }
    },
    async redirects(request: FastifyRequest, reply: FastifyReply) {
      entered();
      if (!request.session.user) reply.redirect('/login');
    },
    async remembers(request: FastifyRequest, reply: FastifyReply) {
      entered();
      if (!request.session.user) {
        request.session.returnTo = request.url;
        reply.redirect('/login');
      }
    },
    async throws(request: FastifyRequest) {
      entered();
      if (!request.session.user) throw Object.assign(new Error('sign in'), { statusCode: 401 });
    },
    async returns(request: FastifyRequest, reply: FastifyReply) {
      entered();
      if (!request.session.user) return reply.code(401).send({ error: 'denied' });
    },
    'calls-back':
      position === 'preParsing'
        ? (request, reply, _payload, done) => callBack(request, reply, done)
        : (request, reply, done) => callBack(request, reply, done),
    'calls-back-with-error':
      position === 'preParsing'
        ? (request, _reply, _payload, done) => callBackWithError(request, done)
        : (request, _reply, done) => callBackWithError(request, done),
  };
  return guards[refusal];
}

export function guardedPath(position: string, place: string, refusal: string): string {
  return `/guarded/${position}/${place}/${refusal}`;
}

export async function guarded(app: FastifyInstance, runs: Runs): Promise<void> {
  for (const position of positions) {
    const before = async () => runs.count('hook before the guard');
    const after = async () => runs.count('hook after the guard');
    const page = async (request: FastifyRequest) => {
      runs.count('guarded handler');
      return { secret: `of ${request.session.user}` };
    };
    for (const refusal of refusals) {
      const path = (place: string) => guardedPath(position, place, refusal);
      const check = guard(runs, position, refusal);

      app.get(path('function'), { [position]: check }, page);
      app.get(path('array'), { [position]: [before, check, after] }, page);
      app.register(async (child) => {
        child.addHook(position as 'onRequest', check);
        child.addHook(position as 'onRequest', after);
        child.get(path('instance'), page);
      });
      app.register(async (child) => {
        // What fastify-plugin marks: its hooks are those of the context that registers it.
        const plugin = Object.assign(async (context: FastifyInstance) => void context.addHook(position as 'onRequest', check), {
          [Symbol.for('skip-override')]: true,
        });
        await child.register(plugin);
        child.register(async (grandchild) => void grandchild.get(path('plugin'), page));
      });
      app.get(path('raw'), { [position]: check }, async (request, reply) => {
        runs.count('guarded handler');
        reply.raw.writeHead(200, { 'content-type': 'text/plain' });
        reply.raw.end(`the secret of ${request.session.user}`);
      });
      app.get(path('sends'), { [position]: check }, (request, reply) => {
        runs.count('guarded handler');
        reply.header('x-secret', 'yes').send({ secret: `of ${request.session.user}` });
      });
    }
  }
}
