// Applications that decorate their replies with names of Fastify's own work as without this package.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { guardReplies } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance } from 'fastify';
import { type Backend, startLocal } from '../support/backends.ts';
import { unguardedFastify } from '../support/unguarded.ts';

/** What `reply[name]` was before the application's own decoration. */
function behind(reply: any, name: string): any {
  let prototype = Object.getPrototypeOf(reply);
  while (!Object.hasOwn(prototype, name)) prototype = Object.getPrototypeOf(prototype);
  return Object.getPrototypeOf(prototype)[name];
}

/** A method that counts its calls and does what Fastify's does. */
const counting = (name: string, calls: string[]) =>
  function (this: any, ...args: unknown[]) {
    calls.push(name);
    return behind(this, name).apply(this, args);
  };

const SENDING: Record<string, (calls: string[]) => any> = {
  ...Object.fromEntries(['send', 'then'].map((name) => [name, (calls: string[]) => counting(name, calls)])),
  sent: (calls) => ({
    getter(this: any) {
      calls.push('sent');
      return this.raw.writableEnded;
    },
  }),
};
const OTHERS = ['code', 'status', 'header', 'type', 'removeHeader'];

describe('an application that decorates its replies', () => {
  let backend: Backend;
  before(async () => {
    backend = await startLocal();
    backend.store(); // from now on applications are guarded
  });
  after(() => backend.stop());

  /** Answers, and refuses: in a hook that changes its session and does not return the reply. */
  function routes(app: FastifyInstance, ran: string[]) {
    app.register(fastifyCookie);
    app.register(fastifySession, { store: backend.store(), secret: 'x'.repeat(32), cookie: { secure: false } });
    app.register(async (app) => {
      app.get('/right', async (request: any, reply) => {
        request.session.visited = true;
        return reply.code(201).header('x-a', '1').removeHeader('x-a').type('text/plain').status(202).send('right');
      });
      const refuse = async (request: any, reply: any) => {
        request.session.refused = true;
        reply.code(401).send('refused');
      };
      app.get('/refused', { preHandler: refuse }, async () => {
        ran.push('handler');
      });
    });
  }

  /** What a client and the application see. */
  async function seen(app: FastifyInstance, name: string, decoration: (calls: string[]) => any) {
    const [calls, ran]: [string[], string[]] = [[], []];
    app.decorateReply(name, decoration(calls));
    routes(app, ran);
    const { statusCode, body, headers } = await app.inject('/right');
    // How often does not matter: Fastify reads `sent` around every hook, and the guard has one.
    return { statusCode, body, type: headers['content-type'], calls: [...new Set(calls)] };
  }

  function guarded(lines: string[] = []): FastifyInstance {
    const stream = { write: (line: string) => void lines.push(JSON.parse(line).msg) };
    return Fastify({ logger: { level: 'warn', stream } });
  }

  for (const name of [...Object.keys(SENDING), ...OTHERS]) {
    const decoration = SENDING[name] ?? ((calls: string[]) => counting(name, calls));

    it(`with ${name} has its own one, as without the guard`, async (t) => {
      const [app, plain] = [guarded(), unguardedFastify()];
      t.after(() => Promise.all([app.close(), plain.close()]));
      const found = await seen(app, name, decoration);
      assert.deepEqual(found, await seen(plain, name, decoration));
      assert.equal(found.body, 'right');
      assert.ok(found.calls.includes(name));
    });

    it(`with ${name} in a plugin has it there alone`, async (t) => {
      const [app, calls] = [guarded(), [] as string[]];
      t.after(() => app.close());
      app.get('/outside', async (_request, reply) => reply.code(200).send('outside'));
      app.register(async (app) => {
        app.decorateReply(name, decoration(calls));
        app.get('/inside', async (_request, reply) => void reply.code(200).send('inside'));
      });
      assert.equal((await app.inject('/outside')).body, 'outside');
      assert.deepEqual(calls, []);
      assert.equal((await app.inject('/inside')).body, 'inside');
    });
  }

  for (const name of OTHERS) {
    it(`with ${name} is guarded`, async (t) => {
      const [ran, lines]: [string[], string[]] = [[], []];
      const app = guarded(lines);
      t.after(() => app.close());
      app.decorateReply(name, counting(name, []) as any);
      routes(app, ran);
      assert.equal((await app.inject('/refused')).statusCode, 401);
      assert.deepEqual(ran, []);
      assert.match(lines.join(), /^preHandler hook \(refuse\) of GET \/refused/);
    });
  }

  for (const name of Object.keys(SENDING)) {
    it(`with ${name} is not guarded, and says so once`, async (t) => {
      const lines: string[] = [];
      const app = guarded(lines);
      t.after(() => app.close());
      await seen(app, name, SENDING[name]!);
      await app.inject('/right');
      assert.equal(lines.length, 1, lines.join());
      assert.match(lines[0]!, new RegExp(`decorates its replies with ${name}, so that it is not guarded`));
    });
  }

  it('twice with one name is refused by Fastify', async (t) => {
    const app = guarded();
    t.after(() => app.close());
    app.decorateReply('code', counting('code', []) as any);
    assert.throws(() => app.decorateReply('code', counting('code', []) as any), { code: 'FST_ERR_DEC_ALREADY_PRESENT' });
    guardReplies(app); // has it already
  });
});
