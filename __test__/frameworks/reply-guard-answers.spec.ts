// What an answer is and when it counts, in a guarded application: clients that leave, saves that fail, answers that cannot be sent, error handlers that take
// their time. Compared with the session store in memory, or with a store that fails at once, in an application without the guard.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { guardReplies } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance } from 'fastify';
import { startLocal } from '../support/backends.ts';
import { failingStore, HeldStore } from '../support/held-store.ts';
import { unguardedFastify } from '../support/unguarded.ts';

type Routes = (app: FastifyInstance, ran: (what: string) => void) => unknown;

interface Served {
  app: FastifyInstance;
  origin: string;
  ran: string[];
  reported: string[];
}

async function serve(t: TestContext, app: FastifyInstance, store: any, routes: Routes): Promise<Served> {
  t.after(() => app.close());
  const [ran, reported]: string[][] = [[], []];
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret: 'the secret that signs the cookies of the tests',
    store,
    cookie: { secure: false },
  });
  await routes(app, (what) => void ran!.push(what));
  return { app, origin: await app.listen({ host: '127.0.0.1', port: 0 }), ran: ran!, reported: reported! };
}

async function local(t: TestContext) {
  const backend = await startLocal();
  t.after(() => backend.stop());
  return backend.store();
}

async function guarded(t: TestContext, routes: Routes, store?: any): Promise<Served> {
  const app = Fastify();
  const reports: string[] = [];
  guardReplies(app, { report: (place) => void reports.push(place) });
  return { ...(await serve(t, app, store ?? (await local(t)), routes)), reported: reports };
}

async function ask(origin: string, path: string, method = 'GET') {
  const reply = await fetch(origin + path, { method, redirect: 'manual', signal: AbortSignal.timeout(10_000) });
  const headers = Object.fromEntries(reply.headers);
  const savedSession = 'set-cookie' in headers;
  for (const name of ['set-cookie', 'date']) delete headers[name];
  return { status: reply.status, headers, savedSession, body: await reply.text() };
}

/** Asks both applications for everything that they have. */
async function assertEqual(t: TestContext, routes: Routes, [store, sample]: [any, any] = [undefined, undefined]) {
  const paths = new Set<string>();
  const expected = await serve(t, unguardedFastify(), sample, async (app, ran) => {
    app.addHook('onRoute', ({ url }) => void paths.add(url));
    await routes(app, ran);
  });
  const actual = await guarded(t, routes, store);
  for (const path of paths) {
    for (const method of ['GET', 'HEAD']) {
      const [reference, answer] = await Promise.all([expected, actual].map(({ origin }) => ask(origin, path, method)));
      assert.deepEqual(answer, reference, `${method} ${path}`);
    }
  }
  await turn();
  assert.deepEqual(actual.ran, expected.ran);
  assert.ok(paths.size > 0);
  return actual;
}

const refusals: Record<string, (reply: any) => unknown> = {
  'returns its reply': (reply) => reply.code(401).send('denied'),
  'does not return its reply': (reply) => void reply.code(401).send('denied'),
};

