// The cells of the table, and how one of them is measured for one subject.

import { userRequests } from './bare.mjs';
import { callsPerCall } from './servers.mjs';
import { LARGE, USUAL } from './usual.mjs';
import { DUE, ROUTES, WORKLOADS } from './work.mjs';

/** Sessions of a pool: more than there are calls in flight, few enough that every data key of this store stays cached. */
const SLOTS = { quick: 256, full: 1024, large: 256 };
const USERS = { quick: 128, full: 512 };
/** So many that each comes back after a second at the earliest: the end of a session is stored in whole seconds. */
const DUE_USERS = { quick: 1024, full: 4096 };

/** @typedef {{ workload: string, size: number, inFlight: number, kind: 'direct' | 'http', open?: boolean }} Cell */

/** All cells of a run, the open loops last: their load is half of what the plain plan did in its closed loop. */
export function cellsOf({ inFlight }) {
  const cells = [];
  const add = (kind, workload, size, lanes, open) => cells.push({ kind, workload, size, inFlight: lanes, open });
  for (const workload of Object.keys(WORKLOADS)) {
    const sweeps = workload === 'warm get' || workload === 'get + set';
    const lanes = sweeps ? [...new Set([...inFlight, USUAL.inFlight])].sort((a, b) => a - b) : [USUAL.inFlight];
    for (const count of lanes) add('direct', workload, USUAL.size, count);
    add('direct', workload, LARGE, USUAL.inFlight);
  }
  for (const workload of Object.keys(ROUTES)) {
    const sizes = workload === DUE ? [USUAL.size] : [USUAL.size, LARGE];
    for (const size of sizes) add('http', workload, size, USUAL.inFlight);
  }
  for (const workload of ['warm get', 'get + set']) add('direct', workload, USUAL.size, USUAL.inFlight, true);
  add('http', 'rolling request', USUAL.size, USUAL.inFlight, true);
  return cells;
}

export function cellKey({ workload, size, inFlight, open }) {
  return `${workload}, ${size / 1000} kB, ${open ? 'half load' : `${inFlight} in flight`}`;
}

/** Measures cells of one round. It remembers gateways, pools of the bare client and the plain plan's speed. */
export class Meter {
  #servers;
  #bare;
  #options;
  #cores;
  #gateways = new Map();
  #bareCalls = new Map();

  constructor({ servers, bare, options, cores }) {
    this.#servers = servers;
    this.#bare = bare;
    this.#options = options;
    this.#cores = cores;
  }

  /** @param {number | undefined} rate calls a second of an open loop. @returns figures of `cell`, or `undefined` if `subject` has none. */
  async measure(cell, subject, rate) {
    if (subject === 'bare') return cell.kind === 'direct' ? this.#measureBare(cell, rate) : undefined;
    return cell.kind === 'direct' ? this.#measureDirect(cell, subject, rate) : this.#measureHttp(cell, subject, rate);
  }

  async #measureDirect(cell, subject, rate) {
    const { workload, size, inFlight } = cell;
    const pool = { size, slots: this.#slots(size) };
    await subject.ask('fill', pool);
    const { seconds, warmUp } = this.#options;
    if (rate !== undefined)
      return this.#counted(() => subject.ask('openLoop', { workload, ...pool, rate, seconds: this.#openSeconds(rate), warmUp }));
    const counts = workload === 'get + set';
    const before = counts ? await subject.ask('visits', pool) : 0;
    const measured = await this.#counted(() => subject.ask('closedLoop', { workload, ...pool, inFlight, seconds, warmUp }));
    if (counts) {
      const kept = (await subject.ask('visits', pool)) - before;
      if (kept !== measured.callsWithWarmUp) {
        throw new Error(`${subject.id}: of ${measured.callsWithWarmUp} changes ${kept} are there after ${cellKey(cell)}`);
      }
    }
    return measured;
  }

  async #measureHttp({ workload, size, inFlight }, subject, rate) {
    const due = workload === DUE;
    const key = `${subject.id}/${size}/${due}`;
    let gateway = this.#gateways.get(key);
    if (!gateway) {
      const users = this.#options.quick || size === LARGE ? 'quick' : 'full';
      gateway = await subject.ask('gateway', { size, due, users: (due ? DUE_USERS : USERS)[users] });
      this.#gateways.clear(); // a subject's process has one gateway at a time
      this.#gateways.set(key, gateway);
    }
    const requests = userRequests(gateway, ROUTES[workload]);
    const load = (flags) => this.#bare.load(this.#cores.servers, requests, { 'in-flight': inFlight, ...flags });
    if (rate !== undefined) {
      const { calls, seconds, latencies } = await load({
        rate,
        seconds: this.#openSeconds(rate),
        'warm-up': this.#options.warmUp,
      });
      return { calls, seconds, latencies };
    }
    await load({ seconds: this.#options.warmUp });
    return this.#counted(async () => {
      await subject.ask('startClocks');
      const measured = await load({ seconds: this.#options.seconds });
      const { cpuMicros, mainMicros } = await subject.ask('stopClocks');
      return { ...measured, cpuMicros, mainMicros };
    });
  }

  async #measureBare({ workload, size, inFlight }, rate) {
    const slots = this.#slots(size);
    if (!this.#bareCalls.has(size)) this.#bareCalls.set(size, await this.#bare.prepare(size, slots));
    const calls = this.#bareCalls.get(size)[workload];
    const { seconds, warmUp } = this.#options;
    const pace = rate === undefined ? { seconds } : { rate, seconds: this.#openSeconds(rate) };
    return this.#counted(() => this.#bare.load(this.#cores.client, calls, { 'in-flight': inFlight, 'warm-up': warmUp, ...pace }));
  }

  /** Adds what the servers saw. */
  async #counted(measure) {
    const [calls, cpu, start] = [await this.#servers.calls(), this.#servers.micros(), performance.now()];
    const measured = await measure();
    const busy = (this.#servers.micros() - cpu) / 1000 / (performance.now() - start);
    const after = await this.#servers.calls();
    return { ...measured, serversBusy: busy, awsCalls: callsPerCall(calls, after, measured.callsWithWarmUp ?? measured.calls) };
  }

  /** How long an open loop takes in one round. */
  #openSeconds(rate) {
    return Math.ceil(this.#options.openCalls / this.#options.rounds / rate);
  }

  #slots(size) {
    if (this.#options.quick) return SLOTS.quick;
    return size === LARGE ? SLOTS.large : SLOTS.full;
  }
}
