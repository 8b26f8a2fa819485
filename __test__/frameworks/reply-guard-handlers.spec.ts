// Handlers that answer without returning the reply, and applications that the guard must not disturb.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { findUnreturnedReplies, type GuardedReplies, guardReplies, type SessionStoreConfig } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyServerOptions } from 'fastify';
import { type Backend, startLocal } from '../support/backends.ts';
import { unguardedFastify } from '../support/unguarded.ts';

const SECRET = 'the secret that signs the cookies of the tests';

interface Served {
  app: FastifyInstance;
  origin: string;
  found?: GuardedReplies;
  /** What `report` was called with. */
  reported: string[];
}

/** How an application of these tests is made. */
interface Setup {
  /** Whether it is guarded. Default: it is. */
  checked?: boolean;
  /** Instead of the one that fills `reported`; `null` for none. */
  report?: ((route: string) => unknown) | null;
  /** Whether sessions stay in the memory of @fastify/session. */
  inMemory?: boolean;
  server?: FastifyServerOptions;
}

/** Starts an application of which every request saves a session, with the given routes. */
async function serve(t: TestContext, routes: (app: FastifyInstance) => unknown, setup: Setup = {}): Promise<Served> {
  const { checked = true, inMemory = false, server } = setup;
  const reported: string[] = [];
  const { report = (route: string) => reported.push(route) } = setup;
  const app: FastifyInstance = checked ? Fastify(server) : unguardedFastify(server);
  t.after(() => app.close());
  const found = checked ? guardReplies(app, report ? { report } : {}) : undefined;
  const backend: Backend | undefined = inMemory ? undefined : await startLocal();
  if (backend) t.after(() => backend.stop());
  await app.register(fastifyCookie);
  await app.register(fastifySession, { secret: SECRET, store: backend?.store(), cookie: { secure: false } });
  await routes(app);
  return { app, origin: await app.listen({ host: '127.0.0.1', port: 0 }), found, reported };
}

/** What a client gets, without what differs from one request to the next. */
async function ask(origin: string, path: string, method = 'GET') {
  const reply = await fetch(origin + path, { method, redirect: 'manual' });
  const headers = Object.fromEntries(reply.headers);
  const savedSession = 'set-cookie' in headers;
  for (const name of ['set-cookie', 'date']) delete headers[name];
  return { status: reply.status, headers, savedSession, body: await reply.text() };
}

/** What Fastify takes for a promise, though it is none. */
function thenable(value?: string) {
  // biome-ignore lint/suspicious/noThenProperty: that is what it is about
  return { then: (resolve: (value?: string) => void) => resolve(value) };
}

/** Handlers that fall into the trap, and what their clients should get. */
const WRONG: Record<string, { handler: (reply: FastifyReply, app: FastifyInstance) => unknown; status: number; body: string }> = {
  'sends text': { handler: (reply) => reply.send('text'), status: 200, body: 'text' },
  'sends JSON': { handler: (reply) => reply.code(201).send({ made: true }), status: 201, body: '{"made":true}' },
  'sends nothing': { handler: (reply) => reply.code(204).send(), status: 204, body: '' },
  'sends null': { handler: (reply) => reply.send(null), status: 200, body: 'null' },
  'sends a stream': { handler: (reply) => reply.send(Readable.from(['a', 'b'])), status: 200, body: 'ab' },
  'sends an error': {
    handler: (reply) => reply.code(409).send(new Error('taken')),
    status: 409,
    body: '{"statusCode":409,"error":"Conflict","message":"taken"}',
  },
  redirects: { handler: (reply) => reply.redirect('/'), status: 302, body: '' },
  'has no such page': {
    handler: (reply) => reply.callNotFound(),
    status: 404,
    body: '{"message":"Route GET:/wrong not found","error":"Not Found","statusCode":404}',
  },
};

