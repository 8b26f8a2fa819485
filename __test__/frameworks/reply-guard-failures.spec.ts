// What fails while the store answers: streams that are sent, and connections of WebSockets. With the session store in memory, Fastify and its plugins listen
// to their errors by then; here nobody does, and such an error would end the process.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createReadStream } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import fastifyCookie from '@fastify/cookie';
import fastifyProxy from '@fastify/http-proxy';
import fastifySession from '@fastify/session';
import { guardReplies } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteHandlerMethod } from 'fastify';
import { startLocal } from '../support/backends.ts';
import { failingStore, HeldStore } from '../support/held-store.ts';
import { unguardedFastify } from '../support/unguarded.ts';

const streams: Record<string, () => Readable> = {
  'a file that is missing': () => createReadStream('/missing/file'),
  'a stream that fails a turn later': () => {
    const stream = new PassThrough();
    setImmediate(() => stream.destroy(new Error('lost')));
    return stream;
  },
  'a stream that is destroyed': () => new PassThrough().destroy(),
  'a stream that emits an error and is not destroyed': () => {
    const stream = new PassThrough();
    setImmediate(() => {
      stream.emit('error', new Error('lost'));
      stream.emit('failed');
    });
    return stream;
  },
};

const handlers: Record<string, (of: () => Readable) => RouteHandlerMethod> = {
  'sent by a handler': (of) => (request: FastifyRequest, reply: FastifyReply) => {
    change(request);
    reply.send(of());
  },
  'sent by an async handler': (of) => async (request: FastifyRequest, reply: FastifyReply) => {
    change(request);
    return reply.send(of());
  },
  'returned by an async handler': (of) => async (request: FastifyRequest) => {
    change(request);
    return of();
  },
};

function change(request: FastifyRequest) {
  Object.assign(request.session, { changed: true });
}

async function serve(t: TestContext, app: FastifyInstance, store: any, routes: (app: FastifyInstance) => unknown) {
  t.after(() => app.close());
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret: 'the secret that signs the cookies of the tests',
    store,
    saveUninitialized: false,
    cookie: { secure: false },
  });
  await routes(app);
  return app.listen({ host: '127.0.0.1', port: 0 });
}

function guardedFastify() {
  const app = Fastify();
  guardReplies(app);
  return app;
}

async function local(t: TestContext) {
  const backend = await startLocal();
  t.after(() => backend.stop());
  return backend.store();
}

async function ask(origin: string) {
  const reply = await fetch(origin, { signal: AbortSignal.timeout(60_000) });
  return { status: reply.status, body: await reply.text() };
}

describe('a stream that fails while its session is being saved', () => {
  for (const [what, open] of Object.entries(streams)) {
    for (const [how, handler] of Object.entries(handlers)) {
      it(`is answered as with the store in memory: ${what}, ${how}`, async (t) => {
        const expected = await ask(await serve(t, unguardedFastify(), undefined, (app) => app.get('/', handler(open))));
        const store = new HeldStore(await local(t));
        const failed = (): Readable => {
          const stream = open();
          for (const event of ['close', 'failed']) {
            stream.once(event, async () => {
              await store.holdsOne();
              store.release();
            });
          }
          return stream;
        };
        const answer = await ask(await serve(t, guardedFastify(), store, (app) => app.get('/', handler(failed))));
        assert.deepEqual(answer, expected);
        assert.equal(answer.status, 500);
      });
    }
  }

  for (const what of ['a file that is missing', 'a stream that emits an error and is not destroyed']) {
    it(`is answered where an async hook saves the session, among others: ${what}`, async (t) => {
      const store = new HeldStore(await local(t));
      const failing = (): Readable => {
        const stream = streams[what]!();
        for (const event of ['close', 'failed']) {
          stream.once(event, async () => {
            await store.holdsOne();
            store.release();
            store.holdsOne().then(() => store.release());
          });
        }
        return stream;
      };
      const warnings: Error[] = [];
      const warned = (warning: Error) => warnings.push(warning);
      process.on('warning', warned);
      t.after(() => process.off('warning', warned));
      const origin = await serve(t, guardedFastify(), store, (app) => {
        for (let hooks = 0; hooks < 12; hooks++) app.addHook('onSend', async (_request, _reply, payload) => payload);
        app.addHook('onSend', async (request) => {
          change(request);
          if (!request.session.isSaved()) await request.session.save();
        });
        app.get('/', async () => failing());
      });
      assert.equal((await ask(origin)).status, 500);
      assert.deepEqual(warnings, [], 'of too many listeners');
    });
  }
});

