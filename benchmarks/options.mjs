// What the command line says, and how much is measured without it.

import { parseArgs } from 'node:util';
import { CURVE_NAMES } from './growth.mjs';
import { SUBJECTS } from './subjects/index.mjs';

export const USAGE = `npm run bench                 the whole table; --quick shows in some minutes that it works
npm run bench -- [options]

  --quick               one round of half-second cells, 2,000 sessions for the memory
  --growth              growth curves instead of the table
  --main-thread         how long calls hold the main thread, instead of the table
  --rounds N            rounds (5)
  --seconds S           seconds of a cell (1); --warm-up S before each (0.4)
  --open-calls N        calls of an open loop, all rounds together (10,000, of which 100 are slower than the 99th percentile)
  --subjects A,B        of ${Object.keys(SUBJECTS).join(', ')}
  --in-flight 1,16,64   calls in flight of the sweep (1,16,64,256); the other workloads run with 64
  --rss-sessions N      sessions that are written before memory is read (100,000); 0 leaves it out
  --curves A,B          only these growth curves, of ${CURVE_NAMES.join(', ')}
  --growth-cap N        sessions in the cache at most, for --growth (100,000; 1,000,000 take about eight minutes and 5 GB)
  --client-cores N      cores for the subjects (1); the servers get the others
  --skip-build          takes what an earlier run has built`;

const DEFAULTS = { rounds: 5, seconds: 1, 'open-calls': 10_000, 'warm-up': 0.4, 'rss-sessions': 100_000 };
const QUICK = { rounds: 1, seconds: 0.5, 'open-calls': 100, 'warm-up': 0.3, 'rss-sessions': 2000 };

/** @throws on an option that is unknown or no number. */
export function readOptions(args) {
  const text = { type: 'string' };
  const flag = { type: 'boolean', default: false };
  const { values } = parseArgs({
    args,
    options: {
      ...{ quick: flag, growth: flag, help: flag, 'skip-build': flag, 'main-thread': flag },
      ...{ rounds: text, seconds: text, 'open-calls': text, 'warm-up': text, 'rss-sessions': text },
      ...{ subjects: text, 'in-flight': text, curves: text, 'growth-cap': text, 'client-cores': text },
    },
  });
  const given = { ...(values.quick ? QUICK : DEFAULTS), ...values };
  const subjects = values.subjects?.split(',') ?? Object.keys(SUBJECTS);
  for (const subject of subjects) if (!SUBJECTS[subject]) throw new Error(`there is no subject "${subject}"`);
  if (!subjects.includes('plain')) subjects.push('plain'); // ratios are to it
  const curves = values.curves?.split(',') ?? CURVE_NAMES;
  for (const curve of curves) if (!CURVE_NAMES.includes(curve)) throw new Error(`there is no growth curve "${curve}"`);
  return {
    quick: values.quick,
    growth: values.growth,
    mainThread: values['main-thread'],
    help: values.help,
    skipBuild: values['skip-build'],
    subjects,
    rounds: number('rounds', given.rounds),
    seconds: number('seconds', given.seconds),
    openCalls: number('open-calls', given['open-calls']),
    warmUp: number('warm-up', given['warm-up']),
    rssSessions: number('rss-sessions', given['rss-sessions']),
    curves,
    growthCap: number('growth-cap', given['growth-cap'] ?? (values.quick ? 2000 : 100_000)),
    clientCores: number('client-cores', given['client-cores'] ?? 1),
    inFlight: (given['in-flight'] ?? '1,16,64,256').split(',').map((lanes) => number('in-flight', lanes)),
  };
}

function number(name, value) {
  const read = Number(value);
  if (!Number.isFinite(read) || read < 0) throw new Error(`--${name} takes a number, not "${value}"`);
  return read;
}