describe('an answer of a hook', () => {
  for (const [title, refuse] of Object.entries(refusals)) {
    it(`holds when the client leaves while the session is being saved, if it ${title}`, async (t) => {
      const store = new HeldStore(await local(t));
      const routes: Routes = (app, ran) => {
        app.get('/', { preHandler: async (_request, reply) => refuse(reply) }, async () => void ran('handler'));
        app.server.on('request', (_request, response) => response.on('close', () => setImmediate(() => app.server.emit('left'))));
      };
      const { app, origin, ran } = await guarded(t, routes, store);
      const left = once(app.server, 'left');
      const client = httpRequest(origin).on('error', () => {});
      client.end();
      await store.holdsOne();
      client.destroy();
      await left;
      for (let turns = 0; turns < 10; turns++) await turn();
      assert.deepEqual(ran, []);
      store.release();
      for (let turns = 0; turns < 10; turns++) await turn();
      assert.deepEqual(ran, []);
    });
  }

  it('holds while its session, which is sealed, is being saved', async (t) => {
    await assertEqual(t, (app, ran) => {
      app.addHook('preHandler', async ({ session }: any, reply) => {
        session.refused = true;
        Object.seal(session);
        reply.code(401).send('denied');
        reply.code(200).header('x-late', '1');
      });
      app.get('/', async () => void ran('handler'));
    });
  });

  it('keeps the headers of a hook that sets them once it has saved the session', async (t) => {
    await assertEqual(t, (app, ran) => {
      app.addHook('onSend', (request: any, reply, _payload, done) => {
        request.session.answered = true;
        request.session.save((error: unknown) => {
          reply.code(202).header('x-saved', String(error));
          done();
        });
      });
      app.get('/', async ({ session }: any) => {
        ran(Object.keys(session).join());
        return 'got';
      });
    });
  });

  it('holds while an async error handler works on the error that the hook sent', async (t) => {
    const routes: Routes = (app, ran) => {
      app.setErrorHandler(async (error: Error, _request, reply) => {
        for (let turns = 0; turns < 5; turns++) await turn();
        return reply.code(403).send(`for ${error.message}`);
      });
      const sendsError = async (_request: any, reply: any) => void reply.send(new Error('denied'));
      const andThrows = async (_request: any, reply: any) => {
        reply.send(new Error('denied'));
        throw new Error('thrown after it');
      };
      app.get('/sends', { onRequest: sendsError }, async () => void ran('handler'));
      app.get('/throws', { onRequest: andThrows }, async () => void ran('handler'));
      app.get('/handler', sendsError);
    };
    const { origin, ran } = await guarded(t, routes);
    for (const path of ['/sends', '/throws', '/handler']) {
      const { status, body, savedSession } = await ask(origin, path);
      assert.deepEqual([status, body, savedSession], [403, 'for denied', true], path);
    }
    assert.deepEqual(ran, []);
  });

  it('holds while a stream is sent, and while its payload is made by an async preSerialization hook', async (t) => {
    const routes: Routes = (app, ran) => {
      const sendsStream = async (_request: any, reply: any) => void reply.send(Readable.from(['a', 'b']));
      app.get('/stream', { onRequest: sendsStream }, async () => void ran('handler'));
      const preSerialization = async (_request: any, _reply: any, payload: any) => {
        await turn();
        return { ...payload, made: true };
      };
      const sendsObject = async (_request: any, reply: any) => void reply.code(401).send({});
      app.get('/object', { onRequest: sendsObject, preSerialization }, async () => void ran('handler'));
    };
    const { origin, ran } = await guarded(t, routes);
    const [stream, object] = [await ask(origin, '/stream'), await ask(origin, '/object')];
    assert.deepEqual([stream.status, stream.body, object.status, object.body], [200, 'ab', 401, '{"made":true}']);
    assert.deepEqual(ran, []);
  });

  it('ends the response before code that awaits it goes on', async (t) => {
    const store = new HeldStore(await local(t));
    const routes: Routes = (app, ran) => {
      app.get('/', async (_request, reply) => {
        reply.send('awaited');
        ran(`sent ${reply.sent}, ended ${reply.raw.writableEnded}`);
        await reply;
        ran(`sent ${reply.sent}, ended ${reply.raw.writableEnded}`);
      });
    };
    const { origin, ran, reported } = await guarded(t, routes, store);
    const answer = ask(origin, '/');
    await store.holdsOne();
    await turn();
    assert.deepEqual(ran, ['sent true, ended false']);
    store.release();
    assert.equal((await answer).body, 'awaited');
    assert.deepEqual(ran, ['sent true, ended false', 'sent true, ended true']);
    assert.deepEqual(reported, []);
  });

  it('keeps its status and headers from what is changed after it', async (t) => {
    await assertEqual(t, (app, ran) => {
      const changes = async (_request: any, reply: any) => {
        reply.code(401).header('x-kept', 'yes').send({ error: 'denied' });
        reply
          .code(200)
          .status(201)
          .header('x-late', 'yes')
          .headers({ 'x-later': 'yes' })
          .type('text/html')
          .removeHeader('x-kept');
        reply.redirect('/elsewhere');
      };
      app.get('/', { preHandler: changes }, async () => void ran('handler'));
    });
  });
});

