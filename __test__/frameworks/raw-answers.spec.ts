// Fastify handlers that change the session and answer past reply.send. @fastify/session saves in an onSend hook, which does not run then; its in-memory
// store has the change all the same, because it holds the live object.

import assert from 'node:assert/strict';
import { type EventEmitter, once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type Backend, quiet, startLocal } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { Gate } from '../support/framework-apps.ts';
import { unguardedFastify } from '../support/unguarded.ts';

const { default: olderFastifySession } = await import('fastify-session-11.1.1' as string);

/** Ways to answer, each with what the handler gives back. */
const ANSWERS: Record<string, (reply: FastifyReply) => unknown> = {
  'a hijacked reply': (reply) => {
    reply.hijack();
    reply.raw.end('raw');
  },
  'reply.raw, and gives the reply back': (reply) => {
    reply.raw.end('raw');
    return reply;
  },
  'an event stream': (reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' });
    reply.raw.write('data: one\n\n');
    setImmediate(() => reply.raw.end('data: two\n\n'));
  },
};

interface Setup {
  plugin?: any;
  store?: DynamoDBSessionStore;
  create?: (options: any) => any;
}

/** A gateway whose sessions hold tokens. Its log is a list of messages. */
async function serve(t: TestContext, setup: Setup, routes: (app: FastifyInstance) => void) {
  const { plugin = fastifySession, store, create = (options) => Fastify(options) } = setup;
  const messages: string[] = [];
  const stream = { write: (line: string) => messages.push(JSON.parse(line).msg) };
  const app = create({ logger: { level: 'warn', stream } });
  t.after(() => app.close());
  await app.register(fastifyCookie);
  await app.register(plugin, { secret: 'x'.repeat(32), store, cookie: { secure: false }, saveUninitialized: false });
  app.post('/login', async ({ session }: any) => {
    session.tokens = { google: 1 };
    return 'in';
  });
  app.post('/logout', async ({ session }: any) => {
    await session.destroy();
    return 'out';
  });
  app.post('/refresh', async ({ session }: any) => {
    session.tokens.google = 100;
    return 'new';
  });
  app.get('/tokens', async ({ session }: any) => ({ tokens: session.tokens, calls: session.calls }));
  routes(app);
  const browser = new Browser(await app.listen({ host: '127.0.0.1', port: 0 }));
  return { browser, messages };
}

/** Asks for these on a connection of its own, which the client can leave at any moment. */
function open({ origin, cookies }: Browser, ...paths: string[]): Socket {
  const { hostname, port } = new URL(origin);
  const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
  const client = connect(Number(port), hostname);
  for (const path of paths) client.write(`GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\ncookie: ${cookie}\r\n\r\n`);
  return client;
}

/** Waits for a line in the log, which is written after the answer has reached the client. */
async function line(messages: string[]): Promise<string> {
  while (messages.length === 0) await turn();
  assert.equal(messages.length, 1);
  return messages[0]!;
}

/** What a tool call does: it has its token refreshed. */
function refresh({ session }: any) {
  session.tokens.google++;
  session.calls = (session.calls ?? 0) + 1;
}

/** A tool call whose answer goes on until the gate is open. */
function slowCall(gate: Gate) {
  return (app: FastifyInstance) => {
    app.get('/mcp', async (request, reply) => {
      reply.hijack();
      refresh(request);
      await gate.wait();
      reply.raw.end('raw');
    });
  };
}