/** Handlers that do not: each route must answer as it does without the guard. */
function rightRoutes(app: FastifyInstance) {
  app.decorate('greeting', 'hello');
  app.get('/value', async () => ({ right: true }));
  app.get('/nothing', async () => {});
  app.get('/null', async () => null);
  app.get('/await', async (_request, reply) => void (await reply.code(202).send('waited')));
  app.get('/await-later', async (_request, reply) => {
    reply.send('waited');
    await reply;
  });
  app.get('/return', async (_request, reply) => reply.header('x-right', 'yes').send('returned'));
  app.get('/return-later', async (_request, reply) => {
    reply.redirect('/elsewhere');
    return reply;
  });
  app.get('/promise', (_request, reply) => Promise.resolve().then(() => reply.send('promised')));
  app.get('/thenable', () => thenable('thenable'));
  app.get('/stream', async () => Readable.from(['a', 'b']));
  app.get('/sync-value', () => 'value');
  app.get('/sync-send', (_request, reply) => void reply.send('sent'));
  app.get('/sync-return', (_request, reply) => reply.send('sent'));
  app.get('/sync-redirect', (_request, reply) => void reply.redirect('/elsewhere'));
  app.get('/later', (_request, reply) => void setImmediate(() => reply.send('later')));
  app.get('/throws', async () => {
    throw Object.assign(new Error('no'), { statusCode: 418 });
  });
  app.get('/rejects', () => Promise.reject(new Error('no')));
  app.get('/sync-throws', () => {
    throw new Error('no');
  });
  app.get('/hijacked', async (_request, reply) => {
    reply.hijack();
    reply.raw.end('raw');
  });
  app.get('/hijacked-and-sent', async (_request, reply) => {
    reply.hijack();
    reply.send('to nobody');
    reply.raw.end('raw');
  });
  app.get('/sent-and-hijacked', async (_request, reply) => {
    reply.send('sent');
    reply.hijack();
  });
  app.get('/instance', async function () {
    return (this as FastifyInstance & { greeting: string }).greeting;
  });
  app.get('/before', { preHandler: async (_request, reply) => reply.code(403).send('stopped') }, async () => 'never');
  app.get('/validated', { schema: { querystring: { type: 'object', required: ['page'] } } }, async () => 'never');
  app.route({ method: ['GET', 'POST'], url: '/both', handler: async (request) => request.method });
}

