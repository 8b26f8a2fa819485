// From what was measured in each round to medians and ratios. A ratio is to the plain plan in the same round, so that what the machine did
// otherwise cancels out.

import { cellKey } from './cells.mjs';
import { spread } from './statistics.mjs';
import { USUAL } from './usual.mjs';

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

/** @returns the percentiles of all rounds together, of an open loop of the usual size. */
function pooled(results, workload, subject) {
  return results.cells[cellKey({ workload, ...USUAL, open: true })]?.pooled[subject];
}

/** What is known of all rounds together, with the range of what was found in each. */
export function ofAllRounds(all, rounds) {
  return Number.isFinite(all) ? { ...rounds, median: all } : undefined;
}

/** The rounds of a subject in a cell of the usual size and lanes. */
export function usual(results, workload, subject, { open, inFlight = USUAL.inFlight } = {}) {
  return results.cells[cellKey({ workload, ...USUAL, inFlight, open })]?.subjects[subject];
}

/**
 * The budgets: `wanted` is the least (`≥`) or the most (`≤`) that `found` may be.
 * @returns {{ what: string, sign: '≥' | '≤', wanted: number, found?: object, unit: string, met?: boolean }[]}
 */
export function budgets(results, subject = 'v2') {
  const less = (workload, read) => ratio(usual(results, workload, 'plain'), usual(results, workload, subject), read);
  const more = (workload, read) => ratio(usual(results, workload, subject), usual(results, workload, 'plain'), read);
  const part = (workload, percentile) => {
    const [ours, plans] = [pooled(results, workload, subject), pooled(results, workload, 'plain')];
    const rounds = ratio(
      usual(results, workload, subject, { open: true }),
      usual(results, workload, 'plain', { open: true }),
      READ[percentile],
    );
    return ofAllRounds(ours?.[percentile] / plans?.[percentile], rounds);
  };
  const together = (inFlight) =>
    ratio(usual(results, 'warm get', subject, { inFlight }), usual(results, 'warm get', 'alone', { inFlight }), READ.cpu);
  const starts = results.startUp;
  const list = [
    ['warm get: CPU, times less than the plain plan', '≥', 12, less('warm get', READ.cpu), '×'],
    ['warm get: main thread, times less', '≥', 40, less('warm get', READ.main), '×'],
    ['warm get, 64 in flight: CPU, times that without batch reads', '≤', 1 / 2, together(64), '×'],
    ['warm get, 1 in flight: likewise', '≤', 1.05, together(1), '×'],
    ['get + set: CPU, times less', '≥', 12, less('get + set', READ.cpu), '×'],
    ['get + set: main thread, times less', '≥', 30, less('get + set', READ.main), '×'],
    ['rolling unmodified request through Fastify: requests/s, times as many', '≥', 4, more('rolling request', READ.speed), '×'],
    ...['warm get', 'get + set', 'rolling request'].flatMap((workload) =>
      ['p50', 'p99'].map((percentile) => [
        `${workload}: ${percentile} at half the plain plan’s load, part of the plan’s`,
        '≤',
        1 / 5,
        part(workload, percentile),
        '',
      ]),
    ),
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
