// What visitors of the gateway do, by name. Each is a sequence of requests over real sockets.

import type { Client } from '../client.ts';
import { guardedPath, places, positions, refusals } from './guards.ts';

export interface Visit {
  browser(): Client;
  /** Lets this many seconds pass. */
  pass(seconds: number): void;
  slowness: { reset(): void; reached: Promise<void>; end(): void };
}

/**
 * When a hook or an async handler of the scenario answers and returns nothing while the session must be stored first. That is right behind
 * a store in memory alone; behind any other one it needs the reply guard.
 */
export type Unreturned = 'never' | 'with a new session' | 'with a changed session';

export interface Scenario {
  name: string;
  unreturned: Unreturned;
  run(visit: Visit): Promise<void>;
}

export const scenarios: Scenario[] = [];

function scenario(name: string, unreturned: Unreturned, run: (visit: Visit) => Promise<void>): void {
  scenarios.push({ name, unreturned, run });
}

const ADA = { form: { user: 'ada', password: 'lovelace' } };
const WRONG = { form: { user: 'ada', password: 'hopper' } };

/** A browser that is signed in, without leaning on what is not returned. */
async function signedIn({ browser }: Visit): Promise<Client> {
  const client = browser();
  await client.post('/login/returned', ADA);
  return client;
}

/** A browser with a session that is stored, and nobody signed in. */
async function visitor({ browser }: Visit): Promise<Client> {
  const client = browser();
  await client.post('/visit');
  return client;
}

for (const refusal of refusals) {
  // What is guarded makes a difference only to guards that answer and return nothing.
  const answers = ['denies', 'redirects', 'remembers'].includes(refusal);
  const tried = places.filter((place) => answers || (place !== 'raw' && place !== 'sends'));
  const sends = refusal === 'remembers' ? 'with a changed session' : 'with a new session';
  const alwaysWaits = refusal === 'returns' || refusal === 'calls-back'; // errors go to an async error handler
  scenario(`a guard that ${refusal}: nobody is signed in`, alwaysWaits ? 'never' : sends, async ({ browser }) => {
    for (const position of positions) {
      for (const place of tried) await browser().get(guardedPath(position, place, refusal));
    }
  });
  const changes = refusal === 'remembers' ? 'with a changed session' : 'never';
  scenario(`a guard that ${refusal}: a visitor whose session is stored`, changes, async (visit) => {
    for (const position of positions) {
      const client = await visitor(visit);
      for (const place of tried) await client.get(guardedPath(position, place, refusal));
    }
  });
  const all = refusal === 'denies' || refusal === 'remembers';
  scenario(`a guard that ${refusal}: somebody is signed in`, 'never', async (visit) => {
    const client = await signedIn(visit);
    for (const position of positions) {
      for (const place of all ? places : (['array'] as const)) await client.get(guardedPath(position, place, refusal));
    }
  });
}

