// The gateway: login through the provider, tokens into the session, and a page that shows where everything lies.
//
// Every handler is `async` and returns its reply. Behind a store that answers later, an `async` handler that calls `reply.send()` or
// `reply.redirect()` without returning it dies with ERR_HTTP_HEADERS_SENT.

import { createHash, randomBytes } from 'node:crypto';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { type DynamoDBSessionStore, type SealedStore, SessionStoreError } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyReply, type FastifyRequest } from 'fastify';
import { callsRoutes } from './calls.ts';
import { deviceOf, devicesOf, nameOf } from './devices.ts';
import { bearerPage, type Frame, problemPage, restartingPage, sendPage, signedInPage, signedOutPage } from './page.ts';
import { PretendProvider, type TokenAnswer } from './provider.ts';
import { type ServiceId, scopes } from './services.ts';
import type { Place } from './settings.ts';

/** One connected service. */
export interface Connection {
  account: string;
  scope: string;
  accessToken: string;
  refreshToken: string;
  expiresAt: string;
}

export interface User {
  name: string;
  email: string;
}

declare module 'fastify' {
  interface Session {
    /** The `state` of a login that is under way. */
    pendingState?: string;
    user?: User;
    /** Where and when the user signed in, for the list of the user's sessions. */
    device?: string;
    signedInAt?: string;
    connections?: Partial<Record<ServiceId, Connection>>;
  }
}

/** A login that is under way, kept under its `state`. */
export interface PendingLogin {
  /** What proves to the provider that the code was asked for by this login (PKCE, RFC 7636). */
  verifier: string;
}

/** What a bearer token stands for, kept under the token. */
export interface Bearer {
  sessionId: string;
}

export interface GatewayOptions {
  store: DynamoDBSessionStore;
  pendingLogins: SealedStore<PendingLogin>;
  bearers: SealedStore<Bearer>;
  /** Signs the cookie; at least 32 characters. */
  cookieSecret: string;
  /** Where the sessions lie, for the page. */
  place: Place;
  /** Ends the process as a crash would. Default: SIGKILL to itself. */
  crash?: () => void;
}

export const COOKIE_NAME = 'gateway.sid';
const CLIENT_ID = 'mcp-gateway';
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

/** Builds the application; it listens to nothing yet. */
export async function buildGateway(options: GatewayOptions): Promise<FastifyInstance> {
  const app = Fastify();
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(String(body))));
  });
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(async (_request, reply) =>
    sendPage(reply, 404, problemPage('There is no such page', 'The start page has everything.')),
  );

  const provider = new PretendProvider(CLIENT_ID);
  await app.register(provider.routes, { prefix: '/oauth' });
  const startedAt = new Date(Date.now() - process.uptime() * 1000);
  const frame = { process: { pid: process.pid, startedAt }, place: options.place };
  await app.register(callsRoutes(frame), { prefix: '/calls' });
  await app.register(gatewayRoutes(options, provider, frame));
  return app;
}

