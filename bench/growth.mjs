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

/** @returns {Promise<object[]>} curves: `{ title, unit, points: [{ at, cpu, main, speed, rss, busy }] }` */
export async function runGrowth(built, cores, options) {
  const cached = CACHED.filter((count) => count <= options.growthCap);
  const slots = Math.min(1024, options.growthCap);
  const inFlight = IN_FLIGHT.filter((count) => count <= slots);
  const usual = { workload: 'warm get', size: 2000, slots: 256, inFlight: 64 };
  const wanted = [
    [
      'Warm get of 0.5 kB: sessions whose data keys are cached',
      'sessions',
      cached,
      // In the table and in the cache; the calls go round over all of them.
      (count) => ({
        work: { ...usual, size: SMALL, slots: count },
        options: { keyCache: { maxEntries: 2 * count }, maxRecentSessions: 2 * count },
      }),
    ],
    ['Warm get: size of the session', 'bytes of JSON', SIZES, (size) => ({ work: { ...usual, size, slots: 128 } })],
    [
      'Get + set: size of the session',
      'bytes of JSON',
      SIZES,
      (size) => ({ work: { ...usual, workload: 'get + set', size, slots: 128 } }),
    ],
    [
      'Warm get of 2 kB: calls in flight',
      'calls in flight',
      inFlight,
      (count) => ({ work: { ...usual, slots, inFlight: count }, options: { maxCallsInFlight: 2 * slots } }),
    ],
    [
      'Warm get of 2 kB: stores in the process',
      'stores',
      STORES,
      (stores) => ({ work: { ...usual, slots: Math.max(256, stores), stores } }),
    ],
  ];
  const curves = [];
  for (const [title, unit, values, at] of wanted) {
    console.log(`\n${title}`);
    const points = [];
    for (const value of values) {
      points.push({ at: value, ...(await measurePoint(built, cores, options, at(value))) });
      console.log(`  ${String(value).padStart(9)}  ${JSON.stringify(points.at(-1))}`);
    }
    curves.push({ title, unit, points });
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