scenario('signs in and out', 'with a changed session', async ({ browser }) => {
  const client = browser();
  await client.get('/');
  await client.post('/login', ADA);
  await client.get('/me');
  await client.post('/logout');
  await client.get('/me');
  await client.post('/login', ADA);
  await client.get('/me');
});
scenario('signs in and out, by handlers that return', 'never', async (visit) => {
  const client = await signedIn(visit);
  await client.post('/logout/callback');
  await client.post('/login/callback', ADA);
  await client.get('/me');
  await client.post('/visit');
  await client.post('/login/returned', ADA);
  await client.get('/me');
});
scenario('signs out by a new session', 'with a new session', async (visit) => {
  const client = await signedIn(visit);
  await client.post('/logout/regenerate');
  await client.get('/');
});
scenario('gives a wrong password', 'with a new session', async ({ browser }) => {
  const client = browser();
  for (const path of ['/login', '/login/returned', '/login/callback', '/login']) await client.post(path, WRONG);
  await client.post('/login', {});
  await client.get('/me');
});
scenario('gives a wrong password with a stored session', 'never', async (visit) => {
  const client = await visitor(visit);
  for (const path of ['/login', '/login/returned', '/login/callback', '/login']) await client.post(path, WRONG);
  await client.get('/me');
});
scenario('returns after the login to the page that refused', 'with a changed session', async ({ browser }) => {
  const client = browser();
  await client.get(guardedPath('preHandler', 'function', 'remembers'));
  await client.get('/login');
  await client.post('/login', ADA);
  await client.get(guardedPath('preHandler', 'function', 'remembers'));
});
scenario('changes its session', 'never', async ({ browser }) => {
  const client = browser();
  for (const path of ['/visit', '/visit', '/note', '/save', '/reload', '/visit', '/remember', '/visit']) await client.post(path);
});
scenario('changes its session in handlers that return nothing', 'with a changed session', async ({ browser }) => {
  const client = browser();
  await client.post('/note/unreturned');
  await client.post('/note/unreturned');
  await client.post('/visit');
});
scenario('comes back after the session has ended', 'with a new session', async (visit) => {
  const client = await signedIn(visit);
  visit.pass(7_200);
  await client.get('/me');
  await client.get('/');
  await client.post('/login/returned', ADA);
  await client.get('/me');
});
scenario('comes back shortly before the session ends', 'never', async (visit) => {
  const client = await signedIn(visit);
  for (let hour = 0; hour < 3; hour++) {
    visit.pass(3_000);
    await client.get('/');
  }
});
scenario('brings a cookie that is not signed, and one of no session', 'with a new session', async (visit) => {
  const client = visit.browser();
  client.cookies.set('gateway.sid', 'forged.signature');
  await client.get('/me');
  await client.get('/me');
  const gone = await signedIn(visit);
  const cookie = gone.cookies.get('gateway.sid')!;
  await gone.post('/logout');
  gone.cookies.set('gateway.sid', cookie);
  await gone.get('/me');
  await gone.post('/visit');
});
scenario('calls the API and the upstream', 'with a new session', async (visit) => {
  const stranger = visit.browser();
  await stranger.get('/api/token');
  await visit.browser().get('/proxied/orders');
  await stranger.get('/proxied/orders');
});
scenario('has its token refreshed by a hook, until that fails', 'with a changed session', async ({ browser, pass }) => {
  const client = browser();
  await client.post('/login', ADA);
  await client.get('/api/token');
  pass(600);
  await client.get('/api/token');
  await client.get('/proxied/orders?page=2');
  await client.post('/api/revoke');
  await client.get('/api/token');
  await client.get('/me');
});
scenario('reads events, raw replies and streams', 'never', async (visit) => {
  const client = await signedIn(visit);
  for (const path of [
    '/events',
    '/events/unhijacked',
    '/events/remembered',
    '/raw',
    '/stream',
    '/stream/returned',
    '/stream',
    '/',
  ]) {
    await client.get(path);
  }
});
scenario('is refused events, raw replies and streams', 'never', async (visit) => {
  const client = await visitor(visit);
  for (const path of ['/events', '/events/unhijacked', '/raw', '/stream', '/stream/returned']) await client.get(path);
});
scenario('is refused events and remembered', 'with a changed session', async ({ browser }) => {
  const client = browser();
  await client.get('/events/remembered');
  await client.get('/login');
});
scenario('opens sockets', 'never', async (visit) => {
  const client = await signedIn(visit);
  await client.socket('/socket', 'one');
  await client.socket('/socket/remembered', 'two');
});
scenario('is refused a socket', 'never', async (visit) => {
  const client = await visitor(visit);
  await client.socket('/socket', 'one');
});
scenario('is refused a socket as a stranger', 'with a new session', async ({ browser }) => {
  await browser().socket('/socket', 'one');
});
scenario('is refused a socket and remembered', 'with a changed session', async ({ browser }) => {
  await browser().socket('/socket/remembered', 'two');
});
scenario('sends forms with CSRF tokens', 'never', async (visit) => {
  const client = await visitor(visit);
  const random = /"token":"[^"]+"/;
  await client.post('/transfer');
  await client.get('/csrf', { random });
  const headers = { 'csrf-token': JSON.parse(client.body || '{}').token };
  await client.post('/transfer', { headers });
  await client.post('/transfer/early', { headers });
  await client.post('/transfer', { headers: { 'csrf-token': 'wrong' } });
  await client.post('/transfer/early', { headers: { 'csrf-token': 'wrong' } });
});
scenario('gets a CSRF token from a handler that returns nothing', 'with a changed session', async ({ browser }) => {
  const client = browser();
  await client.get('/csrf/unreturned', { random: /"token":"[^"]+"/ });
  await client.post('/transfer', { headers: { 'csrf-token': JSON.parse(client.body || '{}').token } });
});
scenario('sees flash messages once', 'with a changed session', async ({ browser }) => {
  const client = browser();
  await client.get('/flash');
  await client.post('/flash');
  await client.get('/flash');
  await client.get('/flash');
});
scenario('meets the rate limit', 'with a new session', async (visit) => {
  const client = await signedIn(visit);
  for (let request = 0; request < 4; request++) await client.get('/limited');
  for (let request = 0; request < 3; request++) await client.get('/limited/user');
  const other = visit.browser();
  for (let request = 0; request < 2; request++) await other.get('/limited/user');
});
scenario('gets payloads that hooks change', 'with a new session', async (visit) => {
  const client = await signedIn(visit);
  await client.get('/payload');
  await client.post('/payload');
  await client.get('/payload?refuse=1');
  await visit.browser().get('/payload?refuse=1');
});
scenario('gets payloads that hooks change, with a stored session', 'never', async (visit) => {
  const client = await visitor(visit);
  await client.get('/payload');
  await client.get('/payload?refuse=1');
});
scenario('gets a compressed page', 'never', async (visit) => {
  const headers = { 'accept-encoding': 'gzip' };
  await (await signedIn(visit)).get('/compressed', { headers });
  await (await visitor(visit)).get('/compressed', { headers });
});
for (const kind of ['async', 'sync', 'redirect']) {
  const unreturned = kind === 'sync' ? 'never' : 'with a changed session';
  scenario(`meets errors that a handler of the kind ${kind} answers`, unreturned, async (visit) => {
    const client = await visitor(visit);
    for (const path of ['throws', 'throws-in-hook', 'sends']) await client.get(`/failures/${kind}/${path}`);
    await client.post(`/failures/${kind}/changes`);
    await client.post(`/failures/${kind}/validated`, { json: { amount: 'much' } });
    await client.post(`/failures/${kind}/validated`, { json: { amount: 1 } });
    await client.get('/me');
    await visit.browser().get(`/failures/${kind}/throws`);
  });
}
scenario('asks for what is not there', 'with a new session', async (visit) => {
  await visit.browser().get('/nowhere');
  await visit.browser().get('/area/nowhere');
});
scenario('asks for what is not there, with a session', 'never', async (visit) => {
  const client = await visitor(visit);
  await client.get('/nowhere');
  await client.get('/area/nowhere');
  await (await signedIn(visit)).get('/area/nowhere');
});
scenario('signs in with passport', 'with a changed session', async ({ browser }) => {
  const client = browser();
  await client.get('/passport/me');
  await client.post('/passport/login/redirect', ADA);
  await client.get('/passport/me');
  await client.post('/passport/logout');
  await client.get('/passport/me');
  await client.post('/passport/login/messages', ADA);
  await client.get('/passport/me');
});
scenario('signs in with passport, in handlers that answer', 'never', async ({ browser }) => {
  const client = browser();
  await client.post('/passport/login', ADA);
  await client.get('/passport/me');
});
scenario('gives passport a wrong password', 'with a changed session', async ({ browser }) => {
  const client = browser();
  await client.post('/passport/login', WRONG);
  await client.post('/passport/login/prehandler', WRONG);
  await client.post('/passport/login/redirect', WRONG);
  await client.post('/passport/login/messages', WRONG);
  await client.get('/passport/login');
  await client.get('/passport/login');
});
scenario('gives passport a wrong password with a stored session', 'never', async (visit) => {
  const client = await visitor(visit);
  await client.post('/passport/login', WRONG);
  await client.post('/passport/login/prehandler', WRONG);
  await client.post('/passport/login/redirect', WRONG);
  await client.get('/passport/me');
});
scenario('sends requests at once', 'never', async (visit) => {
  const client = await signedIn(visit);
  await client.parallel(Array.from({ length: 8 }, () => '/me'));
  await client.parallel(['/', '/me', guardedPath('preHandler', 'array', 'denies'), '/events', '/api/token', '/nowhere']);
  const stranger = await visitor(visit);
  await stranger.parallel(positions.map((position) => guardedPath(position, 'raw', 'denies')));
});
scenario('is slow, and another request changes the session after it', 'never', async (visit) => {
  const client = await signedIn(visit);
  visit.slowness.reset();
  const slow = client.start('/slow');
  await visit.slowness.reached;
  await client.get('/');
  visit.slowness.end();
  await slow.finish();
  await client.post('/visit');
  await client.get('/me');
});
scenario('is slow, and the session is changed meanwhile', 'never', async (visit) => {
  const client = await signedIn(visit);
  visit.slowness.reset();
  const slow = client.start('/slow');
  await visit.slowness.reached;
  await client.post('/visit');
  visit.slowness.end();
  await slow.finish();
  await client.get('/me');
});
scenario('is slow, and logs out meanwhile', 'with a new session', async (visit) => {
  const client = await signedIn(visit);
  visit.slowness.reset();
  const slow = client.start('/slow');
  await visit.slowness.reached;
  await client.post('/logout');
  visit.slowness.end();
  await slow.finish();
  await client.get('/me');
});
