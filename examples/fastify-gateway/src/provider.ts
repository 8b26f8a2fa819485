// A pretend OAuth provider, so that the example runs without accounts anywhere: the consent page at /oauth/authorize, and the
// token endpoint as two functions. A real gateway would call Google, HubSpot or Slack here and keep the rest as it is.

import { createHash, randomBytes } from 'node:crypto';
import type { FastifyPluginAsync } from 'fastify';
import { consentPage, problemPage, sendPage } from './page.ts';
import { isServiceId, type ServiceId, services } from './services.ts';

/** What the token endpoint answers. */
export interface TokenAnswer {
  service: ServiceId;
  user: { name: string; email: string };
  account: string;
  scope: string;
  accessToken: string;
  refreshToken: string;
  expiresInSeconds: number;
}

/** What a client sends to the consent page in the query. */
export interface AuthorizeQuery {
  client_id: string;
  redirect_uri: string;
  state: string;
  scope: string;
  code_challenge: string;
  code_challenge_method: 'S256';
  service?: string;
}

interface Grant {
  service: ServiceId;
  clientId: string;
  redirectUri: string;
  scope: string;
  challenge: string;
  validUntil: number;
}

const CODE_LIFE_MS = 60_000;
const TOKEN_LIFE_SECONDS = 3600;

const authorizeQuery = {
  type: 'object',
  required: ['client_id', 'redirect_uri', 'state', 'scope', 'code_challenge', 'code_challenge_method'],
  properties: {
    client_id: { type: 'string', minLength: 1 },
    redirect_uri: { type: 'string' },
    state: { type: 'string', minLength: 1 },
    scope: { type: 'string' },
    code_challenge: { type: 'string', minLength: 43 },
    code_challenge_method: { const: 'S256' },
    service: { type: 'string' },
  },
} as const;

const decision = {
  type: 'object',
  required: ['decision'],
  properties: { decision: { enum: ['allow', 'deny'] }, service: { enum: Object.keys(services) } },
} as const;

/** The provider: one client, one user, codes that live for a minute in memory, and refresh tokens that work once. */
export class PretendProvider {
  readonly #clientId: string;
  readonly #grants = new Map<string, Grant>();
  readonly #used = new Set<string>();

  constructor(clientId: string) {
    this.#clientId = clientId;
  }

  /** The consent page and its form, as a Fastify plugin for the prefix `/oauth`. It has no session: it is another site. */
  readonly routes: FastifyPluginAsync = async (app) => {
    app.get<{ Querystring: AuthorizeQuery }>(
      '/authorize',
      { schema: { querystring: authorizeQuery } },
      async (request, reply) => {
        if (!this.#knows(request.query)) return refuse(reply);
        const chosen = isServiceId(request.query.service) ? request.query.service : 'google';
        return sendPage(reply, 200, consentPage(request.query, chosen));
      },
    );

    app.post<{ Querystring: AuthorizeQuery; Body: { decision: 'allow' | 'deny'; service?: ServiceId } }>(
      '/authorize',
      { schema: { querystring: authorizeQuery, body: decision } },
      async (request, reply) => {
        const { client_id: clientId, redirect_uri: redirectUri, state, scope, code_challenge: challenge } = request.query;
        if (!this.#knows(request.query)) return refuse(reply);
        const back = new URL(redirectUri);
        back.searchParams.set('state', state);
        if (request.body.decision === 'allow' && request.body.service) {
          back.searchParams.set('code', this.#grant({ service: request.body.service, clientId, redirectUri, scope, challenge }));
        } else {
          back.searchParams.set('error', 'access_denied');
        }
        return reply.redirect(back.href, 303);
      },
    );
  };

  /** The token endpoint, `grant_type=authorization_code`: a code works once, for the client, address and login it was made for. */
  async exchangeCode(code: string, clientId: string, redirectUri: string, verifier: string): Promise<TokenAnswer> {
    const grant = this.#grants.get(code);
    this.#grants.delete(code);
    const challenge = createHash('sha256').update(verifier).digest('base64url');
    const isTheirs = grant?.clientId === clientId && grant.redirectUri === redirectUri && grant.challenge === challenge;
    if (!grant || !isTheirs || grant.validUntil < Date.now()) throw new Error('invalid_grant');
    return tokens(grant.service, grant.scope, newToken(grant.service, 'refresh'));
  }

  /** The token endpoint, `grant_type=refresh_token`: a refresh token works once, and is answered with the next one (RFC 9700). */
  async refresh(service: ServiceId, scope: string, refreshToken: string): Promise<TokenAnswer> {
    // It knows only the used ones, so that tokens from before a restart still work.
    const isKnown = refreshToken.startsWith(`${service}_refresh_`) && !this.#used.has(refreshToken);
    if (!isKnown) throw new Error('invalid_grant');
    this.#used.add(refreshToken);
    return tokens(service, scope, newToken(service, 'refresh'));
  }

  /** A client may only be sent back to an address registered for it: here, the callback on this machine at any port. */
  #knows({ client_id: clientId, redirect_uri: redirectUri }: AuthorizeQuery): boolean {
    if (clientId !== this.#clientId || !URL.canParse(redirectUri)) return false;
    const { protocol, hostname, pathname } = new URL(redirectUri);
    return protocol === 'http:' && ['127.0.0.1', 'localhost'].includes(hostname) && pathname === '/callback';
  }

  #grant(grant: Omit<Grant, 'validUntil'>): string {
    const now = Date.now();
    for (const [code, { validUntil }] of this.#grants) if (validUntil < now) this.#grants.delete(code);
    const code = randomBytes(24).toString('base64url');
    this.#grants.set(code, { ...grant, validUntil: now + CODE_LIFE_MS });
    return code;
  }
}

function refuse(reply: Parameters<typeof sendPage>[0]) {
  const text = 'The provider does not know this client, or not this return address.';
  return sendPage(reply, 400, problemPage('That was not a proper request', text));
}

function newToken(service: ServiceId, kind: 'access' | 'refresh'): string {
  return `${service}_${kind}_${randomBytes(30).toString('base64url')}`;
}

function tokens(service: ServiceId, scope: string, refreshToken: string): TokenAnswer {
  return {
    service,
    user: { name: 'Ada Lovelace', email: 'ada@example.com' },
    account: services[service].account,
    scope,
    accessToken: newToken(service, 'access'),
    refreshToken,
    expiresInSeconds: TOKEN_LIFE_SECONDS,
  };
}
