// What the slowest calls wait for: `node benchmarks/tails.mjs --workload "get + set" --rate 110`, after `npm run bench` has built everything. It needs
// Linux. An open loop as in the table; for every call it notes how long which threads ran or waited for a core, and it compares the slowest 1 % of
// the calls with those around the median.

import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, tracingChannel } from 'node:diagnostics_channel';
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { PerformanceObserver, performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { BareClient, userRequests } from './bare.mjs';
import { startGateway } from './gateway.mjs';
import { openLoop } from './loops.mjs';
import { pinSelf, placement } from './machine.mjs';
import { prepare } from './prepare.mjs';
import { Servers } from './servers.mjs';
import { percentiles } from './statistics.mjs';
import { openSubject } from './subjects/index.mjs';
import { USUAL } from './usual.mjs';
import { Pool, ROUTES } from './work.mjs';

const SLOTS = 1024;
const WARM_UP = 2;
const { values } = parseArgs({
  options: {
    workload: { type: 'string', default: 'get + set' },
    rate: { type: 'string', default: '110' },
    seconds: { type: 'string', default: '60' },
    'client-cores': { type: 'string', default: '1' },
  },
});
const [rate, seconds] = [Number(values.rate), Number(values.seconds)];
const { awsLocal, bareClient } = await prepare({ skipBuild: true });
const cores = placement(Number(values['client-cores']));
Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench', AWS_EC2_METADATA_DISABLED: 'true' });
pinSelf(cores.client); // threads that start later inherit it
const servers = await Servers.start(awsLocal, cores.servers);
const subject = await openSubject('v2', servers.where);

/** Calls that have ended: `{ begun, ended, late, requests, ran and waited of each kind of thread }`, in ms. */
const calls = [];
const collections = [];
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) collections.push([startTime, startTime + duration]);
}).observe({ entryTypes: ['gc'] });

// Which call a request belongs to: the store publishes the start of its own calls in the context of their caller.
const current = new AsyncLocalStorage();
const owners = new WeakMap();
tracingChannel('connect-dynamodb-kms:call').start.subscribe((message) => owners.set(message, current.getStore()));
subscribe('connect-dynamodb-kms:request', ({ call, milliseconds }) => {
  const owner = owners.get(call);
  if (owner) owner.requests += milliseconds;
});

/** The threads of this process, by kind, and what the scheduler says of them: ms on a core and ms ready to run without one. */
class Threads {
  #kinds = new Map();
  #buffer = Buffer.alloc(64);

  constructor() {
    for (const thread of readdirSync('/proc/self/task')) {
      const name = readFileSync(`/proc/self/task/${thread}/comm`, 'latin1');
      const kind =
        thread === String(process.pid) ? 'main thread' : name.startsWith('connect-dyn') ? 'runtime threads' : 'V8’s threads';
      this.#kinds.set(openSync(`/proc/self/task/${thread}/schedstat`), kind);
    }
  }

  read() {
    const times = {};
    for (const [file, kind] of this.#kinds) {
      const length = this.#length(file);
      if (length === 0) continue;
      const [ran, waited] = this.#buffer.toString('latin1', 0, length).split(' ');
      times[`${kind} ran`] = (times[`${kind} ran`] ?? 0) + ran / 1e6;
      times[`${kind} waited for a core`] = (times[`${kind} waited for a core`] ?? 0) + waited / 1e6;
    }
    return times;
  }

  #length(file) {
    try {
      return readSync(file, this.#buffer, 0, this.#buffer.length, 0);
    } catch {
      this.#kinds.delete(file); // the thread has ended
      closeSync(file);
      return 0;
    }
  }
}

let threads;
let inFlight = 0;

function begin(late) {
  inFlight += 1;
  return { begun: performance.now(), late, requests: 0, inFlight, threads: threads.read() };
}

function end(call) {
  inFlight -= 1;
  const ended = performance.now();
  for (const [what, millis] of Object.entries(threads.read())) call.threads[what] = millis - (call.threads[what] ?? 0);
  calls.push({ ...call, ended, millis: ended - call.begun + (call.late ?? 0) });
}

async function direct(workload) {
  const pool = new Pool('this store', subject, 'v2', USUAL.size, SLOTS);
  await pool.fill();
  threads = new Threads();
  const call = pool.call(workload);
  const traced = async (slot, due) => {
    const own = begin(Number(process.hrtime.bigint() - due) / 1e6);
    await current.run(own, () => call(slot));
    end(own);
  };
  await openLoop(traced, { slots: SLOTS, rate, seconds, warmUp: WARM_UP, ticks: bareClient, cores: cores.servers });
}

/** Here a call begins when Fastify gets its request. How late that is, is not known. */
async function requests(route) {
  const gateway = await startGateway(subject.store, { size: USUAL.size, users: SLOTS / 2 }, (app) => {
    app.addHook('onRequest', (request, _reply, next) => {
      request.traced = threads && begin();
      current.run(request.traced, next);
    });
    app.addHook('onResponse', async (request) => request.traced && end(request.traced));
  });
  threads = new Threads();
  const load = new BareClient(bareClient, servers.where, cores);
  await load.load(cores.servers, userRequests(gateway, route), {
    'in-flight': USUAL.inFlight,
    rate,
    seconds,
    'warm-up': WARM_UP,
  });
  await gateway.app.close();
}

function show(name, some) {
  const mean = (of) => (some.reduce((sum, call) => sum + of(call), 0) / some.length).toFixed(2);
  const collecting = ({ begun, ended }) =>
    collections.reduce((sum, [from, to]) => sum + Math.max(0, Math.min(ended, to) - Math.max(begun, from)), 0);
  console.log(`\n${name}: mean of ${some.length} calls, ms`);
  const rows = { 'in all': (call) => call.millis };
  if (some[0].late !== undefined) rows['begun late'] = (call) => call.late;
  rows['its AWS requests'] = (call) => call.requests;
  for (const what of Object.keys(some[0].threads)) rows[what] = (call) => call.threads[what] ?? 0;
  rows['garbage collection'] = collecting;
  for (const [what, of] of Object.entries(rows)) console.log(`  ${what.padEnd(36)} ${mean(of).padStart(6)}`);
  console.log(`  ${'calls in flight'.padEnd(36)} ${mean((call) => call.inFlight).padStart(6)}`);
}

const stolen = () => readFileSync('/proc/stat', 'latin1').split('\n', 1)[0].split(/ +/)[8] * 10;
const before = stolen();
await (ROUTES[values.workload] ? requests(ROUTES[values.workload]) : direct(values.workload));
calls.sort((a, b) => b.millis - a.millis);
const { p50, p99 } = percentiles(calls.map(({ millis }) => millis));
console.log(`${values.workload}, ${rate} a second: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms of ${calls.length} calls`);
console.log(`the hypervisor gave ${stolen() - before} ms of the cores to others`);
show('slowest 1 %', calls.slice(0, Math.ceil(calls.length / 100)));
show('around the median', calls.slice(Math.floor(calls.length * 0.45), Math.ceil(calls.length * 0.55)));
await subject.close();
await servers.stop();
