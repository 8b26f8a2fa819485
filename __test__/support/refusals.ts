// An application that refuses requests in every place where one can, in the ways in which people write it.

import fastifyAuth from '@fastify/auth';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

type Refuse = (request: FastifyRequest, reply: FastifyReply) => unknown;

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** How a hook or handler answers without returning the reply. */
export const WAYS: Record<string, Refuse> = {
  sends: async (_request, reply) => void reply.code(401).send({ error: 'denied' }),
  redirects: async (_request, reply) => void reply.redirect('/login'),
  'sends later': async (_request, reply) => {
    await turn();
    reply.code(401).send('denied');
  },
  'sends twice': async (_request, reply) => {
    reply.code(401).send('denied');
    reply.code(402).send('again');
  },
  'sends and throws': async (_request, reply) => {
    reply.code(401).send('denied');
    throw new Error('thrown after the answer');
  },
  'sends and returns a value': async (_request, reply) => {
    reply.code(401).send('denied');
    return 'another value';
  },
  'sends an error': async (_request, reply) => void reply.code(409).send(new Error('denied')),
  'sends nothing': async (_request, reply) => void reply.code(204).send(),
  'calls back': (_request, reply) => void reply.code(401).send('denied'),
  'returns the reply': async (_request, reply) => reply.code(401).send('denied'),
  'awaits the reply': async (_request, reply) => {
    await reply.code(401).send('denied');
  },
  'hijacks the reply': async (_request, reply) => {
    reply.hijack();
    reply.raw.writeHead(401).end('denied');
  },
  'writes to the response': async (_request, reply) => void reply.raw.writeHead(401).end('denied'),
  throws: async () => {
    throw Object.assign(new Error('denied'), { statusCode: 403 });
  },
};

/** Counts what runs although the request was refused. */
export type Ran = (request: FastifyRequest, what: string) => void;

/** Registers routes under `prefix` that refuse in one place, and that place's way of registering a refusal. */
export type Place = (app: FastifyInstance, refuse: Refuse, ran: Ran, prefix: string) => unknown;

/** A hook that may come with a callback, in whose place one that refuses stands. */
function hook(refuse: Refuse): any {
  return refuse === WAYS['calls back'] ? (request: any, reply: any, _done: unknown) => refuse(request, reply) : refuse;
}

/** preParsing has the payload before the callback. */
function parsing(refuse: Refuse): any {
  if (refuse !== WAYS['calls back']) return refuse;
  return (request: any, reply: any, _payload: unknown, _done: unknown) => refuse(request, reply);
}

function handler(ran: Ran) {
  return async (request: FastifyRequest) => {
    ran(request, 'handler');
    return { secret: 'what the hook protects' };
  };
}

const HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const;

/** Where requests are refused. */
export const PLACES: Record<string, Place> = {};

for (const name of HOOKS) {
  const refusal = name === 'preParsing' ? parsing : hook;
  PLACES[`${name} of a route`] = (app, refuse, ran, prefix) => {
    app.get(`${prefix}/`, { [name]: refusal(refuse) }, handler(ran));
  };
  PLACES[`${name} in an array of a route`] = (app, refuse, ran, prefix) => {
    const passes = async () => {};
    const later = async (request: FastifyRequest) => ran(request, 'later hook');
    app.post(`${prefix}/`, { [name]: [passes, refusal(refuse), later] }, handler(ran));
  };
  PLACES[`${name} of a plugin`] = (app, refuse, ran, prefix) => {
    app.register(
      async (child) => {
        child.addHook(name as 'onRequest', refusal(refuse));
        child.addHook(name as 'onRequest', async (request) => ran(request, 'later hook'));
        child.get('/', handler(ran));
      },
      { prefix },
    );
  };
  PLACES[`${name} of a plugin, for a plugin that is registered later`] = (app, refuse, ran, prefix) => {
    app.register(
      async (child) => {
        child.register(async (grandchild) => void grandchild.get('/', handler(ran)));
        child.addHook(name as 'onRequest', refusal(refuse));
      },
      { prefix },
    );
  };
  PLACES[`${name} of the application`] = (app, refuse, ran, prefix) => {
    const refusing = refusal(refuse);
    const only: any =
      refusing.length > 2
        ? (request: FastifyRequest, reply: FastifyReply, ...rest: any[]) =>
            request.url.startsWith(`${prefix}/`) ? refusing(request, reply, ...rest) : rest.at(-1)()
        : async (request: FastifyRequest, reply: FastifyReply) =>
            request.url.startsWith(`${prefix}/`) ? refusing(request, reply) : undefined;
    Object.defineProperty(only, 'length', { value: name === 'preParsing' ? 4 : 3 });
    if (refusing.length <= 2) Object.defineProperty(only, 'length', { value: 2 });
    app.addHook(name as 'onRequest', only);
    app.get(`${prefix}/`, handler(ran));
  };
}

PLACES['preHandler before a handler with a callback'] = (app, refuse, ran, prefix) => {
  app.get(`${prefix}/`, { preHandler: hook(refuse) }, (request, reply) => {
    ran(request, 'handler');
    reply.send('secret');
  });
};
PLACES['preHandler before a handler that writes to the response'] = (app, refuse, ran, prefix) => {
  app.get(`${prefix}/`, { preHandler: hook(refuse) }, (request, reply) => {
    ran(request, 'handler');
    reply.raw.end('secret');
  });
};
PLACES['handler'] = (app, refuse, _ran, prefix) => {
  app.get(`${prefix}/`, refuse as any);
};
PLACES['error handler of a route'] = (app, refuse, ran, prefix) => {
  const fail = async (request: FastifyRequest) => {
    ran(request, 'handler');
    throw new Error('for the error handler');
  };
  app.get(`${prefix}/`, { errorHandler: (_error, request, reply) => refuse(request, reply) as any }, fail);
};
PLACES['error handler of a plugin'] = (app, refuse, ran, prefix) => {
  app.register(
    async (child) => {
      child.setErrorHandler((_error, request, reply) => refuse(request, reply));
      child.get('/', { preHandler: async () => Promise.reject(new Error('for the error handler')) }, handler(ran));
    },
    { prefix },
  );
};
PLACES['not-found handler of a plugin'] = (app, refuse, _ran, prefix) => {
  app.register(async (child) => void child.setNotFoundHandler(refuse as any), { prefix });
};
for (const name of ['preValidation', 'preHandler'] as const) {
  PLACES[`${name} of a not-found handler`] = (app, refuse, ran, prefix) => {
    app.register(
      async (child) => {
        const later = async (request: FastifyRequest) => ran(request, 'later hook');
        child.setNotFoundHandler({ [name]: [hook(refuse), later] }, handler(ran) as any);
      },
      { prefix },
    );
  };
}
PLACES['a function of @fastify/auth'] = (app, refuse, ran, prefix) => {
  app.register(
    async (child) => {
      await child.register(fastifyAuth);
      child.get('/', { preHandler: child.auth([hook(refuse)]) }, handler(ran));
    },
    { prefix },
  );
};
