// Applications get the guard by themselves, once the process has made a store, and are warned of where they cannot.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { DynamoDBSessionStore, guardReplies } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance } from 'fastify';
import { quietLogger, startLocal } from '../support/backends.ts';
import { assertFailure } from '../support/failures.ts';
import { unguardedFastify } from '../support/unguarded.ts';

const SECRET = 'the secret that signs the cookies of the tests';
const cwd = fileURLToPath(new URL('..', import.meta.url));

/** What a program prints, each line of it JSON, and how it ends. */
async function run(program: string) {
  const args = ['--input-type=module', '-e', program];
  const { stdout, stderr, code } = await promisify(execFile)(process.execPath, args, { cwd }).then(
    (printed) => ({ ...printed, code: 0 }),
    (error) => error,
  );
  return {
    lines: stdout
      .split('\n')
      .filter(Boolean)
      .map((line: string) => JSON.parse(line)),
    stderr,
    code,
  };
}

/**
 * A program whose application refuses a request in a hook that does not return its reply. It prints what it logs, and for each request the status and how
 * often the handler has run.
 */
function refusingProgram({ before = '', after = '', store = '', requests = 1 }) {
  return `
    import cookie from '@fastify/cookie';
    import session from '@fastify/session';
    import Fastify from 'fastify';
    const print = (value) => console.log(JSON.stringify(value));
    const later = { // a store that calls back later, as this package's does
      get: (sid, callback) => setImmediate(callback, null, null),
      set: (sid, session, callback) => setImmediate(callback),
      destroy: (sid, callback) => setImmediate(callback),
    };
    const logger = { warn: (line) => print({ warned: line }), debug() {} };
    const stream = { write: (line) => print({ logged: JSON.parse(line).msg }) };
    ${before}
    const app = Fastify({ logger: { level: 'warn', stream } });
    ${after}
    await app.register(cookie);
    await app.register(session, { secret: '${SECRET}', store: ${store}, cookie: { secure: false } });
    let ran = 0;
    app.get('/', { preHandler: async function requireUser(request, reply) { reply.code(401).send('denied'); } }, async () => { ran++; });
    for (let request = 0; request < ${requests}; request++) print({ status: (await app.inject('/')).statusCode, ran });
    await app.close();`;
}

const IMPORT = "const { DynamoDBSessionStore, guardReplies } = await import('connect-dynamodb-kms');";
const WARNING = 'preHandler hook (requireUser) of GET /: it answers without returning the reply; write `return reply` at its end';

async function folder(t: TestContext): Promise<string> {
  const backend = await startLocal();
  t.after(() => backend.stop());
  return JSON.stringify(backend.config);
}

