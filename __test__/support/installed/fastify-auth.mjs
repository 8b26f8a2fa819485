// A Fastify application whose hooks refuse without returning the reply, each with a changed session. Its argument is the store's
// configuration.

import auth from '@fastify/auth';
import cookie from '@fastify/cookie';
import session from '@fastify/session';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import fastify from 'fastify';

const store = new DynamoDBSessionStore({ recordVersion: 2, ...JSON.parse(process.argv[2]) });
const app = fastify();
app.register(cookie);
app.register(session, {
  store,
  secret: 'a secret of at least thirty-two letters',
  cookie: { secure: false },
  saveUninitialized: false,
});
app.register(auth);

const ran = [];
const handler = async ({ url }) => {
  ran.push(url);
  return {};
};
function refuse({ session, url }, reply) {
  session.tries = (session.tries ?? 0) + 1;
  reply.code(401).send({ refused: url });
}
app.after(() => {
  // @fastify/auth sets 200 when the function returns.
  app.get('/auth', { preHandler: app.auth([async (request, reply) => refuse(request, reply)]) }, handler);
});
app.register(async (child) => {
  child.addHook('preHandler', async (request, reply) => {
    refuse(request, reply);
    reply.code(200);
  });
  child.get('/late', handler);
});
app.get('/ran', async () => ran);

process.stdin.on('end', () => process.exit()).resume(); // it ends with the test
app.listen({ port: 0, host: '127.0.0.1' }).then((url) => console.log(url)); // no await: a bundle may be CommonJS
