// Requests that work on one session step by step, so that a test decides what happens between two steps: of an application that calls the store
// itself, and of the real express-session and @fastify/session, without sockets.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import expressSession from 'express-session';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { ObservedStore } from './observed-store.ts';

export type Caller = 'plain' | 'express' | 'fastify';

export interface GatewaySettings {
  /** The cookie's lifetime in milliseconds; `null` for one that ends with the browser. */
  maxAge: number | null;
  /** Whether @fastify/session saves after every request. */
  rolling: boolean;
  /** Whether express-session saves after every request. */
  resave: boolean;
  newId: () => string;
}

/** One request. Every step resolves when all that it asked of the store is done. */
export interface SimulatedRequest {
  /** The session that it works on, as its application sees it. */
  readonly session: any;
  /** The id of that session. */
  readonly sid: string;
  load(sid: string): Promise<void>;
  save(): Promise<void>;
  touch(): Promise<void>;
  reload(): Promise<void>;
  regenerate(): Promise<void>;
  destroy(): Promise<void>;
  /** Starts a session where there is none. */
  begin(): void;
  end(how: 'set' | 'touch' | 'nothing'): Promise<void>;
}

const COOKIE = 'sid';
const SECRET = 'the secret that signs the cookies of the tests';

/** Everything that either framework keeps of a cookie, so that each may read what the other has written. */
function newCookie(maxAge: number | null): object {
  const expires = maxAge === null ? null : new Date(Date.now() + maxAge);
  return { originalMaxAge: maxAge, expires, secure: false, httpOnly: true, path: '/' };
}

/** A refusal is checked where it comes from. */
async function allowingConflict(saved: Promise<unknown>): Promise<void> {
  await saved.catch((error) => assert.equal(error.code, 'ERR_CONFLICT'));
}

function called(call: (callback: (error?: any) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => call((error) => (error ? reject(error) : resolve())));
}

/** One instance of an application, on a store. */
export class Gateway {
  readonly observed: ObservedStore;
  readonly settings: GatewaySettings;
  readonly #express: (request: any, response: any, next: (error?: any) => void) => void;
  #fastify: FastifyInstance | undefined;

  constructor(observed: ObservedStore, settings: GatewaySettings) {
    this.observed = observed;
    this.settings = settings;
    const { maxAge, resave, newId } = settings;
    this.#express = expressSession({
      store: observed.store as any,
      secret: SECRET,
      name: COOKIE,
      cookie: { maxAge: maxAge ?? undefined, secure: false },
      saveUninitialized: false,
      resave,
      genid: newId,
    }) as any;
  }

  request(caller: Caller): SimulatedRequest {
    if (caller === 'plain') return new PlainRequest(this.observed, this.settings);
    if (caller === 'express') return new ExpressRequest(this.#express);
    this.#fastify ??= this.#fastifyApp();
    return new FastifySessionRequest(this.observed, this.#fastify);
  }

  async close(): Promise<void> {
    await this.#fastify?.close();
  }

  #fastifyApp(): FastifyInstance {
    const { maxAge, rolling, newId } = this.settings;
    const app = Fastify();
    app.register(fastifyCookie);
    app.register(fastifySession, {
      store: this.observed.store,
      // A signer that signs nothing, so that the test knows the cookie of any id.
      secret: { sign: (sid: string) => sid, unsign: (value: string) => ({ valid: true, renew: false, value }) },
      cookieName: COOKIE,
      cookie: { secure: false, maxAge: maxAge ?? undefined, path: '/' },
      saveUninitialized: false,
      rolling,
      idGenerator: newId,
    });
    app.register(async (routes) => {
      routes.get('/', async (request) => {
        await FastifySessionRequest.of(request).handle(request);
        return {};
      });
    });
    return app;
  }
}

class PlainRequest implements SimulatedRequest {
  session: any = null;
  sid = '';
  readonly #observed: ObservedStore;
  readonly #settings: GatewaySettings;

  constructor(observed: ObservedStore, settings: GatewaySettings) {
    this.#observed = observed;
    this.#settings = settings;
  }

  async load(sid: string): Promise<void> {
    this.sid = sid;
    this.session = await this.#observed.store.get(sid);
  }