describe('an application that is made after the import', () => {
  it('is guarded, and logs each place once', async (t) => {
    const store = `new DynamoDBSessionStore({ recordVersion: 1, ...${await folder(t)}, logger })`;
    const { lines, code } = await run(refusingProgram({ before: IMPORT, store, requests: 2 }));
    assert.deepEqual(lines, [{ logged: WARNING }, { status: 401, ran: 0 }, { status: 401, ran: 0 }]);
    assert.equal(code, 0);
  });

  it('is guarded behind a store that was made before it', async (t) => {
    const before = `${IMPORT} const store = new DynamoDBSessionStore({ recordVersion: 1, ...${await folder(t)}, logger });`;
    const { lines } = await run(refusingProgram({ before, store: 'store' }));
    assert.deepEqual(lines, [{ logged: WARNING }, { status: 401, ran: 0 }]);
  });

  it('works as without this package while the process has made no store', async () => {
    const imported = await run(refusingProgram({ before: IMPORT, store: 'later' }));
    const plain = await run(refusingProgram({ store: 'later' }));
    assert.deepEqual([imported.lines, imported.code], [plain.lines, plain.code]);
    assert.deepEqual(
      imported.lines.find(({ status }: any) => status),
      { status: 401, ran: 1 },
    );
    assert.notEqual(imported.code, 0);
    for (const { stderr } of [imported, plain]) assert.match(stderr, /ERR_HTTP_HEADERS_SENT/);
  });

  it('is not guarded by a store with guardReplies: false', async (t) => {
    const store = `new DynamoDBSessionStore({ recordVersion: 1, ...${await folder(t)}, logger, guardReplies: false })`;
    const { lines } = await run(refusingProgram({ before: IMPORT, store }));
    assert.deepEqual(
      lines.find(({ status }: any) => status),
      { status: 401, ran: 1 },
    );
  });

  it('starts, without the guard, if it replaces how replies are sent', async (t) => {
    const app = Fastify();
    t.after(() => app.close());
    const taken = unguardedFastify();
    taken.decorateReply('send', (() => {}) as any);
    assert.throws(() => guardReplies(taken), { message: /replaces reply.send/ });
    app.get('/', async () => 'started');
    assert.equal((await app.inject('/')).body, 'started');
  });

  it('is guarded with a store of any copy of this package, as Jest loads one for each file of tests', async (t) => {
    const copies = `
      const { createRequire } = await import('node:module');
      const require = createRequire(process.cwd() + '/any.js');
      const load = () => {
        for (const file of Object.keys(require.cache)) if (/connect-dynamodb-kms.(index|lib|binding)/.test(file)) delete require.cache[file];
        return require('connect-dynamodb-kms');
      };
      const copies = [load(), load()];
      if (copies[0].DynamoDBSessionStore === copies[1].DynamoDBSessionStore) throw new Error('one copy');`;
    for (const copy of [0, 1]) {
      const store = `new copies[${copy}].DynamoDBSessionStore({ recordVersion: 1, ...${await folder(t)}, logger })`;
      const { lines, code } = await run(refusingProgram({ before: copies, store }));
      assert.deepEqual(lines, [{ logged: WARNING }, { status: 401, ran: 0 }]);
      assert.equal(code, 0);
    }
  });

  it('loads the guard no earlier than an application', async () => {
    const { lines } = await run(`
      import { createRequire } from 'node:module';
      const require = createRequire(import.meta.url);
      const loaded = () => Object.keys(require.cache).filter((path) => path.includes('reply-guard')).length;
      require('connect-dynamodb-kms');
      console.log(loaded());
      require('fastify')();
      console.log(loaded());`);
    assert.deepEqual(lines, [0, 6]);
  });
});

describe('an application that is made before the import', () => {
  it('is warned of once, by what a session says', async (t) => {
    const store = `new DynamoDBSessionStore({ recordVersion: 1, ...${await folder(t)}, logger })`;
    const { lines } = await run(refusingProgram({ after: IMPORT, store }));
    assert.match(lines[0].warned, /^connect-dynamodb-kms: .*not guarded.*let its handler run.*guardReplies\(app\)/);
    assert.equal(lines.filter(({ warned }: any) => /not guarded/.test(warned)).length, 1);
    assert.deepEqual(
      lines.find(({ status }: any) => status),
      { status: 401, ran: 1 },
    );
  });

  it('is guarded by guardReplies, without a warning', async (t) => {
    const store = `new DynamoDBSessionStore({ recordVersion: 1, ...${await folder(t)}, logger })`;
    const after = `${IMPORT} guardReplies(app, { report: (place) => print({ place }) });`;
    const { lines, code } = await run(refusingProgram({ after, store }));
    assert.deepEqual(lines, [{ place: 'preHandler hook (requireUser) of GET /' }, { status: 401, ran: 0 }]);
    assert.equal(code, 0);
  });

  it('is guarded by guardReplies in a plugin, as fastify-cli loads them: after the application was created', async (t) => {
    const store = `new DynamoDBSessionStore({ recordVersion: 1, ...${await folder(t)}, logger })`;
    const guard = 'guardReplies(instance, { report: (place) => print({ place }) })';
    const plugin = `Object.assign(async (instance) => { ${guard}; }, { [Symbol.for('skip-override')]: true })`;
    const { lines, code } = await run(refusingProgram({ after: `${IMPORT} await app.register(${plugin});`, store }));
    assert.deepEqual(lines, [{ place: 'preHandler hook (requireUser) of GET /' }, { status: 401, ran: 0 }]);
    assert.equal(code, 0);
  });
});

