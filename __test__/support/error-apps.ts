// Applications on Fastify and Express whose requests may fail, answered by the framework's own error handler or in another `way` that applications have.

import { Writable } from 'node:stream';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import type { DynamoDBSessionStore, SessionStoreError } from 'connect-dynamodb-kms';
import express, { type NextFunction, type Request, type Response } from 'express';
import expressSession from 'express-session';
import Fastify from 'fastify';
import { Browser } from './browser.ts';
import { COOKIE, HOUR, listen } from './express-app.ts';

export const frameworkNames = ['Fastify', 'Express'] as const;
export type FrameworkName = (typeof frameworkNames)[number];

export interface ErrorApp {
  /** A visitor; knows no cookie yet. */
  browser: Browser;
  /** The store's errors that the application met. */
  errors: SessionStoreError[];
  /** What the framework logged. */
  logged: string[];
  close(): Promise<unknown>;
}

/** The cookie of a session with this id, as the framework signs it. */
export function signed(framework: FrameworkName, sid: string): string {
  return encodeURIComponent(`${framework === 'Express' ? 's:' : ''}${fastifyCookie.sign(sid, SECRET)}`);
}

const SECRET = 'the secret that signs the cookies of the tests';

/** What the routes do with the session; `save` is the framework's own. */
const pages: Record<
  string,
  (session: any, sid: string, store: DynamoDBSessionStore, save: () => Promise<void>) => Promise<unknown>
> = {
  async visit(session, _sid, _store, save) {
    session.visits = (session.visits ?? 0) + 1;
    await save();
  },
  async large(session, _sid, _store, save) {
    session.filler = 'x'.repeat(400_000);
    await save().finally(() => delete session.filler);
  },
  // express-session itself fails with a BigInt or a cycle, before it asks the store.
  async text(session, _sid, _store, save) {
    session.toJSON = () => 'no object';
    await save().finally(() => delete session.toJSON);
  },
  async update(_session, sid, store) {
    const held = (await store.get(sid))!;
    held.note = 'unsaved';
    await store.update(held, () => {});
  },
  'update-new': (_session, _sid, store) => store.update({ id: 'a session that was never saved' }, () => {}),
  'wrong-option': (_session, sid, store) => store.withLock(sid, () => {}, { seconds: 1 } as object),
  locked: (_session, sid, store) => store.withLock(sid, () => store.withLock(sid, () => {}, { waitSeconds: 0 })),
};

const OBJECT = { type: 'object', properties: {} };
const FIELDS = {
  statusCode: { type: 'number' },
  code: { type: 'string' },
  error: { type: 'string' },
  message: { type: 'string' },
};
const SCHEMAS: Record<string, object> = {
  'a response schema': { ...OBJECT, properties: FIELDS },
  'an open response schema': { ...OBJECT, properties: FIELDS, additionalProperties: true },
};

async function startFastify(store: DynamoDBSessionStore, way?: string): Promise<ErrorApp> {
  const errors: SessionStoreError[] = [];
  const logged: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      logged.push(String(chunk));
      done();
    },
  });
  const app = Fastify({ logger: { stream } });
  app.addHook('onError', async (_request, _reply, error) => void errors.push(error as unknown as SessionStoreError));
  const schema = way && SCHEMAS[way];
  if (schema) app.addHook('onRoute', (route) => void Object.assign(route, { schema: { response: { '5xx': schema } } }));
  if (way === 'reply.send(error)') app.setErrorHandler((error, _request, reply) => reply.send(error));
  if (way === 'reply.send({ error })')
    app.setErrorHandler((error: any, _request, reply) => reply.code(error.statusCode).send({ error }));
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    store,
    secret: SECRET,
    cookieName: COOKIE,
    cookie: { secure: false, maxAge: HOUR },
    saveUninitialized: false,
  });
  app.post('/login', async ({ session }) => {
    session.user = 'ada';
    return {};
  });
  app.get('/me', async ({ session }) => ({ user: session.user }));
  for (const [name, page] of Object.entries(pages)) {
    app.get(`/${name}`, async ({ session }) => {
      await page(session, session.sessionId, store, () => session.save());
      return {};
    });
  }
  const browser = new Browser(await app.listen({ host: '127.0.0.1', port: 0 }));
  return { browser, errors, logged, close: () => app.close() };
}

async function startExpress(store: DynamoDBSessionStore, way?: string): Promise<ErrorApp> {
  const errors: SessionStoreError[] = [];
  const app = express();
  app.set('env', way === 'production' ? 'production' : 'development');
  app.use(
    expressSession({ store, secret: SECRET, name: COOKIE, cookie: { maxAge: HOUR }, saveUninitialized: false, resave: false }),
  );
  app.post('/login', (req, res) => {
    req.session.user = 'ada';
    res.json({});
  });
  app.get('/me', ({ session }, res) => void res.json({ user: session.user }));
  for (const [name, page] of Object.entries(pages)) {
    app.get(`/${name}`, async (req, res) => {
      const save = () => new Promise<void>((resolve, reject) => req.session.save((error) => (error ? reject(error) : resolve())));
      await page(req.session, req.sessionID, store, save);
      res.json({});
    });
  }
  app.use((error: any, _req: Request, res: Response, next: NextFunction) => {
    errors.push(error);
    if (way === 'res.json(error)') return void res.status(error.statusCode).json(error);
    if (way === 'res.json({ error })') return void res.status(error.statusCode).json({ error });
    next(error);
  });
  const { origin, close } = await listen(app);
  return { browser: new Browser(origin), errors, logged: [], close };
}

export function startErrorApp(framework: FrameworkName, store: DynamoDBSessionStore, way?: string): Promise<ErrorApp> {
  return framework === 'Fastify' ? startFastify(store, way) : startExpress(store, way);
}