function gatewayRoutes(options: GatewayOptions, provider: PretendProvider, frame: Frame): FastifyPluginAsync {
  const { store, pendingLogins, bearers, crash = () => process.kill(process.pid, 'SIGKILL') } = options;

  /** The session behind the bearer token of a request; `null` if it has none, or an unknown one. */
  async function bearerSession(request: FastifyRequest) {
    const [, token] = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '') ?? [];
    const bearer = token === undefined ? null : await bearers.get(token);
    return bearer && store.get(bearer.sessionId);
  }

  return async (app) => {
    app.get('/ready', async (_request, reply) => {
      await store.ping({ keys: false }); // sessions whose data key is cached are served without KMS
      return reply.send({ ready: true, pid: process.pid });
    });

    await app.register(fastifyCookie);
    await app.register(fastifySession, {
      store,
      secret: options.cookieSecret,
      cookieName: COOKIE_NAME,
      cookie: { maxAge: WEEK_MS, httpOnly: true, sameSite: 'lax', secure: 'auto', path: '/' },
      saveUninitialized: false, // visitors who do not log in leave no trace in the table
      rolling: false, // a request that changes nothing writes nothing
    });

    app.get<{ Querystring: { notice?: string } }>('/', async (request, reply) => {
      const { user, connections, sessionId } = request.session;
      if (!user || !connections) {
        return sendPage(reply, 200, signedOutPage({ ...frame, notice: request.query.notice }));
      }
      const record = await store.record(sessionId);
      const cookie = { name: COOKIE_NAME, value: request.cookies[COOKIE_NAME] ?? '' };
      const session = JSON.parse(JSON.stringify(request.session));
      const devices = await devicesOf(store, user.email, sessionId);
      const view = { ...frame, user, connections, cookie, session, record, devices };
      return sendPage(reply, 200, signedInPage(view));
    });

    app.get('/me', async (request, reply) => {
      const { user, connections } = (await bearerSession(request)) ?? request.session;
      if (!user) return reply.code(401).send({ error: 'not signed in' });
      return reply.header('cache-control', 'no-store').send({ user, connections: describe(connections ?? {}) });
    });

    app.get<{ Querystring: { service?: string } }>('/login', async (request, reply) => {
      const [state, verifier] = [randomToken(), randomToken()];
      request.session.pendingState = state; // the login belongs to this browser
      await request.session.save();
      await pendingLogins.put(state, { verifier });
      const query = new URLSearchParams({
        client_id: CLIENT_ID,
        redirect_uri: callbackAddress(request),
        state,
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
        scope: Object.keys(scopes).join(' '),
        ...(request.query.service ? { service: request.query.service } : {}),
      });
      return reply.redirect(`/oauth/authorize?${query}`, 303);
    });

    app.get<{ Querystring: { state?: string; code?: string; error?: string } }>('/callback', async (request, reply) => {
      const { state, code, error } = request.query;
      const expected = request.session.pendingState;
      // Works once, even if two requests bring the same state to two servers.
      const pending = expected !== undefined && state === expected ? await pendingLogins.take(state) : null;
      if (!pending) {
        const text = 'The answer of the provider does not belong to a login that this browser started. Start again.';
        return sendPage(reply, 400, problemPage('That login is not yours', text));
      }
      delete request.session.pendingState;
      if (error || !code) {
        await request.session.save();
        return reply.redirect('/?notice=denied', 303);
      }
      const answer = await provider.exchangeCode(code, CLIENT_ID, callbackAddress(request), pending.verifier).catch(() => null);
      if (!answer) {
        await request.session.save();
        return sendPage(reply, 400, problemPage('The provider refused', 'The code was already used or is too old. Start again.'));
      }
      // A session that gains power gets a new id, so an id that somebody planted in this browser before is worth nothing.
      await request.session.regenerate(['connections']);
      request.session.user = answer.user; // the store lists the session under this user
      request.session.device = deviceOf(request.headers['user-agent']);
      request.session.signedInAt = new Date().toISOString();
      request.session.connections = { ...request.session.connections, [answer.service]: connection(answer) };
      await request.session.save();
      return reply.redirect('/', 303);
    });

    app.post('/refresh', { preHandler: signedInOnly }, async (request, reply) => {
      const { session } = request;
      // A refresh token works once. However many requests and servers find the same old access token, one refreshes it.
      for (const [service, { accessToken }] of entries(session.connections ?? {})) {
        await store.refresh(session, {
          name: service,
          isFresh: ({ connections }) => connections?.[service]?.accessToken !== accessToken,
          refresh: async ({ connections }) => {
            const { scope, refreshToken } = connections[service];
            connections[service] = connection(await provider.refresh(service, scope, refreshToken));
          },
        });
      }
      return reply.redirect('/', 303);
    });

    app.post('/touch', { preHandler: signedInOnly }, async (request, reply) => {
      const { session } = request;
      session.touch(); // moves cookie.expires
      await store.touch(session.sessionId, session); // moves ttl, and leaves the sealed content alone
      reply.setCookie(COOKIE_NAME, session.encryptedSessionId, {
        path: '/',
        httpOnly: true,
        sameSite: 'lax',
        secure: 'auto',
        ...expires(session.cookie.expires),
      });
      return reply.redirect('/', 303);
    });

    // For a client without a cookie, such as an MCP client. The token ends with the session, or after an hour.
    app.post('/bearer', { preHandler: signedInOnly }, async (request, reply) => {
      const token = randomToken();
      await bearers.put(token, { sessionId: request.session.sessionId });
      const accepts = request.headers.accept ?? '';
      if (!accepts.includes('text/html')) return reply.header('cache-control', 'no-store').send({ token });
      return sendPage(reply, 200, bearerPage(`${request.protocol}://${request.host}/me`, token));
    });

    app.post<{ Params: { name: string } }>('/sessions/:name/end', { preHandler: signedInOnly }, async (request, reply) => {
      const { user, sessionId } = request.session;
      // Among the user's own sessions, so that nobody ends the session of somebody else.
      const sessions = await store.sessionsOf(user!.email);
      const ending = sessions.find(({ id }) => id !== sessionId && nameOf(id) === request.params.name);
      if (ending) await store.destroy(ending.id);
      return reply.redirect('/', 303);
    });

    // A real gateway also does this when a password has changed, after it has stored the new one.
    app.post('/sessions/end-others', { preHandler: signedInOnly }, async (request, reply) => {
      const { user, sessionId } = request.session;
      await store.destroyAllOf(user!.email, { except: sessionId });
      return reply.redirect('/', 303);
    });

    app.post('/logout', async (request, reply) => {
      await request.session.destroy();
      return reply.clearCookie(COOKIE_NAME, { path: '/' }).redirect('/?notice=signed-out', 303);
    });

    app.post('/crash', { preHandler: signedInOnly }, async (_request, reply) => {
      reply.raw.once('finish', crash);
      return sendPage(reply, 200, restartingPage());
    });
  };
}

