import { findUnreturnedReplies } from 'connect-dynamodb-kms';
import Fastify from 'fastify';

const app = Fastify();
const found = findUnreturnedReplies(app, { report: (route) => console.warn(`${route}: write return reply`) }); // before the routes
app.get('/wrong', async (_request, reply) => {
  reply.redirect('/');
});
await app.inject('/wrong'); // or requests of clients
console.log(found.routes); // [ 'GET /wrong' ]
