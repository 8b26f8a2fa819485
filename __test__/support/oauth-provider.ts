// A pretend OAuth server with rotating refresh tokens. Whoever presents a refresh token a second time loses the whole family, as RFC 9700 (section 4.14.2) asks.

import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { type Listening, startHttp } from './http-server.ts';
import { Stops } from './stops.ts';

export interface Tokens {
  access: string;
  refresh: string;
  /** Epoch milliseconds. */
  expires: number;
}

interface Family {
  current: string;
  used: Set<string>;
  revoked: boolean;
}

export class OauthProvider {
  /** Refresh token to its family. */
  readonly #families = new Map<string, Family>();
  readonly #stops = new Stops();
  readonly #held: { request?: string; answer?: string } = {};
  #holds = 0;
  #failures = 0;
  #server!: Listening;
  /** How many milliseconds a new token lives. */
  lifetime = 3_600_000;
  /** How many requests for new tokens came. */
  requests = 0;
  /** How many of them got new tokens. */
  refreshes = 0;
  /** How many families were revoked because one of their tokens came again. */
  revoked = 0;

  static async start(t: TestContext): Promise<OauthProvider> {
    const provider = new OauthProvider();
    provider.#server = await startHttp(async (request, response) => {
      const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
      provider.requests++;
      await provider.#stop('request');
      const [status, body] = provider.#answer(form.get('refresh_token') ?? '');
      await provider.#stop('answer');
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    t.after(() => provider.#server.close());
    return provider;
  }

  get url(): string {
    return this.#server.url;
  }

  /** The tokens of a login; the access token has run out so many milliseconds ago. */
  login(ago = 1000): Tokens {
    const family: Family = { current: '', used: new Set(), revoked: false };
    return { ...this.#issue(family), expires: Date.now() - ago };
  }

  /** The next request stops there: before the provider sees it, or when the tokens are rotated and nobody knows the new ones. */
  hold(where: 'request' | 'answer'): { reached: Promise<void>; pass: () => void } {
    const name = `${++this.#holds}`;
    this.#held[where] = name;
    return { reached: this.#stops.reached(name), pass: () => this.#stops.pass(name) };
  }

  /** The next requests are answered with status 503. */
  fail(times: number): void {
    this.#failures = times;
  }

  /** Whether this refresh token would be taken. */
  takes(token: string): boolean {
    const family = this.#families.get(token);
    return family !== undefined && !family.revoked && family.current === token;
  }

  #answer(token: string): [number, object] {
    if (this.#failures > 0) {
      this.#failures--;
      return [503, { error: 'temporarily_unavailable' }];
    }
    const family = this.#families.get(token);
    if (family?.used.has(token) && !family.revoked) {
      family.revoked = true;
      this.revoked++;
    }
    if (!family || family.revoked) return [400, { error: 'invalid_grant' }];
    family.used.add(token);
    this.refreshes++;
    return [200, this.#issue(family)];
  }

  #issue(family: Family): Tokens {
    const [access, refresh] = ['access', 'refresh'].map((kind) => `${kind}-${randomBytes(8).toString('hex')}`);
    family.current = refresh;
    this.#families.set(refresh, family);
    return { access, refresh, expires: Date.now() + this.lifetime };
  }

  async #stop(where: 'request' | 'answer'): Promise<void> {
    const name = this.#held[where];
    delete this.#held[where];
    if (name !== undefined) await this.#stops.stop(name);
  }
}

/** As a gateway asks for new tokens. */
export async function renew(url: string, { refresh }: Tokens, signal?: AbortSignal): Promise<Tokens> {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refresh });
  const reply = await fetch(url, { method: 'POST', body, signal });
  const answer: any = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

/** The options of `refresh` for the tokens of this provider; `now` tells the time. */
export function renewing(url: string, now = Date.now) {
  return {
    isFresh: ({ tokens }: any) => tokens.expires > now(),
    refresh: async (session: any, signal: AbortSignal) => {
      session.tokens = await renew(url, session.tokens, signal);
    },
  };
}