describe('a Fastify handler that changes its session and answers by', { timeout: 300_000 }, () => {
  let backend: Backend;
  let store: DynamoDBSessionStore;
  before(async () => {
    backend = await startLocal();
    store = backend.store();
  });
  after(() => backend.stop());

  for (const [name, answer] of Object.entries(ANSWERS)) {
    it(`${name}: has it saved when the answer has ended, once`, async (t) => {
      const { browser, messages } = await serve(t, { store }, (app) => {
        app.get('/mcp', async (request, reply) => {
          refresh(request);
          return answer(reply);
        });
        app.get('/sync', (request, reply) => {
          refresh(request);
          answer(reply);
        });
      });
      await browser.post('/login');
      const { written } = store.stats().sessions;
      for (const path of ['/mcp', '/sync']) await browser.get(path);
      assert.deepEqual((await browser.get('/tokens')).body, { tokens: { google: 3 }, calls: 2 });
      assert.equal(store.stats().sessions.written, written + 2);
      const [elsewhere] = await backend.store().all();
      assert.deepEqual(elsewhere!.tokens, { google: 3 });
      assert.deepEqual(messages, []);
      await store.clear();
    });
  }

  it('an event stream: has it saved when the client leaves', async (t) => {
    const gate = new Gate();
    const { browser } = await serve(t, { store }, (app) => {
      app.get('/mcp', async (request, reply) => {
        reply.hijack();
        reply.raw.writeHead(200, { 'content-type': 'text/event-stream' });
        reply.raw.write('data: one\n\n');
        refresh(request);
        reply.raw.once('close', gate.open);
      });
    });
    await browser.post('/login');
    const client = open(browser, '/mcp');
    await once(client, 'data');
    client.destroy();
    await gate.wait();
    assert.deepEqual((await browser.get('/tokens')).body, { tokens: { google: 2 }, calls: 1 });
  });

  it('a hijacked reply: writes nothing again that it saved itself, or did not change', async (t) => {
    const { browser } = await serve(t, { store }, (app) => {
      app.get('/saved', async (request: any, reply) => {
        refresh(request);
        await request.session.save();
        return ANSWERS['a hijacked reply']!(reply);
      });
      app.get('/unchanged', async (_request, reply) => ANSWERS['a hijacked reply']!(reply));
    });
    await browser.post('/login');
    const { sessions } = store.stats();
    await browser.get('/unchanged');
    await browser.get('/saved');
    await browser.get('/unchanged');
    await quiet(store);
    assert.deepEqual(store.stats().sessions, { ...sessions, written: sessions.written + 1 });
  });

  for (const where of ['', ' where the application has wrapped the store']) {
    it(`a hijacked reply: overwrites nothing that another request has stored meanwhile, and says so${where}`, async (t) => {
      const gate = new Gate();
      const own = backend.store();
      const { set } = own;
      if (where) {
        Object.defineProperty(own, 'set', {
          value: (...args: Parameters<typeof set>) => void setImmediate(() => set(...args)),
        });
      }
      const { browser, messages } = await serve(t, { store: own }, slowCall(gate));
      await browser.post('/login');
      const answer = browser.get('/mcp');
      await gate.reached;
      await browser.post('/refresh');
      gate.open();
      await answer;
      assert.match(
        await line(messages),
        /^GET \/mcp: .*another request has changed it meanwhile; call `await request\.session\.save\(\)`/,
      );
      assert.deepEqual((await browser.get('/tokens')).body, { tokens: { google: 100 } });
    });
  }

  it('a hijacked reply: brings back no session that was logged out meanwhile', async (t) => {
    const gate = new Gate();
    const { browser, messages } = await serve(t, { store }, slowCall(gate));
    await store.clear();
    await browser.post('/login');
    const answer = browser.get('/mcp');
    await gate.reached;
    await browser.post('/logout');
    gate.open();
    await answer;
    await quiet(store);
    assert.deepEqual(await store.all(), []);
    assert.deepEqual(messages, []);
  });

  it('a hijacked reply: stores no session whose cookie the client never got', async (t) => {
    const { browser } = await serve(t, { store }, (app) => {
      app.get('/mcp', async (request: any, reply) => {
        request.session.tokens = { google: 1 };
        return ANSWERS['a hijacked reply']!(reply);
      });
    });
    await store.clear();
    await browser.get('/mcp');
    await quiet(store);
    assert.deepEqual(await store.all(), []);
  });

  it('a hijacked reply: learns in the log why it could not be stored', async (t) => {
    const { browser, messages } = await serve(t, { store }, (app) => {
      app.get('/mcp', async (request: any, reply) => {
        request.session.text = 'x'.repeat(450_000);
        return ANSWERS['a hijacked reply']!(reply);
      });
    });
    await browser.post('/login');
    await browser.get('/mcp');
    assert.match(await line(messages), /^GET \/mcp: its session was changed .* is not stored: .*bytes.*; call/);
    assert.deepEqual((await browser.get('/tokens')).body, { tokens: { google: 1 } });
  });

  for (const recordVersion of [1, 2] as const) {
    for (const [name, end] of Object.entries({ ends: () => {}, fails: () => Promise.reject(new Error('too late')) })) {
      it(`an event stream that ${name} late: ends no session that others have kept alive (version ${recordVersion})`, async (t) => {
        t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
        const [changed, unchanged] = [new Gate(), new Gate()];
        const { browser } = await serve(t, { store: backend.store({ recordVersion, touchAfter: 0 }) }, (app) => {
          app.get('/login-shortly', async ({ session }: any) => {
            session.options({ maxAge: 30 * 60_000 });
            session.tokens = { google: 1 };
          });
          app.get('/changed', async (request, reply) => {
            reply.raw.writeHead(200);
            await changed.wait();
            refresh(request);
            reply.raw.end();
            return end();
          });
          app.get('/unchanged', async (_request, reply) => {
            reply.raw.write('one');
            await unchanged.wait();
            await end();
            reply.raw.end();
          });
        });
        await browser.get('/login-shortly');
        const answers = ['/changed', '/unchanged'].map((path) => browser.get(path).catch(() => {}));
        await Promise.all([changed.reached, unchanged.reached]);
        for (let i = 0; i < 6; i++) {
          t.mock.timers.tick(20 * 60_000);
          assert.deepEqual((await browser.get('/tokens')).body, { tokens: { google: 1 } });
        }
        for (const { open } of [unchanged, changed]) open();
        await Promise.all(answers);
        assert.deepEqual((await browser.get('/tokens')).body, { tokens: { google: 2 }, calls: 1 });
        t.mock.timers.tick(29 * 60_000);
        assert.deepEqual((await browser.get('/tokens')).body, { tokens: { google: 2 }, calls: 1 });
      });
    }
  }

  it('an event stream: moves the end of its session as any request does', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const { browser } = await serve(t, { store }, (app) => {
      app.get('/login-shortly', async ({ session }: any) => {
        session.options({ maxAge: 30 * 60_000 });
        session.tokens = { google: 1 };
      });
      app.get('/mcp', async (request, reply) => {
        refresh(request);
        return ANSWERS['an event stream']!(reply);
      });
    });
    await browser.get('/login-shortly');
    for (let i = 0; i < 3; i++) {
      t.mock.timers.tick(20 * 60_000);
      await browser.get('/mcp');
    }
    assert.deepEqual((await browser.get('/tokens')).body, { tokens: { google: 4 }, calls: 3 });
  });

  /** Handlers that go on when their client has left. */
  const GOES_ON: Record<string, (reply: FastifyReply, left: () => Promise<void>, change: () => void) => Promise<unknown>> = {
    'before the head of a hijacked answer': async (reply, left, change) => {
      reply.hijack();
      await left();
      change();
      reply.raw.end('raw');
    },
    'before an answer that never comes': async (reply, left, change) => {
      reply.hijack();
      change();
      await left();
    },
    'before the head of an answer': async (reply, left, change) => {
      await left();
      change();
      reply.raw.end('raw');
      return reply;
    },
    'during an event stream': async (reply, left, change) => {
      reply.raw.writeHead(200);
      reply.raw.write('one');
      await left();
      change();
    },
    'during an event stream that fails then': async (reply, left, change) => {
      reply.raw.writeHead(200);
      reply.raw.write('one');
      await left();
      change();
      throw new Error('too late');
    },
    'during an event stream that has changed its session before': async (reply, left, change) => {
      reply.raw.writeHead(200);
      reply.raw.write('one');
      (reply.request as any).session.before = true;
      await left();
      change();
    },
  };

  for (const [name, goOn] of Object.entries(GOES_ON)) {
    it(`its client has left ${name}: has it saved when it has ended`, async (t) => {
      const [leaving, done] = [new Gate(), new Gate()];
      const { browser } = await serve(t, { store }, (app) => {
        app.get('/mcp', async (request, reply) => {
          const closed = new Promise((resolve) => reply.raw.once('close', resolve));
          const left = async () => {
            void leaving.wait();
            await closed;
          };
          return goOn(reply, left, () => refresh(request)).finally(() => void done.wait());
        });
      });
      await browser.post('/login');
      const client = open(browser, '/mcp');
      await leaving.reached;
      client.destroy();
      await done.reached;
      while ((await browser.get('/tokens')).body.calls !== 1) await turn();
    });
  }

  it('a hijacked reply: has it saved also where the client has left before an earlier answer on the connection', async (t) => {
    const held = new Gate();
    const { browser } = await serve(t, { store }, (app) => {
      app.get('/held', (_request, reply) => {
        reply.hijack();
        reply.raw.writeHead(200);
        void held.wait();
      });
      app.get('/mcp', async (request, reply) => {
        refresh(request);
        return ANSWERS['a hijacked reply']!(reply);
      });
    });
    await browser.post('/login');
    const client = open(browser, '/held', '/mcp');
    await held.reached;
    while ((await browser.get('/tokens')).body.calls !== 1) await turn();
    client.destroy();
  });

  const LISTENERS: Record<string, (reply: FastifyReply) => EventEmitter> = {
    'the response': ({ raw }) => raw,
    'the request': ({ request }) => request.raw,
    'the connection': ({ request }) => request.raw.socket,
  };

  for (const [what, emitter] of Object.entries(LISTENERS)) {
    it(`an event stream: has saved what a listener to the end of ${what} changes`, async (t) => {
      const { browser } = await serve(t, { store }, (app) => {
        app.get('/mcp', (request, reply) => {
          reply.hijack();
          emitter(reply).once('close', () => refresh(request));
          reply.raw.write('one');
        });
      });
      await browser.post('/login');
      const client = open(browser, '/mcp');
      await once(client, 'data');
      client.destroy();
      while ((await browser.get('/tokens')).body.calls !== 1) await turn();
    });
  }

  it('a stream that is sent after the head was written: is saved before it, as any answer', async (t) => {
    const stream = new PassThrough();
    const { browser } = await serve(t, { store }, (app) => {
      app.get('/events', (request, reply) => {
        refresh(request);
        reply.raw.flushHeaders();
        stream.write('one');
        reply.send(stream);
      });
    });
    await browser.post('/login');
    const client = open(browser, '/events');
    await once(client, 'data');
    while ((await browser.get('/tokens')).body.calls !== 1) await turn();
    stream.end();
    client.destroy();
  });

  it('a hijacked reply: does not shorten the session by the function ttlSeconds', async (t) => {
    const remembering = backend.store({ ttlSeconds: ({ remember }: any) => (remember ? 30 : 1) * 24 * 3600 });
    const { browser } = await serve(t, { store: remembering }, (app) => {
      app.get('/remember', async ({ session }: any) => {
        session.remember = true;
        return session.sessionId;
      });
      app.get('/mcp', (request: any, reply) => {
        request.session.remember = false;
        reply.hijack();
        reply.raw.end('raw');
      });
    });
    await browser.post('/login');
    const { body: sid } = await browser.get('/remember');
    const { ttl } = (await remembering.record(sid))!;
    await browser.get('/mcp');
    while (((await remembering.get(sid)) as any).remember) await turn();
    assert.equal((await remembering.record(sid))!.ttl, ttl);
  });

  it('a hijacked reply: keeps no session that its handler has regenerated', async (t) => {
    const { browser } = await serve(t, { store }, (app) => {
      app.get('/mcp', async (request, reply) => {
        await request.session.regenerate();
        (request.session as any).secret = true;
        reply.hijack();
        reply.raw.end('raw');
      });
    });
    await store.clear();
    await browser.post('/login');
    await browser.get('/mcp');
    await store.get('none');
    assert.deepEqual(
      (await store.all()).filter(({ secret }) => secret),
      [],
    );
  });

  it('an event stream: has it saved when the application closes, and then its store', async (t) => {
    const gate = new Gate();
    const closing = backend.store();
    const create = (options: any) => Fastify({ ...options, forceCloseConnections: true });
    let close!: () => Promise<unknown>;
    const { browser, messages } = await serve(t, { store: closing, create }, (app) => {
      close = () => app.close();
      app.addHook('onClose', () => closing.close());
      app.get('/mcp', (request, reply) => {
        reply.hijack();
        reply.raw.writeHead(200);
        refresh(request);
        void gate.wait();
      });
    });
    await store.clear();
    await browser.post('/login');
    const client = open(browser, '/mcp');
    await gate.reached;
    await close();
    client.destroy();
    assert.deepEqual(
      (await store.all()).map(({ tokens }) => tokens),
      [{ google: 2 }],
    );
    assert.deepEqual(messages, []);
  });

  it('a hijacked reply: learns in the log that the store was closed', async (t) => {
    const gate = new Gate();
    const closing = backend.store();
    const { browser, messages } = await serve(t, { store: closing }, slowCall(gate));
    await browser.post('/login');
    const answer = browser.get('/mcp');
    await gate.reached;
    await closing.close();
    gate.open();
    await answer;
    assert.match(await line(messages), /^GET \/mcp: .*not stored: the store is closed/);
  });

  it('a hijacked reply: is left alone with another store, without the guard, and where revisions cannot be told apart', async (t) => {
    const routes = (saves: unknown[]) => (app: FastifyInstance) => {
      app.get('/mcp', async (request: FastifyRequest, reply) => {
        refresh(request);
        const { session } = request as any;
        const { save } = session;
        Object.defineProperty(session, 'save', {
          value: (...args: unknown[]) => saves.push(args) && save.apply(session, args),
        });
        return ANSWERS['a hijacked reply']!(reply);
      });
    };
    const saves: unknown[] = [];
    for (const setup of [{}, { store, create: unguardedFastify as any }, { store, plugin: olderFastifySession }]) {
      const { browser } = await serve(t, setup, routes(saves));
      await browser.post('/login');
      await browser.get('/mcp');
    }
    assert.deepEqual(saves, []);
  });
});
