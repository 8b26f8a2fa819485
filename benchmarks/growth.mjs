// Growth: what a call of this store costs with more sessions in its cache, larger sessions, more calls in flight, and more stores in the
// process. Each point is a process of its own, on servers of its own.

import { Servers } from './servers.mjs';
import { median } from './statistics.mjs';
import { Subject } from './subject.mjs';

const SMALL = 500;
const SIZES = [500, 2000, 8000, 32_000, 100_000, 300_000];
const IN_FLIGHT = [1, 4, 16, 64, 256, 1024];
const STORES = [1, 10, 100, 1000];
const CACHED = [1000, 10_000, 100_000, 1_000_000];

const USUAL_WORK = { workload: 'warm get', size: 2000, slots: 256, inFlight: 64 };

/** By the names that `--curves` takes; `values` and `at` may depend on the options. */
const CURVES = {
  cached: {
    title: 'Warm get of 0.5 kB: sessions whose data keys are cached',
    unit: 'sessions',
    values: ({ growthCap }) => CACHED.filter((count) => count <= growthCap),
    // In the table and in the cache; the calls go round over all of them.
    at: (count) => ({
      work: { ...USUAL_WORK, size: SMALL, slots: count },
      options: { keyCache: { maxEntries: 2 * count }, maxRecentSessions: 2 * count },
    }),
  },
  'get-size': {
    title: 'Warm get: size of the session',
    unit: 'bytes of JSON',
    values: () => SIZES,
    at: (size) => ({ work: { ...USUAL_WORK, size, slots: 128 } }),
  },
  'get-set-size': {
    title: 'Get + set: size of the session',
    unit: 'bytes of JSON',
    values: () => SIZES,
    at: (size) => ({ work: { ...USUAL_WORK, workload: 'get + set', size, slots: 128 } }),
  },
  'in-flight': {
    title: 'Warm get of 2 kB: calls in flight',
    unit: 'calls in flight',
    values: ({ growthCap }) => IN_FLIGHT.filter((count) => count <= growthCap),
    at: (count, { growthCap }) => {
      const slots = Math.min(1024, growthCap);
      return { work: { ...USUAL_WORK, slots, inFlight: count }, options: { maxCallsInFlight: 2 * slots } };
    },
  },
  stores: {
    title: 'Warm get of 2 kB: stores in the process',
    unit: 'stores',
    values: () => STORES,
    at: (stores) => ({ work: { ...USUAL_WORK, slots: Math.max(256, stores), stores } }),
  },
};
export const CURVE_NAMES = Object.keys(CURVES);

/** @returns {Promise<object>} curves by name: `{ run, title, unit, points: [{ at, cpu, main, speed, rss, busy }] }` */
export async function runGrowth(built, cores, options, run) {
  const curves = {};
  for (const name of options.curves) {
    const { title, unit, values, at } = CURVES[name];
    console.log(`\n${title}`);
    const points = [];
    for (const value of values(options)) {
      points.push({ at: value, ...(await measurePoint(built, cores, options, at(value, options))) });
      console.log(`  ${String(value).padStart(9)}  ${JSON.stringify(points.at(-1))}`);
    }
    curves[name] = { run, title, unit, points };
  }
  return curves;
}

async function measurePoint(built, cores, { rounds, seconds, warmUp }, { work, options = {} }) {
  const servers = await Servers.start(built.awsLocal, cores.servers);
  const subject = await Subject.start('v2', { where: servers.where, cores, ticks: built.bareClient, options });
  try {
    const { stores, ...loop } = work;
    if (stores) await subject.ask('addStores', { stores });
    await subject.ask('fill', { size: loop.size, slots: loop.slots });
    const figures = [];
    for (let round = 0; round < rounds; round++) {
      const [cpu, start] = [servers.micros(), performance.now()];
      const measured = await subject.ask('closedLoop', { ...loop, seconds, warmUp });
      const busy = (servers.micros() - cpu) / 1000 / (performance.now() - start);
      figures.push({ ...measured, busy });
    }
    const rss = await subject.ask('rss');
    const of = (read) => Number(median(figures.map(read)).toPrecision(4));
    return {
      cpu: of(({ cpuMicros, calls }) => cpuMicros / calls),
      main: of(({ mainMicros, calls }) => mainMicros / calls),
      speed: of(({ calls, seconds }) => calls / seconds),
      busy: of(({ busy }) => busy),
      rss,
    };
  } finally {
    await subject.stop();
    await servers.stop();
  }
}