describe('the sending of an answer', () => {
  it('lets onSend hooks work as they do with the store in memory', async (t) => {
    await assertEqual(t, (app, ran) => {
      app.addHook('onSend', (_request, reply, payload, done) => {
        ran(`sent ${reply.sent}`);
        reply.header('x-callback', 'yes');
        done(null, payload);
      });
      app.addHook('onSend', async (request, reply, payload) => {
        await turn();
        if (request.url === '/status') reply.code(202).header('x-async', 'yes').type('text/plain');
        return `${payload}!`;
      });
      app.addHook('onSend', (request, reply, _payload, done) => {
        if (request.url !== '/replaced' || reply.statusCode === 500) return done();
        return void reply.code(500).send('replaced');
      });
      for (const path of ['/status', '/replaced', '/plain']) app.get(path, async (_request, reply) => reply.send('payload'));
    });
  });

  it('answers 500 for what no response can have, and the process lives', async (t) => {
    const right: Routes = (app) => {
      app.get('/header', async (_request, reply) => reply.redirect('/\u2603'));
      app.get('/payload', async (_request, reply) => reply.type('text/plain').send({ not: 'text' }));
      app.get('/value', async (_request, reply) => {
        reply.type('text/plain');
        return { not: 'text' };
      });
      app.get('/hook', { onRequest: async (_request, reply) => reply.redirect('/\u2603') }, async () => 'never');
      app.get('/callback', (_request, reply) => void reply.redirect('/\u2603'));
    };
    await assertEqual(t, right);
    await assertEqual(t, (app, ran) => {
      app.setErrorHandler(async (error: any, _request, reply) => {
        ran(error.code);
        return reply.removeHeader('location').code(500).type('text/plain').send('handled');
      });
      right(app, ran);
    });
  });

  it('tells of a save that fails as a store does that fails at once', async (t) => {
    const stores: [any, any] = [failingStore(true), failingStore(false)];
    const routes: Routes = (app, ran) => {
      app.get('/value', async () => 'value');
      app.get('/returned', async (_request, reply) => reply.code(201).send('sent'));
      app.get('/refused', { onRequest: async (_request, reply) => void reply.code(401).send('denied') }, async () =>
        ran('handler'),
      );
      app.get('/thrown', async () => Promise.reject(Object.assign(new Error('thrown'), { statusCode: 418 })));
      app.get('/route', { errorHandler: async (error) => `route: ${error.message}` }, async () => 'value');
    };
    await assertEqual(t, routes, stores);
    await assertEqual(
      t,
      (app, ran) => {
        app.setErrorHandler(async (error: Error, _request, reply) => reply.code(409).send(`handled ${error.message}`));
        routes(app, ran);
      },
      stores,
    );
  });

  it('gives the answer of an async error handler that awaits before it answers', async (t) => {
    await assertEqual(t, (app) => {
      app.addHook('onError', async () => turn());
      app.setErrorHandler(async (error: Error, _request, reply) => {
        await turn();
        if (reply.sent) return reply;
        return reply.code(409).send(`handled ${error.message}`);
      });
      app.get('/handler', async () => Promise.reject(new Error('of the handler')));
      app.get('/hook', { preHandler: async () => Promise.reject(new Error('of the hook')) }, async () => 'never');
      app.get('/passed-on', { errorHandler: async (error, _request, reply) => reply.send(error) }, async () =>
        Promise.reject(new Error('of the route')),
      );
    });
  });

  it('leaves the answer that Fastify gives when the time of a handler or hook is over', async (t) => {
    const routes: Routes = (app, ran) => {
      const waits = async (request: any) => void (await once(request.signal, 'abort'));
      app.get('/handler', { handlerTimeout: 20 }, waits);
      app.get('/hook', { handlerTimeout: 20, preHandler: waits }, async () => void ran('handler'));
    };
    const { reported } = await assertEqual(t, routes);
    assert.deepEqual(reported, []);
  });
});

describe('hooks that pass', () => {
  it('work as they do without the guard', async (t) => {
    const { reported } = await assertEqual(t, (app, ran) => {
      app.decorateRequest('steps', '');
      const step = (name: string) =>
        async function (this: FastifyInstance, request: any) {
          request.steps += ` ${name}${this.prefix}`;
          ran(name);
        };
      for (const name of ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const) {
        app.addHook(name as 'onRequest', step(`${name} of the application`));
      }
      app.addHook('onRequest', (request: any, _reply, done) => {
        request.steps += ' callback';
        done();
      });
      app.addHook('preParsing', (_request, _reply, payload, done) => done(null, payload));
      app.register(
        async (child) => {
          child.addHook('preHandler', step('preHandler of a plugin'));
          child.get(
            '/steps',
            { onRequest: [step('first'), step('second')], preHandler: step('third') },
            async (request: any) => request.steps,
          );
          child.get('/promise', { preHandler: () => Promise.resolve() as any }, async () => 'passed');
          child.get('/error', { preHandler: (_request, _reply, done) => done(new Error('no')) }, async () => 'never');
          child.get(
            '/thrown',
            {
              preHandler: () => {
                throw new Error('no');
              },
            },
            async () => 'never',
          );
        },
        { prefix: '/child' },
      );
    });
    assert.deepEqual(reported, []);
  });

  it('are seen by the onRoute hooks of the application as they were given', async (t) => {
    const requireUser = async () => {};
    const seen: unknown[] = [];
    await guarded(t, (app) => {
      app.addHook('onRoute', (route) => {
        seen.push(route.preHandler, route.onRequest);
        route.preValidation = async (_request, reply) => void reply.code(401).send('by a plugin');
      });
      app.get('/', { exposeHeadRoute: false, preHandler: requireUser, onRequest: [requireUser] }, async () => 'never');
    });
    assert.equal(seen[0], requireUser);
    assert.deepEqual(seen[1], [requireUser]);
  });

  it('are guarded if the onRoute hook of a plugin adds them', async (t) => {
    const { origin, ran, reported } = await guarded(t, (app, note) => {
      app.addHook('onRoute', (route) => {
        route.preValidation = async function byPlugin(_request: any, reply: any) {
          reply.code(401).send('by a plugin');
        };
      });
      app.get('/', async () => note('handler'));
    });
    assert.equal((await ask(origin, '/')).status, 401);
    assert.deepEqual([ran, reported], [[], ['preValidation hook (byPlugin) of GET /']]);
  });
});