/** Starts an application of which every request saves a session. */
async function serve(t: TestContext, app: FastifyInstance, store: DynamoDBSessionStore): Promise<FastifyInstance> {
  t.after(() => app.close());
  await app.register(fastifyCookie);
  await app.register(fastifySession, { secret: SECRET, store, cookie: { secure: false } });
  app.get('/', async () => 'home');
  app.get('/wrong', { onRequest: async (_request, reply) => void reply.send('answered') }, async () => 'never');
  app.get('/also-wrong', { onRequest: async (_request, reply) => void reply.send('answered') }, async () => 'never');
  return app;
}

describe('guardReplies of a guarded application', () => {
  it('attaches a report, also when it has started, and gives what was found before', async (t) => {
    const backend = await startLocal();
    t.after(() => backend.stop());
    const app = await serve(t, Fastify(), backend.store());
    assert.equal((await app.inject('/wrong')).body, 'answered');
    const [first, second]: string[][] = [[], []];
    const found = guardReplies(app, { report: (place) => void first!.push(place) });
    assert.deepEqual(found.routes, ['onRequest hook of GET /wrong']);
    assert.equal(guardReplies(app, { report: (place) => void second!.push(place) }), found);
    for (const path of ['/wrong', '/also-wrong']) assert.equal((await app.inject(path)).body, 'answered');
    assert.deepEqual([first, second], [['onRequest hook of GET /also-wrong'], ['onRequest hook of GET /also-wrong']]);
    assert.deepEqual(found.routes, ['onRequest hook of GET /wrong', 'onRequest hook of GET /also-wrong']);
  });
});

describe('the warning of an application without the guard', () => {
  it('comes once a process, only of the sessions of @fastify/session, and disturbs no save', async (t) => {
    const backend = await startLocal();
    t.after(() => backend.stop());
    const logger = quietLogger();
    const store = backend.store({ logger });
    const cookie = { originalMaxAge: null };
    const request = Symbol('request');
    class Odd {
      cookie = cookie;
      get [request](): unknown {
        throw new Error('of a getter');
      }
    }
    class Other {
      cookie = cookie;
      [request] = { server: null };
    }
    for (const session of [{ cookie }, new Odd(), new Other(), Object.assign(Object.create(null), { cookie })]) {
      await store.set('a session', session);
      await new Promise<void>((resolve, reject) => store.set('another', session, (error) => (error ? reject(error) : resolve())));
    }
    const guarded = await serve(t, Fastify(), store);
    assert.equal((await guarded.inject('/')).body, 'home');
    assert.deepEqual(logger.lines, []);

    const silent = quietLogger();
    const unwanted = await serve(t, unguardedFastify(), backend.store({ logger: silent, guardReplies: false }));
    assert.equal((await unwanted.inject('/')).body, 'home');
    assert.deepEqual(silent.lines, []);

    for (let application = 0; application < 2; application++) {
      const app = await serve(t, unguardedFastify(), store);
      for (let times = 0; times < 2; times++) assert.equal((await app.inject('/')).body, 'home');
    }
    assert.equal(logger.lines.length, 1);
    assert.match(logger.lines[0]!, /^warn connect-dynamodb-kms: a Fastify application that uses this store is not guarded/);
    assert.doesNotMatch(logger.lines[0]!, /\n/);
  });
});

describe('the option guardReplies', () => {
  it('must be a boolean', () => {
    for (const wrong of [null, 0, 'yes', {}, () => true]) {
      const make = () => new DynamoDBSessionStore({ recordVersion: 1, guardReplies: wrong as any });
      assert.throws(make, (error) => {
        assertFailure(error, 'ERR_CONFIG');
        assert.match((error as any).detail, /guardReplies/);
        return true;
      });
    }
  });
});
