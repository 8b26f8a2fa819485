// The process that is soaked: mixed calls at a rate, whatever comes of them, and a sample a second to the one that started it. First a quarter of the load and a
// pause, whose end is what memory is compared with; then the rest, and a pause again.

import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { atRate, callsOf, content, KEPT, pick, whole } from './calls.mjs';

const { rate, seconds, where, packageName = 'connect-dynamodb-kms' } = JSON.parse(process.argv[2]);
const { DynamoDBSessionStore } = (await import(packageName)).default;

const POOL = 5000;
/** In seconds, until the connections that an outage has opened are closed again: every 90 seconds, the SDK's pool closes those that were idle for 90. */
const PAUSE = 190;
const WORKER_EVERY = 5;
const config = { tableName: where.table, dynamodbEndpoint: where.dynamodb, kmsEndpoint: where.kms, kmsKeyArn: where.keyArn };
const quiet = { warn() {}, debug() {} };
const store = new DynamoDBSessionStore({ recordVersion: 1, ...config, touchAfter: 0, logger: quiet });

/** Calls of each kind in a hundred. */
const MIX = { get: 40, kept: 5, change: 20, touch: 15, create: 10, destroy: 4, update: 4, lock: 2 };
const calls = callsOf(store);

const started = performance.now();
const second = { calls: 0, latencies: [], errors: {} };
let inFlight = 0;
let phase = 'warm-up';

async function call() {
  const begun = performance.now();
  inFlight++;
  try {
    await calls[pick(MIX)](`soak-${whole(POOL)}`);
  } catch (error) {
    const code = error.code ?? String(error);
    second.errors[code] = (second.errors[code] ?? 0) + 1;
  }
  inFlight--;
  second.calls++;
  second.latencies.push(performance.now() - begun);
}

function descriptors() {
  const names = readdirSync('/proc/self/fd');
  const isSocket = (name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:');
    } catch {
      return false; // closed meanwhile
    }
  };
  return { handles: names.length, sockets: names.filter(isSocket).length };
}

function sample() {
  const sorted = second.latencies.sort((a, b) => a - b);
  const at = (share) => sorted[Math.floor(sorted.length * share)] ?? 0;
  const { rss, heapUsed } = process.memoryUsage();
  process.send({
    at: (performance.now() - started) / 1000,
    phase,
    rss,
    heapUsed,
    ...descriptors(),
    calls: second.calls,
    errors: second.errors,
    inFlight,
    p50: at(0.5),
    p99: at(0.99),
  });
  Object.assign(second, { calls: 0, latencies: [], errors: {} });
}

async function load(name, duration) {
  phase = name;
  await atRate(rate, duration * 1000, call);
  while (inFlight > 0) await sleep(10);
}

async function pause(name) {
  phase = name;
  for (let passed = 0; passed < PAUSE; passed++) {
    globalThis.gc();
    await sleep(1000);
  }
}

/** A worker thread with a store of its own, ended while its calls are in flight. */
async function work() {
  const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: { config, packageName } });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
}

for (let number = 0; number < KEPT; number++) await store.set(`kept-${number}`, content(`kept-${number}`));
const sampling = setInterval(sample, 1000);
const workers = setInterval(() => !phase.endsWith('pause') && work(), WORKER_EVERY * 1000);
await load('warm-up', seconds / 4);
await pause('first pause');
await load('load', (seconds * 3) / 4);
clearInterval(workers);
await pause('last pause');
clearInterval(sampling);
await store.close();
process.disconnect();
process.exit(0);
