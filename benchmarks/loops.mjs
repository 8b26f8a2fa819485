// The two ways to load a subject inside its own process: as many calls in flight as there are lanes, or calls that come when they come.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { startClocks } from './clocks.mjs';
import { pinned } from './machine.mjs';

/** So many are enough of a closed loop with one call in flight. */
const MOST_LATENCIES = 100_000;

/**
 * Closed loop. Lane n has the sessions n, n + lanes, … for itself, so that no two calls in flight are about one session.
 * @param {(slot: number) => Promise<void>} call a slot is the number of a session of the pool.
 * @param {Lanes} lanes those of an earlier loop go on where it ended.
 */
export async function closedLoop(call, lanes, { seconds, warmUp }) {
  const warming = await lanes.run(call, warmUp);
  globalThis.gc?.();
  const stop = startClocks();
  const latencies = [];
  const calls = await lanes.run(call, seconds, latencies);
  return { calls, callsWithWarmUp: warming + calls, ...stop(), latencies: lanes.inFlight === 1 ? latencies : undefined };
}

/** How far each lane has come: starting over with every loop, calls would be about the same first thousands of a million sessions. */
export class Lanes {
  #slots;
  #next;

  constructor(slots, inFlight) {
    if (inFlight > slots) throw new Error(`${slots} sessions are too few for ${inFlight} calls in flight`);
    this.#slots = slots;
    this.#next = Array.from({ length: inFlight }, (_, first) => first);
  }

  get inFlight() {
    return this.#next.length;
  }

  /** @returns {Promise<number>} how many calls were made; `latencies` gets those of a single lane. */
  async run(call, seconds, latencies) {
    const ends = performance.now() + seconds * 1000;
    const timed = this.inFlight === 1 && latencies;
    let calls = 0;
    const lane = async (first) => {
      for (let now = performance.now(); now < ends; ) {
        const slot = this.#next[first];
        const following = slot + this.inFlight;
        this.#next[first] = following < this.#slots ? following : first;
        await call(slot);
        calls++;
        const before = now;
        now = performance.now();
        if (timed && latencies.length < MOST_LATENCIES) latencies.push((now - before) * 1000);
      }
    };
    await Promise.all(this.#next.map((_, first) => lane(first)));
    return calls;
  }
}

/**
 * Open loop: `bare-client ticks`, on the servers' cores, says when a call is due, and a latency counts from then, so that a subject that falls
 * behind does not hide it. The same arrivals in every run.
 * @param {(slot: number, due: bigint) => Promise<void>} call `due` is of the clock of `process.hrtime.bigint()`.
 */
export async function openLoop(call, { slots, rate, seconds, warmUp, ticks, cores }) {
  const warming = await tickedCalls(call, slots, rate, warmUp, ticks, cores);
  globalThis.gc?.();
  const latencies = await tickedCalls(call, slots, rate, seconds, ticks, cores);
  return { calls: latencies.length, callsWithWarmUp: warming.length + latencies.length, latencies };
}

async function tickedCalls(call, slots, rate, seconds, ticks, cores) {
  const [command, args] = pinned(cores, ticks, ['ticks', '--rate', String(rate), '--seconds', String(seconds)]);
  const clock = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(clock, 'close');
  const free = Array.from({ length: slots }, (_, slot) => slot);
  const latencies = [];
  const pending = new Set();
  let failure;
  async function answer(due) {
    const slot = free.shift();
    if (slot === undefined) throw new Error(`more than ${slots} calls are in flight: ${rate.toFixed(0)} a second are too many`);
    await call(slot, due);
    latencies.push(Number(process.hrtime.bigint() - due) / 1000);
    free.push(slot);
  }
  let rest = Buffer.alloc(0);
  clock.stdout.on('data', (data) => {
    const stamps = rest.length > 0 ? Buffer.concat([rest, data]) : data;
    const whole = stamps.length - (stamps.length % 8);
    for (let offset = 0; offset < whole; offset += 8) {
      const answered = answer(stamps.readBigUInt64LE(offset))
        .catch((error) => {
          failure ??= error;
          clock.kill();
        })
        .finally(() => pending.delete(answered));
      pending.add(answered);
    }
    rest = stamps.subarray(whole);
  });
  const [code, signal] = await closed;
  await Promise.all(pending);
  if (failure) throw failure;
  if (code !== 0) throw new Error(`bare-client ticks ended with ${code ?? signal}`);
  return latencies;
}
