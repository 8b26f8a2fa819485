// The store is what @fastify/session takes as `store`.

import fastifyCookie from '@fastify/cookie';
import fastifySession, { type FastifySessionOptions, type SessionStore } from '@fastify/session';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import Fastify from 'fastify';

const store = new DynamoDBSessionStore({ local: { path: './.sessions' } });
const options: FastifySessionOptions = { store, secret: 'a secret of at least thirty-two letters' };
const asStore: SessionStore = store;
const app = Fastify();
app.register(fastifyCookie);
app.register(fastifySession, { store, secret: 'a secret of at least thirty-two letters', saveUninitialized: false });
app.register(fastifySession, options);
app.get('/', async (request) => {
  await request.session.save();
  return request.session.cookie;
});
export default asStore;
