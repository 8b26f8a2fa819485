// Requests that are refused: with the guard, what their clients get and what runs is what it is with the session store in memory.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { guardReplies } from 'connect-dynamodb-kms';
import Fastify, { type FastifyInstance } from 'fastify';
import { type Backend, startLocal } from '../support/backends.ts';
import { PLACES, WAYS } from '../support/refusals.ts';
import { type Client, injected, overSockets, REFUSALS, refuseEverywhere } from '../support/refusing-app.ts';
import { unguardedFastify } from '../support/unguarded.ts';

/** Ways that answer past `reply.send`. */
const RAW = ['hijacks the reply', 'writes to the response'];

interface Tried {
  app: FastifyInstance;
  ran: Map<string, string[]>;
  clients: Record<string, Client>;
}

async function start(app: FastifyInstance, backend?: Backend): Promise<Tried> {
  const ran = await refuseEverywhere(app, backend?.store());
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, ran, clients: { socket: overSockets(origin), inject: injected(app) } };
}

/** What becomes of a request, and of the session that it was made with. */
async function tryIt({ clients, ran }: Tried, by: string, method: string, path: string, session: string) {
  const client = clients[by]!;
  const trace = `${by} ${method} ${path} ${session}`;
  const headers: Record<string, string> = { 'x-trace': trace };
  if (session !== 'a new session') {
    const { cookie } = await client('GET', '/note', {});
    headers['cookie'] = cookie!;
  }
  if (session === 'a changed session') headers['x-change'] = trace;
  const { cookie, ...got } = await client(method, path, headers);
  const kept = headers['cookie'] && (await client('GET', '/note', { cookie: headers['cookie'] })).body;
  return { got, kept, ran: ran.get(trace) ?? [] };
}

describe('a guarded application', () => {
  let backend: Backend;
  let guarded: Tried;
  let inMemory: Tried;
  const reported: string[] = [];

  before(async () => {
    backend = await startLocal();
    const app = Fastify();
    guardReplies(app, { report: (place) => void reported.push(place) });
    guarded = await start(app, backend);
    inMemory = await start(unguardedFastify());
  });
  after(async () => {
    await Promise.all([guarded.app.close(), inMemory.app.close()]);
    await backend.stop();
  });

  for (const place of Object.keys(PLACES)) {
    it(`answers as with the store in memory, and runs nothing more: ${place}`, async () => {
      const tries = REFUSALS.filter((refusal) => refusal.place === place).map(async ({ way, path, methods }) => {
        for (const session of ['a new session', 'a changed session', 'an unchanged session']) {
          for (const [by, method] of [...methods.map((name) => ['socket', name]), ['inject', methods[0]]]) {
            const [expected, actual] = await Promise.all(
              [inMemory, guarded].map((tried) => tryIt(tried, by!, method!, `${path}/`, session)),
            );
            // Of a session that is changed before a raw answer, the store in memory has nested objects alone.
            if (RAW.includes(way) && session === 'a changed session')
              expected!.kept = JSON.stringify({ note: `${by} ${method} ${path}/ ${session}` });
            assert.deepEqual(actual, expected, `${way}, ${session}, ${method} by ${by}`);
          }
        }
      });
      await Promise.all(tries);
      await pause(10); // an answer that came too late would be an uncaught exception by now
    });
  }

  it('was tried with refusals that let nothing run, but where the handler itself must fail first', () => {
    for (const [trace, what] of inMemory.ran) assert.deepEqual(what, ['handler'], trace);
    assert.ok(inMemory.ran.size > 0);
  });

  it('reports each hook and handler that does not return its reply, once, and no other', () => {
    const wrong = ['sends', 'redirects', 'sends later', 'sends twice', 'sends an error', 'sends nothing'];
    const expected = new Set<string>();
    for (const { place, way, path, methods } of REFUSALS) {
      const hook = /^\w+/.exec(place)![0];
      const valueToo = way === 'sends and returns a value' && !/handler$|handler of/.test(place.replace(/before .*/, ''));
      const ofNotFound = place.endsWith('of a not-found handler');
      if (!wrong.includes(way) && !(way === 'sends and returns a value' && (valueToo || ofNotFound))) continue;
      const under = `all routes under ${path}`;
      if (place.startsWith('a function')) continue; // @fastify/auth calls back
      if (place === 'handler') expected.add(`GET ${path}/`);
      else if (place === 'error handler of a route') expected.add(`error handler of GET ${path}/`);
      else if (place === 'error handler of a plugin') expected.add(`error handler of ${under}`);
      else if (place === 'not-found handler of a plugin') expected.add(`not-found handler (${way}) of ${under}`);
      else if (ofNotFound) expected.add(`${hook} hook (${way}) of the not-found handler of ${under}`);
      else if (place.includes('application')) expected.add(`${hook} hook of all routes`);
      else if (place.includes('plugin')) expected.add(`${hook} hook (${way}) of ${under}`);
      else expected.add(`${hook} hook (${way}) of ${methods[0]} ${path}/`);
    }
    assert.deepEqual([...reported].sort(), [...expected].sort());
    assert.equal(new Set(reported).size, reported.length);
    assert.ok(Object.keys(WAYS).length > wrong.length);
  });
});
