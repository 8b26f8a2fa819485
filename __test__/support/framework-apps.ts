// The two gateways behind one face, with routes that wait in the middle until the test lets them go on.

import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import fastifySession, { type FastifySessionOptions } from '@fastify/session';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import type { SessionOptions } from 'express-session';
import { Browser } from './browser.ts';
import * as onExpress from './express-app.ts';
import * as onFastify from './fastify-app.ts';

/** A place in a request where it waits. For one request. */
export class Gate {
  /** Resolves when the request is there. */
  readonly reached: Promise<void>;
  #reach!: () => void;
  readonly #opened: Promise<void>;
  /** Lets the request go on. */
  open!: () => void;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
    this.#opened = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  wait(): Promise<void> {
    this.#reach();
    return this.#opened;
  }
}

/** What a slow request does with its session before and after the gate. `save` is the session's own, as a promise. */
type Slow = (session: any, gate: Gate, save: () => Promise<void>) => Promise<unknown>;

const read: Slow = async (session, gate) => {
  await gate.wait();
  return session.user;
};

const change: Slow = async (session, gate) => {
  await gate.wait();
  session.note = 'of the slow request';
};

const changeAndSave: Slow = async (session, gate, save) => {
  session.note = 'of the slow request, before';
  await save();
  await gate.wait();
};

const saveTwice: Slow = async (session, gate, save) => {
  await gate.wait();
  session.note = 'of the slow request';
  await save();
  session.note = 'of the slow request, again';
  await save();
};

const saveUnchanged: Slow = async (_session, gate, save) => {
  await gate.wait();
  await save();
};

/** The slow requests, `POST /slow/NAME`, by what they do. */
export const slowRequests = { read, saveUnchanged, change, changeAndSave, saveTwice };
export type SlowRequest = keyof typeof slowRequests;

export interface Served {
  readonly origin: string;
  /** Where the slow request waits. */
  readonly gate: Gate;
}

export interface Framework {
  readonly name: string;
  /** Starts the application; the end of the test stops it. */
  serve(t: TestContext, store: DynamoDBSessionStore, options?: object): Promise<Served>;
}

function slowRequest(name: string): Slow {
  return slowRequests[name as SlowRequest];
}

async function serveFastify(
  t: TestContext,
  store: DynamoDBSessionStore,
  options: Partial<FastifySessionOptions>,
  plugin = fastifySession,
) {
  const app = await onFastify.fastifyApp(store, options, plugin);
  const gate = new Gate();
  app.post<{ Params: { name: string } }>('/slow/:name', async ({ session, params }) => {
    await slowRequest(params.name)(session, gate, () => session.save());
    return {};
  });
  app.post<{ Params: { milliseconds: string } }>('/max-age/:milliseconds', async ({ session, params }) => {
    session.cookie.maxAge = Number(params.milliseconds);
    return {};
  });
  app.post<{ Params: { milliseconds: string } }>('/note-and-max-age/:milliseconds', async ({ session, params }) => {
    session.note = 'the newer one';
    session.cookie.maxAge = Number(params.milliseconds);
    return {};
  });
  app.post('/note-and-same-site', async ({ session }) => {
    session.note = 'the newer one';
    session.cookie.sameSite = 'strict';
    return {};
  });
  app.post('/save-alone', async ({ session }) => {
    session.note = 'saved in the middle';
    await session.save();
    return {};
  });
  app.post('/slow-reload', async (request) => {
    await gate.wait();
    await request.session.reload();
    return { user: request.session.user };
  });
  t.after(() => app.close());
  return { origin: await onFastify.listen(app), gate };
}

async function serveExpress(t: TestContext, store: DynamoDBSessionStore, options: Partial<SessionOptions>) {
  const app = onExpress.expressApp(store, options);
  const gate = new Gate();
  const save = (session: any) => promisify((callback: (error?: unknown) => void) => session.save(callback))();
  app.post('/slow/:name', async ({ session, params }, res) => {
    await slowRequest(params.name)(session, gate, () => save(session));
    res.json({});
  });
  app.post('/note-and-max-age/:milliseconds', ({ session, params }, res) => {
    session.note = 'the newer one';
    session.cookie.maxAge = Number(params.milliseconds);
    res.json({});
  });
  app.post('/note-and-same-site', ({ session }, res) => {
    session.note = 'the newer one';
    session.cookie.sameSite = 'strict';
    res.json({});
  });
  app.post('/save-alone', async ({ session }, res) => {
    session.note = 'saved in the middle';
    await save(session);
    res.json({});
  });
  const { origin, close } = await onExpress.listen(app);
  t.after(close);
  return { origin, gate };
}

export const fastify: Framework = {
  name: 'Fastify',
  serve: (t, store, options = {}) => serveFastify(t, store, options),
};

// Without its types, which declare the same session another time.
const { default: earlierFastifySession } = (await import('fastify-session-11.1.1' as string)) as {
  default: typeof fastifySession;
};

/** Its sessions keep nothing of the cookie that they were loaded with. */
export const earlierFastify: Framework = {
  name: 'Fastify with @fastify/session 11.1.1',
  serve: (t, store, options = {}) => serveFastify(t, store, options, earlierFastifySession),
};

/** Express with `resave` as given. */
export function expressWith(resave: boolean): Framework {
  return {
    name: `Express with resave ${resave}`,
    serve: (t, store, options = {}) => serveExpress(t, store, { resave, ...options }),
  };
}

export const frameworks: Framework[] = [fastify, expressWith(false), expressWith(true)];

/** The same person at another address: a browser with the same cookies. */
export function sameBrowser({ cookies }: Browser, origin: string): Browser {
  const browser = new Browser(origin);
  for (const [name, value] of cookies) browser.cookies.set(name, value);
  return browser;
}