  begin(): void {
    this.session = { cookie: newCookie(this.#settings.maxAge) };
  }

  async save(): Promise<void> {
    if (this.session) await allowingConflict(this.#observed.store.set(this.sid, this.session));
  }

  async touch(): Promise<void> {
    if (this.session) await allowingConflict(called((callback) => this.#observed.store.touch(this.sid, this.session, callback)));
  }

  async reload(): Promise<void> {
    this.session = await this.#observed.store.get(this.sid);
  }

  async regenerate(): Promise<void> {
    if (!this.session) return;
    await this.destroy();
    this.session = { ...this.session, cookie: newCookie(this.#settings.maxAge) };
    this.sid = this.#settings.newId();
    await this.save();
  }

  /** It still holds the session, as a slow request does. */
  async destroy(): Promise<void> {
    await called((callback) => this.#observed.store.destroy(this.sid, callback));
  }

  async end(how: 'set' | 'touch' | 'nothing'): Promise<void> {
    if (how === 'set') await this.save();
    if (how === 'touch') await this.touch();
  }
}

class ExpressRequest implements SimulatedRequest {
  readonly #request: any = Object.assign(new IncomingMessage(new Socket()), { url: '/', originalUrl: '/' });
  readonly #response = new ServerResponse(this.#request);
  readonly #middleware: (request: any, response: any, next: (error?: any) => void) => void;
  readonly #ended: Promise<void>;

  constructor(middleware: (request: any, response: any, next: (error?: any) => void) => void) {
    this.#middleware = middleware;
    this.#ended = new Promise((resolve) => {
      this.#response.end = () => {
        resolve();
        return this.#response;
      };
    });
  }

  get session(): any {
    return this.#request.session ?? null;
  }

  get sid(): string {
    return this.#request.sessionID;
  }

  async load(sid: string): Promise<void> {
    const signature = createHmac('sha256', SECRET).update(sid).digest('base64').replace(/=+$/, '');
    this.#request.headers.cookie = `${COOKIE}=${encodeURIComponent(`s:${sid}.${signature}`)}`;
    // An error at the end of the request comes here a second time; the store's answer has been checked by then.
    await called((next) => this.#middleware(this.#request, this.#response, next));
  }

  /** The middleware has begun one. */
  begin(): void {}

  async save(): Promise<void> {
    if (this.session) await allowingConflict(called((callback) => this.session.save(callback)));
  }

  async touch(): Promise<void> {
    this.session?.touch();
  }

  async reload(): Promise<void> {
    // It fails if the session is gone, and the request keeps the one that it has.
    await called((callback) => this.session.reload(callback)).catch((error) => assert.match(error.message, /failed to load/));
  }

  async regenerate(): Promise<void> {
    await called((callback) => this.session.regenerate(callback));
  }

  async destroy(): Promise<void> {
    await called((callback) => this.session.destroy(callback));
  }

  async end(): Promise<void> {
    this.#response.end();
    await this.#ended;
  }
}

class FastifySessionRequest implements SimulatedRequest {
  static readonly #handled = new Map<string, FastifySessionRequest>();
  static #count = 0;

  readonly #observed: ObservedStore;
  readonly #app: FastifyInstance;
  readonly #name = `request-${++FastifySessionRequest.#count}`;
  #request: FastifyRequest | undefined;
  #answered: Promise<unknown> | undefined;
  #finish = () => {};
  #loaded = (_request: FastifyRequest) => {};

  constructor(observed: ObservedStore, app: FastifyInstance) {
    this.#observed = observed;
    this.#app = app;
    FastifySessionRequest.#handled.set(this.#name, this);
  }

  static of(request: FastifyRequest): FastifySessionRequest {
    return FastifySessionRequest.#handled.get(String(request.headers['x-request']))!;
  }

  get session(): any {
    return this.#request?.session ?? null;
  }

  get sid(): string {
    return this.session?.sessionId ?? '';
  }

  /** In the route: hands the request out, and waits for its end. */
  async handle(request: FastifyRequest): Promise<void> {
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve;
    });
    this.#loaded(request);
    await finished;
  }

  async load(sid: string): Promise<void> {
    const loaded = new Promise<FastifyRequest>((resolve) => {
      this.#loaded = resolve;
    });
    const reply = this.#app.inject({ url: '/', headers: { 'x-request': this.#name }, cookies: { [COOKIE]: sid } });
    this.#answered = reply;
    const refused = reply.then(({ statusCode, body }) => assert.fail(`no handler ran: ${statusCode} ${body}`));
    refused.catch(() => {});
    this.#request = await Promise.race([loaded, refused]);
    if (this.sid === sid) this.#observed.copied(sid, this.session);
  }

  begin(): void {}

  async save(): Promise<void> {
    if (this.session) await allowingConflict(this.session.save());
  }

  async touch(): Promise<void> {
    this.session?.touch();
  }

  async reload(): Promise<void> {
    const { sid, session } = this;
    await session.reload();
    this.#observed.copied(sid, this.session, session);
  }

  async regenerate(): Promise<void> {
    await this.session.regenerate(['user']);
  }

  async destroy(): Promise<void> {
    await this.session.destroy();
  }

  async end(): Promise<void> {
    this.#finish();
    await this.#answered;
    FastifySessionRequest.#handled.delete(this.#name);
  }
}
