// The gateways of fastify-app.ts and express-app.ts with requests that change the session while the test decides in which order they end.

import type { TestContext } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import type { NextFunction, Request, Response } from 'express';
import { Browser } from './browser.ts';
import * as express from './express-app.ts';
import * as fastify from './fastify-app.ts';
import { Stops } from './stops.ts';

export interface EditingApp {
  readonly stops: Stops;
  readonly origin: string;
  /** What failed when the answer had been sent already. */
  readonly lateErrors: any[];
  /** The first of them; Express hands it on a moment after the answer. */
  readonly lateError: Promise<any>;
}

/** What a handler of an application does with its session. */
export type Work = (session: any, sid: string) => unknown;

/**
 * `/edit/NAME` stops at NAME and then sets `note` to it; `/save/NAME` saves by hand as well and answers 409 if it must not, after reading the session
 * again; `/work/NAME` does what `work` says and answers with its result.
 */
export interface Framework {
  name: string;
  start(t: TestContext, store: DynamoDBSessionStore, work?: Record<string, Work>): Promise<EditingApp>;
}

async function startFastify(t: TestContext, store: DynamoDBSessionStore, work: Record<string, Work> = {}): Promise<EditingApp> {
  const stops = new Stops();
  const app = await fastify.fastifyApp(store);
  app.post<{ Params: { name: string } }>('/edit/:name', async (request) => {
    await stops.stop(request.params.name);
    request.session.note = request.params.name;
    return {};
  });
  app.post<{ Params: { name: string } }>('/save/:name', async (request, reply) => {
    await stops.stop(request.params.name);
    request.session.note = request.params.name;
    try {
      await request.session.save();
      return {};
    } catch (error: any) {
      await request.session.reload();
      return reply.code(409).send({ code: error.code, note: request.session.note });
    }
  });
  app.post<{ Params: { name: string } }>('/work/:name', async (request) => {
    return { result: (await work[request.params.name](request.session, request.session.sessionId)) ?? null };
  });
  t.after(() => app.close());
  return { stops, origin: await fastify.listen(app), lateErrors: [], lateError: new Promise(() => {}) };
}

async function startExpress(t: TestContext, store: DynamoDBSessionStore, work: Record<string, Work> = {}): Promise<EditingApp> {
  const stops = new Stops();
  const lateErrors: any[] = [];
  let tell: (error: any) => void;
  const lateError = new Promise<any>((resolve) => {
    tell = resolve;
  });
  const app = express.expressApp(store);
  app.post('/edit/:name', async (req, res) => {
    await stops.stop(req.params.name);
    req.session.note = req.params.name;
    res.json({});
  });
  app.post('/save/:name', async (req, res, next) => {
    await stops.stop(req.params.name);
    req.session.note = req.params.name;
    req.session.save((error: any) => {
      if (!error) return res.json({});
      req.session.reload((failed) => {
        if (failed) return next(failed);
        res.status(409).json({ code: error.code, note: req.session.note });
      });
    });
  });
  app.post('/work/:name', async (req, res) => {
    res.json({ result: (await work[req.params.name](req.session, req.sessionID)) ?? null });
  });
  app.use((error: any, _req: Request, res: Response, _next: NextFunction) => {
    if (!res.headersSent) return void res.status(500).json({ code: error.code, message: error.message });
    lateErrors.push(error);
    tell(error);
  });
  const { origin, close } = await express.listen(app);
  t.after(close);
  return { stops, origin, lateErrors, lateError };
}

export const frameworks: Framework[] = [
  { name: '@fastify/session', start: startFastify },
  { name: 'express-session', start: startExpress },
];

/** The browser of one user at each of the applications, logged in. */
export async function login(...apps: EditingApp[]): Promise<Browser[]> {
  const [first, ...others] = apps.map(({ origin }) => new Browser(origin));
  await first.post('/login/ada');
  for (const browser of others) for (const [name, value] of first.cookies) browser.cookies.set(name, value);
  return [first, ...others];
}
