// A day of one user with five devices, played over HTTP on an application that keeps OAuth tokens in its sessions.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mock } from 'node:test';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import express, { type Express } from 'express';
import session from 'express-session';
import Fastify, { type FastifyInstance } from 'fastify';
import { Browser } from './browser.ts';
import { turnKeys } from './key-clock.ts';

declare module 'express-session' {
  interface SessionData {
    google: ReturnType<typeof google>;
  }
}

declare module 'fastify' {
  interface Session {
    google?: ReturnType<typeof google>;
  }
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const WEEK = 7 * 24 * HOUR;
const SECRET = 'the secret that signs the cookies of the tests';

const DEVICES = 5;
const VISITS = 8;
const REQUESTS_A_VISIT = 5;
const LOGOUTS = 2;

/** A text of so many characters that no one can compress. */
function opaque(name: string, length: number): string {
  return createHash('shake256', { outputLength: length }).update(name).digest('base64url').slice(0, length);
}

/** Tokens as Google gives them; they change with every refresh, and stay as long. */
function google(refresh: number) {
  return {
    access_token: `ya29.${opaque(`access ${refresh}`, 213)}`,
    refresh_token: `1//${opaque('refresh', 100)}`,
    id_token: opaque(`identity ${refresh}`, 1256),
    scope: 'openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/calendar.readonly',
    expires_at: 1_893_459_600_000 + refresh,
    refresh,
  };
}

/** What the login leaves in the session; with express-session's cookie 2,200 bytes of JSON. */
function signedIn() {
  return {
    user: { id: '117592160283446193007', name: 'Ada Lovelace', email: 'ada.lovelace@example.com', locale: 'en' },
    csrf: opaque('csrf', 43),
    google: google(0),
    slack: { team: 'T024BE7LD', user: 'U023BECGF', access_token: `xoxp-${opaque('slack', 72)}` },
  };
}

export function expressApp(store: session.Store): Express {
  const app = express();
  app.use(session({ store, secret: SECRET, resave: false, saveUninitialized: false, rolling: true, cookie: { maxAge: WEEK } }));
  app.post('/login', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error);
      Object.assign(req.session, signedIn());
      res.json({});
    });
  });
  app.get('/tokens', ({ session: { google } }, res) => void res.status(google ? 200 : 401).json(google ?? {}));
  app.post('/refresh', ({ session }, res) => {
    session.google = google(session.google!.refresh + 1);
    res.json({});
  });
  app.post('/logout', (req, res, next) => req.session.destroy((error) => (error ? next(error) : res.json({}))));
  return app;
}

export async function fastifyApp(store: DynamoDBSessionStore): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    store,
    secret: SECRET,
    saveUninitialized: false,
    cookie: { secure: false, maxAge: WEEK, path: '/' },
  });
  app.post('/login', async (request) => {
    await request.session.regenerate();
    Object.assign(request.session, signedIn());
    return {};
  });
  app.get('/tokens', async ({ session }, reply) => (session.google ? session.google : reply.code(401).send({})));
  app.post('/refresh', async ({ session }) => {
    session.google = google(session.google!.refresh + 1);
    return {};
  });
  app.post('/logout', async ({ session }) => {
    await session.destroy();
    return {};
  });
  return app;
}

/** What each request of a device does: a login at first, a refresh of the tokens in every other visit, here and there a logout at last. */
function path(device: number, visit: number, request: number): '/login' | '/refresh' | '/logout' | '/tokens' {
  if (visit === 0 && request === 0) return '/login';
  if (visit % 2 === 0 && request === 2) return '/refresh';
  if (visit === VISITS - 1 && request === REQUESTS_A_VISIT - 1 && device < LOGOUTS) return '/logout';
  return '/tokens';
}

/**
 * Plays the day on a clock that only it turns: visits an hour apart, the devices' ten minutes from each other, their requests twenty seconds.
 * @param settled resolves when what a request began in the background is done, as it is after twenty seconds.
 * @returns the browsers of the devices, and how often each path was asked for.
 */
export async function playDay(
  origin: string,
  start: number,
  settled: () => Promise<void>,
): Promise<{ browsers: Browser[]; requests: Record<string, number> }> {
  const browsers = Array.from({ length: DEVICES }, () => new Browser(origin));
  const refreshes = browsers.map(() => 0);
  const requests: Record<string, number> = {};
  for (let visit = 0; visit < VISITS; visit++) {
    for (const [device, browser] of browsers.entries()) {
      for (let request = 0; request < REQUESTS_A_VISIT; request++) {
        const now = start + visit * HOUR + device * 10 * MINUTE + request * 20 * SECOND;
        turnKeys((now - Date.now()) / SECOND);
        mock.timers.setTime(now);
        const asked = path(device, visit, request);
        const { status, body } = await (asked === '/tokens' ? browser.get(asked) : browser.post(asked));
        await settled();
        assert.equal(status, 200, `${asked} of device ${device} in visit ${visit}`);
        requests[asked] = (requests[asked] ?? 0) + 1;
        if (asked === '/refresh') refreshes[device]++;
        if (asked === '/tokens') assert.deepEqual(body, google(refreshes[device]));
      }
    }
  }
  return { browsers, requests };
}

/** How many of the devices are signed in. */
export async function signedInAtLast(browsers: Browser[]): Promise<number> {
  const answers = await Promise.all(browsers.map((browser) => browser.get('/tokens')));
  return answers.filter(({ status }) => status === 200).length;
}
