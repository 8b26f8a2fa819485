// A small gateway on Express: login with tokens in the session, as an application writes it.

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import session, { type SessionOptions } from 'express-session';

declare module 'express-session' {
  interface SessionData {
    user: string;
    tokens: { access_token: string; expires_at: Date };
    visits: number;
    note: string;
  }
}

export const COOKIE = 'gateway.sid';
export const HOUR = 3_600_000;

/** The application; it listens to nothing yet. */
export function expressApp(store: DynamoDBSessionStore, options: Partial<SessionOptions> = {}): Express {
  const app = express();
  app.use(
    session({
      store,
      secret: 'the secret that signs the cookies of the tests',
      name: COOKIE,
      cookie: { maxAge: HOUR },
      saveUninitialized: false,
      resave: false,
      ...options,
    }),
  );

  app.post('/login/:user', (req, res) => {
    req.session.user = req.params.user;
    req.session.tokens = { access_token: `token-of-${req.params.user}`, expires_at: new Date('2099-01-01') };
    req.session.visits = 0;
    res.json({ user: req.session.user });
  });
  app.get('/me', ({ session, sessionID: sid }, res) => {
    if (!session.user) return void res.status(401).json({ error: 'not signed in' });
    res.json({ user: session.user, tokens: session.tokens, visits: session.visits, note: session.note, sid });
  });
  app.get('/nothing', (_req, res) => void res.json({}));
  app.get('/cookie', ({ session: { cookie } }, res) => {
    res.json({
      isDate: cookie.expires instanceof Date,
      expires: cookie.expires,
      maxAge: cookie.maxAge,
      originalMaxAge: cookie.originalMaxAge,
    });
  });
  app.post('/max-age/:milliseconds', ({ session, params }, res) => {
    session.cookie.maxAge = Number(params.milliseconds);
    session.note = `maxAge ${params.milliseconds}`; // a changed cookie alone is touched, not saved
    res.json({});
  });
  app.post('/browser-session', ({ session }, res) => {
    session.cookie.expires = null;
    session.note = 'until the browser ends';
    res.json({});
  });
  app.post('/visit', ({ session }, res) => {
    session.visits = (session.visits ?? 0) + 1;
    res.json({ visits: session.visits });
  });
  app.post('/regenerate', (req, res, next) => {
    const { sessionID: before, session } = req;
    session.regenerate((error) => {
      if (error) return next(error);
      req.session.user = session.user;
      res.json({ before, after: req.sessionID });
    });
  });
  app.post('/reload', (req, res, next) => {
    req.session.user = 'Mallory';
    req.session.reload((error) => (error ? next(error) : res.json({ user: req.session.user })));
  });
  app.post('/save', (req, res, next) => {
    req.session.note = 'saved in the middle';
    req.session.save((error) => {
      if (error) return next(error);
      store.get(req.sessionID).then((stored) => {
        req.session.note = 'saved at the end';
        res.json({ stored: stored?.note });
      }, next);
    });
  });
  app.post('/logout', (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.json({ session: req.session ?? null })));
  });
  app.post('/logout-without-callback', (req, res) => {
    const sid = req.sessionID;
    req.session.destroy(undefined as any); // what req.session.destroy() does
    res.json({ sid });
  });
  app.post('/unset', (req, res) => {
    (req as any).session = null;
    res.json({});
  });
  app.use((error: any, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) return next(error);
    res.status(500).json({ code: error.code });
  });
  return app;
}

/** Lets it listen on a free port of this machine. */
export async function listen(app: Express): Promise<{ origin: string; close: () => Promise<void> }> {
  const server: Server = createServer(app);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
