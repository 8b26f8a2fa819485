// The application of refusals.ts, with sessions, and what a client gets of it.

import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { PLACES, WAYS } from './refusals.ts';

/** One refusal: what it is called, and how it is requested. */
export interface Refusal {
  place: string;
  way: string;
  path: string;
  methods: string[];
}

export const REFUSALS: Refusal[] = Object.keys(PLACES).flatMap((place, index) =>
  Object.keys(WAYS).map((way, number) => ({
    place,
    way,
    path: `/${index}-${number}`,
    methods: place.includes('array') ? ['POST'] : place.includes('not-found') ? ['GET', 'POST'] : ['GET', 'HEAD'],
  })),
);

/** Puts every refusal into an application. @returns what ran of it, by the value of the header `x-trace`. */
export async function refuseEverywhere(
  app: FastifyInstance,
  store: DynamoDBSessionStore | undefined,
  refusals = REFUSALS,
): Promise<Map<string, string[]>> {
  const ran = new Map<string, string[]>();
  const note = (request: FastifyRequest, what: string) => {
    const trace = String(request.headers['x-trace']);
    ran.set(trace, [...(ran.get(trace) ?? []), what]);
  };
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret: 'the secret that signs the cookies of the tests',
    store,
    cookie: { secure: false },
  });
  app.addHook('onRequest', (request, _reply, done) => {
    const change = request.headers['x-change'];
    if (change !== undefined) request.session.note = String(change);
    done();
  });
  app.get('/note', async ({ session }) => ({ note: session.note }));
  for (const { place, way, path } of refusals) await PLACES[place]!(app, WAYS[way]!, note, path);
  return ran;
}

/** What a client gets. */
export interface Got {
  status: number;
  body: string;
  location: string | null;
  savedSession: boolean;
}

/** A client of an application: over a socket, or as `inject` does it. */
export type Client = (method: string, path: string, headers: Record<string, string>) => Promise<Got & { cookie?: string }>;

export function overSockets(origin: string): Client {
  return async (method, path, headers) => {
    const reply = await fetch(origin + path, { method, headers, redirect: 'manual', signal: AbortSignal.timeout(60_000) });
    const cookie = reply.headers.getSetCookie().find((line) => line.startsWith('sessionId='));
    const { status } = reply;
    const location = reply.headers.get('location');
    return { status, location, savedSession: cookie !== undefined, body: await reply.text(), cookie: cookie?.split(';', 1)[0] };
  };
}

export function injected(app: FastifyInstance): Client {
  return async (method, path, headers) => {
    const reply = await app.inject({ method: method as 'GET', url: path, headers });
    const { statusCode: status, body } = reply;
    const cookie = [reply.headers['set-cookie'] ?? []].flat().find((line) => line.startsWith('sessionId='));
    const location = (reply.headers['location'] as string | undefined) ?? null;
    return { status, location, savedSession: cookie !== undefined, body, cookie: cookie?.split(';', 1)[0] };
  };
}
