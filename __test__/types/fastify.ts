// The store is what @fastify/session takes as `store`.

import fastifyCookie from '@fastify/cookie';
import fastifySession, { type FastifySessionOptions, type SessionStore } from '@fastify/session';
import { DynamoDBSessionStore, findUnreturnedReplies, type GuardedReplies, guardReplies } from 'connect-dynamodb-kms';
import Fastify from 'fastify';

const store = new DynamoDBSessionStore({ local: { path: './.sessions' } });
const options: FastifySessionOptions = { store, secret: 'a secret of at least thirty-two letters' };
const asStore: SessionStore = store;
const app = Fastify();
const found: GuardedReplies = guardReplies(app, { report: (place: string) => console.warn(place) });
export const places: readonly string[] = [...found.routes, ...findUnreturnedReplies(app).routes];
// @ts-expect-error: report is a function
guardReplies(app, { report: true });
app.register(fastifyCookie);
app.register(fastifySession, { store, secret: 'a secret of at least thirty-two letters', saveUninitialized: false });
app.register(fastifySession, options);
app.get('/', async (request) => {
  await request.session.save();
  return request.session.cookie;
});
app.post('/log-out-everywhere-else', async (request) => {
  const listing = new DynamoDBSessionStore({ users: { idOf: 'user.id', secret: 'a secret of the users' } });
  await listing.destroyAllOf('ada', { except: request.session.sessionId });
  // @ts-expect-error the id of a session has another name here
  await listing.destroyAllOf('ada', { except: request.session.id });
});
export default asStore;
