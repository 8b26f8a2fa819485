// Signing in and out, and pages that use the session. Handlers answer as people write them: `reply.redirect` often is not returned.

import type { FastifyInstance } from 'fastify';
import type { Runs } from '../runs.ts';

const PASSWORDS: Record<string, string> = { ada: 'lovelace', grace: 'hopper' };

export interface Credentials {
  user?: string;
  password?: string;
}

export function isRight({ user = '', password }: Credentials): boolean {
  return password !== undefined && PASSWORDS[user] === password;
}

/** A place where one request waits until another lets it go on. */
export class Slowness {
  #reached!: () => void;
  #opened!: () => void;
  reached!: Promise<void>;
  opened!: Promise<void>;

  constructor() {
    this.reset();
  }

  reset(): void {
    this.reached = new Promise((resolve) => {
      this.#reached = resolve;
    });
    this.opened = new Promise((resolve) => {
      this.#opened = resolve;
    });
  }

  wait(): Promise<void> {
    this.#reached();
    return this.opened;
  }

  end(): void {
    this.#opened();
  }
}

export async function accounts(app: FastifyInstance, runs: Runs, slowness: Slowness): Promise<void> {
  app.get('/', async () => {
    runs.count('home');
    return 'home';
  });

  app.get('/login', async ({ session }, reply) => {
    runs.count('login page');
    reply.type('text/html');
    return `<form method="post"><input type="hidden" value="${session.returnTo ?? ''}"></form>`;
  });

  app.post<{ Body: Credentials }>('/login', async (request, reply) => {
    runs.count('login');
    const { returnTo } = request.session;
    if (!isRight(request.body)) {
      reply.code(401).send({ error: 'wrong password' });
      return;
    }
    await request.session.regenerate();
    request.session.user = request.body.user;
    request.session.accessToken = `token 1 of ${request.body.user}`;
    request.session.accessTokenEnds = Date.now() + 300_000;
    reply.redirect(returnTo ?? '/me');
  });

  app.post<{ Body: Credentials }>('/login/returned', async (request, reply) => {
    runs.count('login');
    if (!isRight(request.body)) return reply.code(401).send({ error: 'wrong password' });
    await request.session.regenerate(['visits']);
    request.session.set('user', request.body.user);
    await request.session.save();
    return reply.redirect('/me');
  });

  app.post<{ Body: Credentials }>('/login/callback', (request, reply) => {
    runs.count('login');
    if (!isRight(request.body)) return void reply.code(403).send({ error: 'wrong password' });
    request.session.regenerate((error?: Error) => {
      if (error) return void reply.send(error);
      request.session.user = request.body.user;
      reply.redirect('/me');
    });
  });

  app.get('/me', async (request, reply) => {
    runs.count('me');
    if (!request.session.user) {
      reply.code(401).send({ error: 'not signed in' });
      return;
    }
    const { user, visits, note } = request.session;
    return { user, visits, note };
  });

  app.post('/visit', async ({ session }) => {
    runs.count('visit');
    session.visits = (session.visits ?? 0) + 1;
    return { visits: session.visits };
  });

  app.post('/note', (request, reply) => {
    runs.count('note');
    request.session.note = 'a note';
    reply.code(201).send({ noted: true });
  });

  app.post('/note/unreturned', async (request, reply) => {
    runs.count('note');
    request.session.note = 'another note';
    reply.code(201).send({ noted: true });
  });

  app.post('/save', async ({ session }) => {
    runs.count('save');
    session.note = 'saved in the middle';
    await session.save();
    session.note = 'saved at the end';
    return { note: session.note };
  });

  app.post('/reload', async (request) => {
    runs.count('reload');
    await request.session.reload();
    return { user: request.session.user ?? null };
  });

  app.post('/remember', async ({ session }) => {
    runs.count('remember');
    session.cookie.maxAge = 86_400_000;
    session.note = 'for a day';
    return {};
  });

  app.post('/logout', async (request, reply) => {
    runs.count('logout');
    await request.session.destroy();
    reply.redirect('/');
  });

  app.post('/logout/callback', (request, reply) => {
    runs.count('logout');
    request.session.destroy((error?: Error) => {
      if (error) reply.code(500).send('Internal Server Error');
      else reply.clearCookie('gateway.sid', { path: '/' }).redirect('/');
    });
  });

  app.post('/logout/regenerate', async (request, reply) => {
    runs.count('logout');
    await request.session.regenerate();
    reply.redirect('/');
  });

  app.get('/slow', async ({ session }) => {
    runs.count('slow');
    await slowness.wait();
    return { user: session.user ?? null };
  });
}
