// What an answer at once costs, and what it saves: `node benchmarks/at-once.mjs PACKAGE AWS_LOCAL`, with the folder of an installed package and the
// program of tools/aws-local. It needs Fastify and @fastify/session beside itself (`npm ci` in this folder).

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Servers } from './servers.mjs';

const require = createRequire(import.meta.url);
const [packageFolder, awsLocal] = process.argv.slice(2);
const { DynamoDBSessionStore } = require(resolve(packageFolder));
const Fastify = require('fastify');

/** How long the network takes to DynamoDB and back, in milliseconds: as within a region. */
const ROUND_TRIP = 3;
const SIZES = [500, 2000, 8000, 16_000];

process.env.AWS_ACCESS_KEY_ID = 'local';
process.env.AWS_SECRET_ACCESS_KEY = 'local';

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const quantile = (values, part) => values.sort((a, b) => a - b)[Math.floor(values.length * part)];

/** A proxy that answers a round trip later. */
async function distant(target) {
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    await sleep(ROUND_TRIP);
    const { host, connection, ...headers } = request.headers;
    const reply = await fetch(target, { method: 'POST', headers, body });
    const answer = Buffer.from(await reply.arrayBuffer());
    response.writeHead(reply.status, { ...Object.fromEntries(reply.headers), 'content-length': answer.length }).end(answer);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** µs of the main thread that `set` of an unchanged session takes until it has called back. */
async function answers(store, size) {
  const session = { cookie: { path: '/' }, text: 'x'.repeat(size - 60) };
  await store.set('size', session);
  const times = [];
  for (let i = 0; i < 2000; i++) {
    const start = performance.now();
    store.set('size', session, () => times.push((performance.now() - start) * 1000));
    if (i % 100 === 0) await sleep(1);
  }
  if (times.length !== 2000) throw new Error('an answer came late');
  return { median: median(times), p99: quantile(times, 0.99) };
}

/** Milliseconds of a rolling request whose session's end is due. */
async function requests(store) {
  const app = Fastify();
  await app.register(require('@fastify/cookie'));
  await app.register(require('@fastify/session'), {
    store,
    secret: 'a secret with at least thirty-two characters',
    cookie: { secure: false, maxAge: 3_600_000 },
    saveUninitialized: false,
  });
  app.post('/login', async ({ session }) => {
    session.user = 'ada';
    return {};
  });
  app.get('/', async () => ({}));
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  const login = await fetch(`${origin}/login`, { method: 'POST' });
  const cookie = login.headers.get('set-cookie').split(';')[0];
  const times = [];
  for (let i = 0; i < 300; i++) {
    await sleep(10); // what goes on after the answer is not this request's
    mock.timers.tick(2000); // the end is due with every request
    const start = performance.now();
    await (await fetch(origin, { headers: { cookie } })).text();
    times.push(performance.now() - start);
  }
  await app.close();
  return { median: median(times), p99: quantile(times, 0.99) };
}

/** Calls back when everything is stored, as the store did before it answered at once. */
function waiting(store) {
  return {
    get: store.get,
    destroy: store.destroy,
    set: (sid, session, callback) => store.set(sid, session).then(() => callback(null), callback),
  };
}

mock.timers.enable({ apis: ['Date'], now: Date.now() });
const servers = await Servers.start(awsLocal, undefined);
const proxy = await distant(servers.where.dynamodb);
const config = {
  tableName: servers.where.table,
  kmsKeyArn: servers.where.keyArn,
  kmsEndpoint: servers.where.kms,
  recordVersion: 2,
};
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config, dynamodbEndpoint: proxy.url, touchAfter: 0 });
for (const size of SIZES) {
  const { median, p99 } = await answers(store, size);
  console.log(`set of an unchanged session, ${size} characters: ${median.toFixed(0)} µs, p99 ${p99.toFixed(0)} µs`);
}
for (const [name, subject] of [
  ['answered when it is stored', waiting(store)],
  ['answered at once', store],
  ['answered when it is stored', waiting(store)],
  ['answered at once', store],
]) {
  const { median, p99 } = await requests(subject);
  console.log(`rolling request whose end is due, ${name}: ${median.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
}
console.log(store.stats().sessions);
await store.close();
proxy.close();
await servers.stop();
