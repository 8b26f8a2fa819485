// An Express application as the tutorials write it: a redirect after each change, and nobody waits for the session to be saved.

import { fileURLToPath } from 'node:url';
import util from 'node:util';
import flash from 'connect-flash';
import cookieParser from 'cookie-parser';
import { doubleCsrf } from 'csrf-csrf';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import session, { type SessionOptions } from 'express-session';
import { Passport } from 'passport';
import { Strategy } from 'passport-local';

// connect-flash asks for a function that Node.js 23 has no longer.
(util as any).isArray ??= Array.isArray;

const isRight = (user?: string, password?: string) => user === 'ada' && password === 'lovelace';
const PAGE = fileURLToPath(new URL('./page.txt', import.meta.url));

declare module 'express-session' {
  interface SessionData {
    user: string;
    visits: number;
    note: string;
    messages: string[];
    hasForm: boolean;
  }
}

export function application(options: Partial<SessionOptions>): Express {
  const app = express();
  const secret = 'the secret that signs the cookies of the application';
  app.use(express.urlencoded({ extended: false }));
  app.use(
    session({ secret, name: 'app.sid', cookie: { maxAge: 3_600_000 }, resave: false, saveUninitialized: false, ...options }),
  );
  app.use(cookieParser(secret));
  app.use(flash());

  const passport = new Passport();
  passport.use(
    new Strategy({ usernameField: 'user' }, (user, password, done) => {
      if (!isRight(user, password)) return done(null, false, { message: 'wrong password' });
      return done(null, { id: user });
    }),
  );
  passport.serializeUser((user: any, done) => done(null, user.id));
  passport.deserializeUser((id, done) => done(null, { id }));
  app.use(passport.session());

  app.post('/login', (req, res) => {
    if (!isRight(req.body.user, req.body.password)) {
      req.flash('error', 'wrong password');
      return res.redirect('/flash');
    }
    req.session.user = 'ada';
    res.redirect('/me');
  });
  app.post('/login/regenerate', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error);
      req.session.user = req.body.user;
      res.redirect('/me');
    });
  });
  app.get('/me', (req, res) => {
    if (!req.session.user) return void res.status(401).json({ error: 'not signed in' });
    const { user, visits, note } = req.session;
    res.json({ user, visits, note });
  });
  app.get('/flash', (req, res) => void res.json({ error: req.flash('error'), info: req.flash('info') }));
  app.post('/flash', (req, res) => {
    req.flash('info', 'saved');
    res.redirect('/flash');
  });
  app.post('/visit', (req, res) => {
    req.session.visits = (req.session.visits ?? 0) + 1;
    res.redirect('/visits');
  });
  app.get('/visits', (req, res) => void res.json({ visits: req.session.visits ?? 0 }));
  app.post('/file', (req, res) => {
    req.session.note = 'before the file';
    res.sendFile(PAGE);
  });
  app.get('/note', (req, res) => void res.json({ note: req.session.note ?? null }));
  app.post('/written', (req, res) => {
    req.session.note = 'written';
    res.write('one ');
    res.end('two');
  });

  const authenticate = (options: object) => passport.authenticate('local', options);
  app.post(
    '/passport/login',
    authenticate({ successRedirect: '/passport/me', failureRedirect: '/passport/messages', failureMessage: true }),
  );
  app.post(
    '/passport/login/flash',
    authenticate({ successReturnToOrRedirect: '/passport/me', failureRedirect: '/flash', failureFlash: true }),
  );
  app.get('/passport/messages', (req, res) => {
    const messages = req.session.messages ?? [];
    req.session.messages = [];
    res.json({ messages });
  });
  app.get('/passport/me', (req, res) => {
    if (!req.isAuthenticated()) return res.redirect('/passport/messages');
    res.json({ user: req.user });
  });
  app.post('/passport/logout', (req, res, next) => req.logout((error) => (error ? next(error) : res.redirect('/passport/me'))));

  app.post('/logout', (req, res, next) => req.session.destroy((error) => (error ? next(error) : res.redirect('/me'))));

  const { generateCsrfToken, doubleCsrfProtection } = doubleCsrf({
    getSecret: () => secret,
    getSessionIdentifier: (req) => req.session.id,
    cookieName: 'csrf',
    cookieOptions: { secure: false },
  });
  app.post('/form', (req, res) => {
    req.session.hasForm = true; // or the id would be another one with the next request
    res.redirect('/form');
  });
  app.get('/form', (req, res) => void res.json({ token: generateCsrfToken(req, res) }));
  app.post('/transfer', doubleCsrfProtection, (req, res) => {
    req.session.visits = 100;
    res.redirect('/visits');
  });

  app.use((_req, res) => void res.status(404).json({ missing: true }));
  app.use((error: any, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) return next(error);
    res.status(error.status ?? 500).json({ error: error.message });
  });
  return app;
}
