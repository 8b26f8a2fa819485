// Gateways whose store knows users: "your devices" and "log out everywhere" on Express with Passport, and on Fastify.

import { promisify } from 'node:util';
import fastifyCookie from '@fastify/cookie';
import fastifySession, { type FastifySessionOptions } from '@fastify/session';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import session, { type SessionOptions } from 'express-session';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { COOKIE, HOUR, listen as listenExpress } from './express-app.ts';
import { listen as listenFastify } from './fastify-app.ts';

export const SECRET = 'the secret that signs the cookies of the tests';

/** An application that listens. */
export interface Served {
  origin: string;
  close: () => Promise<void>;
}

/** How an application keeps its users in its sessions. */
export interface UsersAppOptions {
  /** Options of the framework's session plugin. */
  session?: object;
  /** What Passport keeps of a user, on Express; the whole id by default. */
  serialize?: (id: string) => unknown;
}

export type ServeUsers = (store: DynamoDBSessionStore, options?: UsersAppOptions) => Promise<Served>;

/** Express, with Passport's login: it moves the session to a new id, with `keep` together with what is in it. */
export async function serveExpress(store: DynamoDBSessionStore, options: UsersAppOptions = {}): Promise<Served> {
  return listenExpress(expressApp(store, options));
}

function expressApp(store: DynamoDBSessionStore, { session: more = {}, serialize = (id) => id }: UsersAppOptions): Express {
  const app = express().set('env', 'test'); // which prints no errors
  const authenticator = new passport.Authenticator();
  authenticator.serializeUser((user, done) => done(null, serialize((user as any).id)));
  authenticator.deserializeUser((kept: any, done) => done(null, { id: String(kept.id ?? kept) } as any));
  authenticator.use(new Strategy((id, _password, done) => setImmediate(done, null, { id })));
  const own: SessionOptions = {
    store,
    secret: SECRET,
    name: COOKIE,
    cookie: { maxAge: HOUR },
    saveUninitialized: false,
    resave: false,
  };
  app.use(session({ ...own, ...more }));
  app.use(authenticator.session());

  const idOf = (req: Request) => (req.user as any).id as string;
  const signedInOnly = (req: Request, res: Response, next: NextFunction) => (req.user ? next() : void res.status(401).json({}));
  app.post('/login/:user', (req, res, next) => {
    Object.defineProperty(req, 'query', { value: { username: req.params.user, password: 'right' } });
    const options = { keepSessionInfo: req.headers['x-keep'] === 'yes' };
    authenticator.authenticate('local', options)(req, res, (error: unknown) =>
      error ? next(error) : res.json({ sid: req.sessionID }),
    );
  });
  app.post('/logout', (req, res, next) => req.session.destroy((error) => (error ? next(error) : res.json({}))));
  app.post('/passport-logout', (req, res, next) => req.logout((error) => (error ? next(error) : res.json({}))));
  app.post('/visit', ({ session }, res) => {
    session.visits = (session.visits ?? 0) + 1;
    res.json({ visits: session.visits });
  });
  app.post('/save', async (req, res) => {
    req.session.note = 'saved in the middle';
    await promisify(req.session.save.bind(req.session))();
    req.session.note = 'saved at the end';
    res.json({});
  });
  app.get('/nothing', (_req, res) => void res.json({}));
  app.get(
    '/me',
    signedInOnly,
    (req, res) => void res.json({ user: idOf(req), sid: req.sessionID, note: req.session.note, visits: req.session.visits }),
  );
  app.get('/devices', signedInOnly, async (req, res) => {
    const sessions = await store.sessionsOf(idOf(req));
    res.json(sessions.map(({ id }) => ({ id, isThis: id === req.sessionID })));
  });
  app.post(
    '/password',
    signedInOnly,
    async (req, res) => void res.json({ ended: await store.destroyAllOf(idOf(req), { except: req.sessionID }) }),
  );
  app.post('/everywhere', signedInOnly, async (req, res) => void res.json({ ended: await store.destroyAllOf(idOf(req)) }));
  app.use((error: any, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) return next(error);
    res.status(error.statusCode ?? 500).json({ code: error.code, message: error.message });
  });
  return app;
}

/** Fastify; the session has `userId`. */
export async function serveFastify(store: DynamoDBSessionStore, options: UsersAppOptions = {}): Promise<Served> {
  const app = await fastifyApp(store, options);
  return { origin: await listenFastify(app), close: () => app.close() };
}

async function fastifyApp(store: DynamoDBSessionStore, { session: more = {} }: UsersAppOptions): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(fastifyCookie);
  const cookie = { secure: false, maxAge: HOUR, path: '/' };
  const own: FastifySessionOptions = { store, secret: SECRET, cookieName: COOKIE, cookie, saveUninitialized: false };
  await app.register(fastifySession, { ...own, ...more });

  const of = (request: FastifyRequest) => request.session as any;
  const preHandler = async (request: FastifyRequest, reply: FastifyReply) => {
    if (!of(request).userId) return reply.code(401).send({});
  };
  app.post<{ Params: { user: string } }>('/login/:user', async (request) => {
    await request.session.regenerate(request.headers['x-keep'] === 'yes' ? (['visits', 'userId'] as any) : undefined);
    of(request).userId = request.params.user;
    return { sid: request.session.sessionId };
  });
  app.post('/logout', async (request) => {
    await request.session.destroy();
    return {};
  });
  app.post('/visit', async (request) => {
    of(request).visits = (of(request).visits ?? 0) + 1;
    return { visits: of(request).visits };
  });
  app.post('/save', async (request) => {
    of(request).note = 'saved in the middle';
    await request.session.save();
    of(request).note = 'saved at the end';
    return {};
  });
  app.get('/nothing', async () => ({}));
  app.get('/me', { preHandler }, async (request) => {
    const { userId, note, visits, sessionId } = of(request);
    return { user: userId, sid: sessionId, note, visits };
  });
  app.get('/devices', { preHandler }, async (request) => {
    const sessions = await store.sessionsOf(of(request).userId);
    return sessions.map(({ id }) => ({ id, isThis: id === request.session.sessionId }));
  });
  app.post('/password', { preHandler }, async (request) => ({
    ended: await store.destroyAllOf(of(request).userId, { except: request.session.sessionId }),
  }));
  app.post('/everywhere', { preHandler }, async (request) => ({ ended: await store.destroyAllOf(of(request).userId) }));
  return app;
}

/** The applications, with the path to the user's id in their sessions. */
export const usersApps: Record<string, { serve: ServeUsers; path: string }> = {
  Express: { serve: serveExpress, path: 'passport.user' },
  Fastify: { serve: serveFastify, path: 'userId' },
};
