// A Fastify application in a folder of its own, as a user of the packed package writes it. Its argument is the store's configuration.

import cookie from '@fastify/cookie';
import session from '@fastify/session';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import fastify from 'fastify';

const store = new DynamoDBSessionStore({ recordVersion: 1, ...JSON.parse(process.argv[2]) });
const app = fastify();
app.register(cookie);
app.register(session, {
  store,
  secret: 'a secret of at least thirty-two letters',
  cookie: { secure: false },
  saveUninitialized: false,
});

app.post('/login/:user', async ({ session, params }) => {
  session.user = params.user;
  session.token = { access: 'ya29.a0', expires: new Date('2099-01-01') };
  return {};
});
app.get('/me', async ({ session }, reply) => {
  if (!session.user) return reply.code(401).send({});
  return { user: session.user, token: session.token };
});
app.post('/logout', async ({ session }) => {
  await session.destroy();
  return {};
});

process.stdin.on('end', () => process.exit()).resume(); // it ends with the test
app.listen({ port: 0, host: '127.0.0.1' }).then((url) => console.log(url)); // no await: a bundle may be CommonJS