it('a stream whose session cannot be saved is closed, and may fail then', async (t) => {
  const events = new EventEmitter();
  const payloads = [new Readable({ read() {} }), undefined];
  const origin = await serve(t, guardedFastify(), failingStore(true), (app) => {
    app.get('/', async (request) => {
      change(request);
      return (payloads.shift() ?? createReadStream('/missing/file')).on('close', () => events.emit('closed'));
    });
  });
  while (payloads.length > 0) {
    const closed = once(events, 'closed');
    assert.match((await ask(origin)).body, /cannot save/);
    await closed;
  }
});

it('a request whose body is the answer has an answer if its session cannot be saved', async (t) => {
  const origin = await serve(t, guardedFastify(), failingStore(true), (app) => {
    app.addContentTypeParser('*', (_request, body, done) => done(null, body));
    app.post('/', async (request, reply) => {
      change(request);
      return reply.send(request.raw);
    });
  });
  const client = connect(Number(new URL(origin).port), '127.0.0.1');
  t.after(() => client.destroy());
  client.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/x\r\nContent-Length: 2\r\n\r\nx');
  const [answer] = await once(client, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 500 .*cannot save/s);
});

it('a stream is closed if its HTTP/2 client leaves while its session is being saved', async (t) => {
  const store = new HeldStore(await local(t));
  let client: ClientHttp2Session | undefined;
  t.after(() => client?.destroy()); // before the application closes, which waits for it
  const app: FastifyInstance<any> = Fastify({ http2: true });
  guardReplies(app);
  const events = new EventEmitter();
  const origin = await serve(t, app as FastifyInstance, store, (app) => {
    app.get('/', async (request, reply) => {
      change(request);
      reply.raw.on('close', () => events.emit('left'));
      return new PassThrough().on('close', () => events.emit('closed'));
    });
  });
  client = connectHttp2(origin);
  const stream = client.request({ ':path': '/' });
  await store.holdsOne();
  const [left, closed] = [once(events, 'left'), once(events, 'closed')];
  stream.close(constants.NGHTTP2_CANCEL);
  await left;
  store.release();
  await closed;
});

it('a client can reset its connection while the session of its WebSocket is being read', async (t) => {
  const store = await local(t);
  const events = new EventEmitter();
  let read = () => {};
  const slow = {
    set: store.set.bind(store),
    destroy: store.destroy.bind(store),
    get(sid: string, callback: (error: any, session?: any) => void) {
      read = () => store.get(sid, callback);
      events.emit('reading');
    },
  };
  const app = guardedFastify();
  const origin = await serve(t, app, slow, async () => {
    app.get('/login', async (request) => change(request));
    await app.register(fastifyProxy, { upstream: 'http://127.0.0.1:1', prefix: '/proxied', websocket: true });
  });
  const login = await fetch(`${origin}/login`);
  const cookie = login.headers.getSetCookie()[0]!.split(';', 1)[0];
  const lost = new Promise<void>((resolve) => {
    app.server.on('connection', (socket: Socket) => socket.on('close', () => resolve()));
  });
  const client = connect(Number(new URL(origin).port), '127.0.0.1');
  const reading = once(events, 'reading');
  client.write(
    `GET /proxied HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: ${cookie}\r\n\r\n`,
  );
  await reading;
  client.resetAndDestroy();
  await lost;
  read();
  assert.equal((await fetch(`${origin}/other`)).status, 404);
});