describe('guardReplies', () => {
  for (const [title, { handler, status, body }] of Object.entries(WRONG)) {
    it(`finds an async handler that ${title}, and answers its client`, async (t) => {
      const { origin, found, reported } = await serve(t, (app) => {
        app.get('/wrong', async (_request, reply) => void handler(reply, app));
      });
      const answer = await ask(origin, '/wrong');
      assert.deepEqual([answer.status, answer.body, answer.savedSession], [status, body, true]);
      assert.deepEqual(reported, ['GET /wrong']);
      assert.deepEqual(found!.routes, ['GET /wrong']);
    });
  }

  it('finds promises that are not from an async function, and what is sent long before the end', async (t) => {
    const { origin, found } = await serve(t, (app) => {
      app.get('/promise', (_request, reply) => Promise.resolve().then(() => void reply.send('promised')));
      app.get('/thenable', (_request, reply) => {
        reply.send('sent');
        return thenable();
      });
      app.get('/finished', async (_request, reply) => {
        const ended = once(reply.raw, 'finish');
        reply.send('finished');
        await ended; // a race that this one wins
      });
    });
    for (const path of ['/promise', '/thenable', '/finished']) assert.equal((await ask(origin, path)).status, 200);
    assert.deepEqual(found!.routes, ['GET /promise', 'GET /thenable', 'GET /finished']);
  });

  it('finds them in plugins, by the pattern of the route and not by what was requested', async (t) => {
    const { origin, found } = await serve(t, async (app) => {
      const plugin = async (child: FastifyInstance) => {
        child.get('/', async (_request, reply) => void reply.send('root'));
        child.register(
          async (grandchild) => {
            grandchild.post('/users/:id', async (_request, reply) => void reply.send('made'));
          },
          { prefix: '/v1' },
        );
      };
      app.register(plugin, { prefix: '/api' });
    });
    assert.equal((await ask(origin, '/api')).body, 'root');
    assert.equal((await ask(origin, '/api/')).body, 'root');
    assert.equal((await ask(origin, '/api/v1/users/a-secret?token=another', 'POST')).body, 'made');
    assert.deepEqual(found!.routes, ['GET /api', 'POST /api/v1/users/:id']);
  });

  it('names a route once, whatever its methods and however often it is requested', async (t) => {
    const { origin, found, reported } = await serve(t, (app) => {
      app.get('/page', async (_request, reply) => void reply.send('page'));
      app.route({ method: ['PUT', 'POST'], url: '/both', handler: async (_request, reply) => void reply.send('both') });
    });
    const head = await ask(origin, '/page', 'HEAD'); // the route that Fastify adds to the one above
    assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '4', '']);
    await Promise.all(Array.from({ length: 10 }, () => ask(origin, '/page')));
    for (const method of ['POST', 'PUT']) assert.equal((await ask(origin, '/both', method)).body, 'both');
    assert.deepEqual(reported, ['GET /page', 'PUT|POST /both']);
    assert.deepEqual(found!.routes, reported);
  });

  it('finds them while the store is still the one in memory', async (t) => {
    const { origin, found } = await serve(t, (app) => app.get('/wrong', async (_request, reply) => void reply.redirect('/')), {
      inMemory: true,
    });
    assert.equal((await ask(origin, '/wrong')).status, 302);
    assert.deepEqual(found!.routes, ['GET /wrong']);
  });

  it('leaves every other handler as it is', async (t) => {
    const checked = await serve(t, rightRoutes);
    const paths = new Set<string>();
    const routes = (app: FastifyInstance) => {
      app.addHook('onRoute', ({ url }) => void paths.add(url));
      rightRoutes(app);
    };
    const plain = await serve(t, routes, { checked: false });
    for (const path of paths) {
      for (const method of path === '/both' ? ['GET', 'HEAD', 'POST'] : ['GET', 'HEAD']) {
        assert.deepEqual(await ask(checked.origin, path, method), await ask(plain.origin, path, method), `${method} ${path}`);
      }
    }
    assert.equal((await ask(checked.origin, '/instance')).body, 'hello');
    assert.deepEqual([checked.found!.routes, checked.reported], [[], []]);
  });

  it('does not blame a handler for a client that leaves', async (t) => {
    const events = new EventEmitter();
    const { origin, found } = await serve(t, (app) => {
      app.get('/left', async (_request, reply) => {
        events.emit('entered');
        await once(reply.raw, 'close');
        setImmediate(() => events.emit('sent'));
        return reply.send('to nobody');
      });
    });
    const [entered, sent] = [once(events, 'entered'), once(events, 'sent')];
    const client = httpRequest(`${origin}/left`).on('error', () => {});
    client.end();
    await entered;
    client.destroy();
    await sent;
    await turn();
    assert.deepEqual(found!.routes, []);
  });

  it('does not blame a handler for the answer that Fastify gives when its time is over', async (t) => {
    const { origin, found } = await serve(t, (app) => {
      app.get('/timeout', { handlerTimeout: 1 }, async (request) => void (await once(request.signal, 'abort')));
    });
    assert.equal((await ask(origin, '/timeout')).status, 503);
    assert.deepEqual(found!.routes, []);
  });

  it('lets other hooks see the kind of a handler, and call it with other arguments', async (t) => {
    const kinds: string[] = [];
    const { origin, found } = await serve(t, (app) => {
      app.addHook('onRoute', (route) => {
        const { handler } = route as { handler: any };
        kinds.push(`${handler.constructor.name} ${handler.name}`);
        // As @fastify/websocket does.
        if (route.url === '/socket') route.handler = async () => handler.call(app, { isSocket: true }, {});
      });
      app.get('/socket', { exposeHeadRoute: false }, async function talk(socket: any) {
        return { socket };
      } as any);
    });
    assert.deepEqual(JSON.parse((await ask(origin, '/socket')).body), { socket: { isSocket: true } });
    assert.deepEqual(kinds, ['AsyncFunction talk']);
    assert.deepEqual(found!.routes, []);
  });

  it('logs one line that says what to write, if it is not told where to report', async (t) => {
    const lines: any[] = [];
    const logger = { level: 'warn', stream: { write: (line: string) => void lines.push(JSON.parse(line)) } };
    const routes = (app: FastifyInstance) => app.get('/wrong/:id', async (_request, reply) => void reply.send('x'));
    const { origin } = await serve(t, routes, { report: null, server: { logger } });
    await ask(origin, '/wrong/a-secret');
    await ask(origin, '/wrong/another');
    assert.equal(lines.length, 1);
    assert.equal(
      lines[0].msg,
      'GET /wrong/:id: its async handler answers without returning the reply; write `return reply` at its end',
    );
  });

  for (const [title, report] of Object.entries({
    throws: () => {
      throw new Error('from report');
    },
    rejects: () => Promise.reject(new Error('from report')),
  })) {
    it(`answers although report ${title}`, async (t) => {
      const routes = (app: FastifyInstance) => app.get('/wrong', async (_request, reply) => void reply.send('answer'));
      const { origin, found } = await serve(t, routes, { report });
      for (let request = 0; request < 2; request++) assert.equal((await ask(origin, '/wrong')).body, 'answer');
      assert.deepEqual(found!.routes, ['GET /wrong']);
    });
  }

  it('says when it is called too late, or with something else', async (t) => {
    const { app } = await serve(t, () => {}, { checked: false });
    assert.throws(
      () => guardReplies(app),
      (error: Error) => {
        assert.match(error.message, /must be called before the routes are registered/);
        assert.equal((error.cause as { code?: string }).code, 'FST_ERR_INSTANCE_ALREADY_LISTENING');
        return true;
      },
    );
    for (const wrong of [undefined, null, {}, 'app']) {
      assert.throws(() => guardReplies(wrong as any), { name: 'TypeError', message: /needs a Fastify instance/ });
    }
    for (const report of [null, 'console', {}]) {
      assert.throws(() => guardReplies(app, { report } as any), { name: 'TypeError', message: /must be a function/ });
    }
  });

  it('has a former name', () => assert.equal(findUnreturnedReplies, guardReplies));

  it('leaves it to Fastify to refuse a handler that is no function', () => {
    const refusal = (app: FastifyInstance) => {
      try {
        app.get('/', { handler: 'none' } as any);
      } catch (error) {
        return (error as Error).message;
      }
      return assert.fail('it was accepted');
    };
    const app = Fastify();
    guardReplies(app);
    assert.equal(refusal(app), refusal(unguardedFastify()));
  });
});

