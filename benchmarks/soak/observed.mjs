// A server whose metrics the graphs show: mixed calls at a rate, and an address that Prometheus scrapes. The process that started it changes its load by messages.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { atRate, callsOf, content, pick, whole } from './calls.mjs';

const { name, rate, where } = JSON.parse(process.argv[2]);
const require = createRequire(new URL('../../__test__/package.json', import.meta.url));
const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
const { collect } = require('connect-dynamodb-kms/prometheus');
const { Registry } = require('prom-client');

/** Sessions of users that come back to this server, those that are in use, and those that both servers change. */
const [POOL, USED, SHARED, TOKENS] = [3000, 200, 5, 4];
const config = {
  recordVersion: 2,
  tableName: where.table,
  dynamodbEndpoint: where.dynamodb,
  kmsEndpoint: where.kms,
  kmsKeyArn: where.keyArn,
  keyCache: { maxEntries: 1000, revocationCheckSeconds: 5 },
  maxCallsInFlight: 200,
  logger: { warn() {}, debug() {} },
};
const store = new DynamoDBSessionStore(config);
/** As a deployment makes it that has forgotten an option. */
const misconfigured = new DynamoDBSessionStore({ ...config, encryptionContext: { application: 'another' } });

/** What the process that started this one can change. `mix` has the calls of each kind in a hundred. */
const load = {
  mix: { get: 46, touch: 24, change: 15, refresh: 6, update: 4, create: 2, destroy: 2, lock: 0.5 },
  used: USED,
  providerAnswers: true,
  optionsAreRight: true,
};
process.on('message', ({ mix, ...change }) => Object.assign(load, change, { mix: { ...load.mix, ...mix } }));
process.on('disconnect', () => process.exit(0));

let jobs = 0;
const usual = callsOf(store);
const calls = {
  ...usual,
  get: (sid) => (load.optionsAreRight ? usual.get(sid) : misconfigured.get(sid)),
  /** Long work that one server shall do at a time. */
  lock: () => store.withLock(`job-${name}-${jobs++ % 50}`, (signal) => sleep(10_000, undefined, { signal }), { leaseSeconds: 3 }),
  async refresh() {
    const session = await store.get(`token-${whole(TOKENS)}`);
    await store.refresh(session, { expiresAt: ({ expires }) => expires, earlySeconds: 0, refresh: renew });
  },
  /** A request that takes a while, of a session that others change as well. */
  async contest() {
    const sid = `shared-${whole(SHARED)}`;
    const session = await store.get(sid);
    await sleep(20);
    session.changed = Math.random();
    await store.set(sid, session);
  },
};

async function renew(session) {
  await sleep(80);
  if (!load.providerAnswers) throw new Error('the provider of tokens is down');
  session.expires = Date.now() + 2000;
}

/** Puts the sessions into the table. Their data keys are not cached here then. */
async function fill() {
  const filler = new DynamoDBSessionStore(config);
  const ids = [
    ...Array.from({ length: POOL }, (_, number) => `${name}-${number}`),
    ...Array.from({ length: SHARED }, (_, number) => `shared-${number}`),
    ...Array.from({ length: TOKENS }, (_, number) => `token-${number}`),
  ];
  for (let done = 0; done < ids.length; done += 50)
    await Promise.all(ids.slice(done, done + 50).map((sid) => filler.set(sid, { ...content(sid), expires: 0 })));
  await filler.close();
}

const register = new Registry();
collect(store, { register, labels: { store: 'sessions' } });
collect(misconfigured, { register, labels: { store: 'misconfigured' } });
const metrics = createServer(async (_request, response) => {
  response.setHeader('content-type', register.contentType);
  response.end(await register.metrics());
});
await fill();
metrics.listen(0, '127.0.0.1');
await once(metrics, 'listening');
process.send(`http://127.0.0.1:${metrics.address().port}`);
// What a server misses that stands still for longer than a second, its clients ask others for.
const call = () => calls[pick(load.mix)](`${name}-${whole(load.used)}`).catch(() => {});
await atRate(rate, Number.POSITIVE_INFINITY, call, rate);