function randomToken(): string {
  return randomBytes(24).toString('base64url');
}

async function signedInOnly(request: FastifyRequest, reply: FastifyReply) {
  if (!request.session.user) return reply.redirect('/', 303);
}

function callbackAddress(request: FastifyRequest): string {
  return `${request.protocol}://${request.host}/callback`; // the provider refuses hosts that are not this machine
}

function connection({ account, scope, accessToken, refreshToken, expiresInSeconds }: TokenAnswer): Connection {
  return { account, scope, accessToken, refreshToken, expiresAt: new Date(Date.now() + expiresInSeconds * 1000).toISOString() };
}

function entries(connections: Partial<Record<ServiceId, Connection>>): [ServiceId, Connection][] {
  return Object.entries(connections) as [ServiceId, Connection][];
}

function expires(date: Date | null | undefined) {
  return date ? { expires: date } : {};
}

/** The connections without their tokens: a fingerprint tells whether a token changed and nothing else. */
function describe(connections: Partial<Record<ServiceId, Connection>>) {
  return entries(connections).map(([service, { accessToken, refreshToken, ...rest }]) => ({
    service,
    ...rest,
    accessTokenFingerprint: fingerprint(accessToken),
    refreshTokenFingerprint: fingerprint(refreshToken),
  }));
}

function fingerprint(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 16);
}

/** An outage of the store is not a logout: the visitor keeps the cookie and is asked to try again. */
async function answerError(error: Error & { statusCode?: number }, _request: FastifyRequest, reply: FastifyReply) {
  if (error instanceof SessionStoreError) {
    // The store has logged it.
    if (error.retryable) reply.header('retry-after', '2');
    const text = `${error.code}. You are not signed out; ${error.retryable ? 'try again in a moment.' : 'the terminal says what to do.'}`;
    return sendPage(reply, error.statusCode, problemPage('The session store does not answer', text));
  }
  const status = error.statusCode ?? 500;
  if (status >= 500) console.error(error);
  return sendPage(reply, status, problemPage('That did not work', status < 500 ? error.message : 'The terminal says why.'));
}