describe('a process with a handler that does not return the reply', () => {
  /** Starts it; ends with its standard input. */
  function host(config: SessionStoreConfig, guard: boolean) {
    const program = `
      import cookie from '@fastify/cookie';
      import session from '@fastify/session';
      import { DynamoDBSessionStore, guardReplies } from 'connect-dynamodb-kms';
      import Fastify from 'fastify';
      const app = Fastify();
      if (${guard}) guardReplies(app, { report: (route) => console.log(route) });
      await app.register(cookie);
      const store = new DynamoDBSessionStore(${JSON.stringify({ recordVersion: 1, ...config, guardReplies: guard })});
      await app.register(session, { secret: '${SECRET}', store, cookie: { secure: false } });
      app.get('/wrong', async (request, reply) => { reply.redirect('/'); });
      app.get('/', async () => 'home');
      console.log(await app.listen({ host: '127.0.0.1', port: 0 }));
      process.stdin.on('end', () => process.exit(0)).resume();`;
    const cwd = fileURLToPath(new URL('..', import.meta.url));
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { cwd, stdio: 'pipe' });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return { child, exit: once(child, 'exit'), stderr: text(child.stderr), line: async () => (await lines.next()).value! };
  }

  it('outlives it without the guard, too, and says in one line what happened', async (t) => {
    const backend = await startLocal();
    t.after(() => backend.stop());
    const { child, exit, stderr, line } = host(backend.config, false);
    t.after(() => child.kill('SIGKILL'));
    const origin = await line();
    assert.equal((await ask(origin, '/')).body, 'home');
    await ask(origin, '/wrong').catch(() => {});
    assert.equal((await ask(origin, '/')).body, 'home');
    child.stdin.end();
    assert.deepEqual(await exit, [0, null]);
    assert.match(await stderr, /ERR_HTTP_HEADERS_SENT.*without returning the reply/);
  });

  it('names the route and lives on with it', async (t) => {
    const backend = await startLocal();
    t.after(() => backend.stop());
    const { child, exit, stderr, line } = host(backend.config, true);
    t.after(() => child.kill('SIGKILL'));
    const origin = await line();
    for (let request = 0; request < 3; request++) {
      const { status, headers } = await ask(origin, '/wrong');
      assert.deepEqual([status, headers.location], [302, '/']);
    }
    assert.equal(await line(), 'GET /wrong');
    assert.equal((await ask(origin, '/')).body, 'home');
    child.stdin.end();
    assert.deepEqual(await exit, [0, null]);
    assert.equal(await stderr, '');
  });
});
