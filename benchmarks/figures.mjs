// From what was measured in each round to medians and ratios. A ratio is to the plain plan in the same round, so that what the machine did
// otherwise cancels out.

import { cellKey } from './cells.mjs';
import { USUAL } from './options.mjs';
import { spread } from './statistics.mjs';

/** What is read off one measurement of a cell. `undefined` where a subject has none. */
export const READ = {
  cpu: ({ cpuMicros, calls }) => cpuMicros / calls,
  main: ({ mainMicros, calls }) => mainMicros / calls,
  speed: ({ calls, seconds }) => calls / seconds,
  p50: ({ latency }) => latency?.p50,
  p99: ({ latency }) => latency?.p99,
  p999: ({ latency }) => latency?.p999,
  rss: ({ rss }) => rss,
  busy: ({ serversBusy }) => serversBusy,
};

/** Median and range of a figure over the rounds. */
export function figure(rounds, read) {
  return spread((rounds ?? []).map(read));
}

/** Median and range of `above`'s figure divided by `below`'s, round by round. */
export function ratio(above, below, read) {
  return spread((above ?? []).map((measured, round) => read(measured) / (below?.[round] ? read(below[round]) : Number.NaN)));
}

/** The rounds of a subject in a cell of the usual size and lanes. */
export function usual(results, workload, subject, open) {
  return results.cells[cellKey({ workload, ...USUAL, open })]?.subjects[subject];
}

/**
 * The budgets: `wanted` is the least (`≥`) or the most (`≤`) that `found` may be.
 * @returns {{ what: string, sign: '≥' | '≤', wanted: number, found?: object, unit: string, met?: boolean }[]}
 */
export function budgets(results, subject = 'v2') {
  const less = (workload, read) => ratio(usual(results, workload, 'plain'), usual(results, workload, subject), read);
  const more = (workload, read, open) =>
    ratio(usual(results, workload, subject, open), usual(results, workload, 'plain', open), read);
  const starts = results.startUp;
  const list = [
    ['warm get: CPU, times less than the plain plan', '≥', 12, less('warm get', READ.cpu), '×'],
    ['warm get: main thread, times less', '≥', 40, less('warm get', READ.main), '×'],
    ['get + set: CPU, times less', '≥', 10, less('get + set', READ.cpu), '×'],
    ['get + set: main thread, times less', '≥', 30, less('get + set', READ.main), '×'],
    ['rolling unmodified request through Fastify: requests/s, times as many', '≥', 4, more('rolling request', READ.speed), '×'],
    ["warm get: p99 at half the plain plan's load, part of its p99", '≤', 1 / 5, more('warm get', READ.p99, true), ''],
    ['get + set: p99, likewise', '≤', 1 / 5, more('get + set', READ.p99, true), ''],
    ['rolling unmodified request through Fastify: p99, likewise', '≤', 1 / 5, more('rolling request', READ.p99, true), ''],
    ['loading the module', '≤', 15, figure(starts[subject], (start) => start.loadMillis), ' ms'],
    ['RSS after loading and a call, part of the plain plan’s', '≤', 1 / 2, ratio(starts[subject], starts.plain, READ.rss), ''],
    [
      'warm get: CPU, times the bare HTTP client’s',
      '≤',
      3,
      ratio(usual(results, 'warm get', subject), usual(results, 'warm get', 'bare'), READ.cpu),
      '×',
    ],
  ];
  return list.map(([what, sign, wanted, found, unit]) => {
    const met = found && (sign === '≥' ? found.median >= wanted : found.median <= wanted);
    return { what, sign, wanted, found, unit, met };
  });
}
