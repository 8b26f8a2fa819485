// RESULTS.md: what was measured, in tables.

import { cellKey } from './cells.mjs';
import { budgets, figure, ofAllRounds, READ, ratio } from './figures.mjs';
import { LONGEST_STRETCH, stretch } from './main-thread.mjs';
import { SUBJECTS } from './subjects/index.mjs';
import { WORKLOADS } from './work.mjs';

/** Above this share of their cores the servers are what limits calls/s. */
const SATURATED = 0.9;

const TITLES = {
  ...WORKLOADS,
  'rolling request': 'rolling unmodified request through Fastify',
  'due rolling request': 'due rolling request through Fastify (its end is written)',
  'modifying request': 'modifying request through Fastify',
};

const MEBIBYTE = 2 ** 20;

/** @param {{ table?: object, curves?: object, mainThread?: object }} results of the last run of each kind. */
export function markdown({ table, curves, mainThread }) {
  const parts = [
    '# Benchmark results',
    'Made by `npm run bench`; [README.md](README.md) says what is measured and how.',
    '![Chart](results.svg)',
  ];
  if (table) {
    parts.push(machineLines(table), '## Budgets', budgetTable(table.results));
    for (const closed of Object.values(table.results.cells)) if (!closed.cell.open) parts.push(...cellTable(closed));
    parts.push('## Latency under load', latencyTable(table.results), '## Start-up', startTable(table.results));
    if (Object.keys(table.results.memory).length > 0) parts.push('## Memory', memoryTable(table));
  }
  if (curves) parts.push('## Growth', ...growthTables(Object.values(curves)));
  if (mainThread) parts.push('## Main thread', ...stretchSection(mainThread));
  return `${parts.join('\n\n')}\n`;
}

function machineLines({ machine, version, options }, amount = roundsOf(options)) {
  const load = machine.loadAverage.join(', ');
  return [
    `- ${machine.date} UTC, ${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}; ${machine.pinned}`,
    `- Node.js ${machine.node}, connect-dynamodb-kms ${version}; load average before the run ${load}`,
    `- ${amount}${options.quick ? ' (`--quick`: it shows that the harness works, not how fast anything is)' : ''}`,
  ].join('\n');
}

function roundsOf({ rounds, seconds, warmUp, openCalls, growth, subjects }) {
  const each = `${rounds} rounds of ${seconds} s after ${warmUp} s of warm-up`;
  return growth
    ? each
    : `${each}, open loops of ${openCalls.toLocaleString('en')} calls in all; ${subjects.map((id) => SUBJECTS[id].name).join(', ')}`;
}

function budgetTable(results) {
  const rows = budgets(results).map(({ what, sign, wanted, found, unit, met }) => {
    if (!found) return [what, `${sign} ${number(wanted)}${unit}`, '–', 'not measured'];
    const off = sign === '≥' ? wanted / found.median : found.median / wanted;
    return [
      what,
      `${sign} ${number(wanted)}${unit}`,
      range(found, unit),
      met ? 'met' : `**missed** by a factor of ${off.toFixed(2)}`,
    ];
  });
  return `${grid(['budget (2 kB sessions)', 'wanted', 'found (min–max)', ''], rows)}\n\nRatios are medians over the rounds, each to the plain plan in the same round.`;
}

function cellTable({ cell, subjects }) {
  const { plain } = subjects;
  const rows = Object.entries(subjects).map(([id, rounds]) => {
    const busy = figure(rounds, READ.busy)?.median;
    const speed = figure(rounds, READ.speed);
    return [
      SUBJECTS[id].name,
      number(figure(rounds, READ.cpu)?.median),
      id === 'plain' ? '1' : range(ratio(plain, rounds, READ.cpu), '×'),
      number(figure(rounds, READ.main)?.median),
      id === 'plain' ? '1' : range(ratio(plain, rounds, READ.main), '×'),
      `${busy > SATURATED ? '≥ ' : ''}${number(speed?.median)}`,
      id === 'plain' ? '1' : range(ratio(rounds, plain, READ.speed), '×'),
      requests(rounds.at(-1).awsCalls),
    ];
  });
  const title = `### ${TITLES[cell.workload]}: ${cellKey(cell).split(', ').slice(1).join(', ')}`;
  const heads = [
    '',
    'CPU µs/call',
    'times less',
    'main thread µs/call',
    'times less',
    'calls/s',
    'times as many',
    'AWS calls per call',
  ];
  return [title, grid(heads, rows)];
}

/** `≥` before calls/s: the servers were busy, so the subject could have done more. */
function latencyTable(results) {
  const rows = [];
  for (const { cell, subjects, pooled } of Object.values(results.cells)) {
    if (!cell.open) continue;
    for (const [id, rounds] of Object.entries(subjects)) {
      const all = pooled[id];
      const millis = (percentile) =>
        range(
          ofAllRounds(
            all[percentile] / 1000,
            figure(rounds, (measured) => READ[percentile](measured) / 1000),
          ),
          '',
        );
      const part = (percentile) =>
        id === 'plain'
          ? '1'
          : range(ofAllRounds(all[percentile] / pooled.plain[percentile], ratio(rounds, subjects.plain, READ[percentile])), '');
      rows.push([
        TITLES[cell.workload],
        SUBJECTS[id].name,
        all.calls.toLocaleString('en'),
        ...['p50', 'p99', 'p999'].map(millis),
        ...['p50', 'p99'].map(part),
      ]);
    }
  }
  const heads = ['2 kB sessions', '', 'calls', 'p50 ms', 'p99 ms', 'p99.9 ms', 'p50, part of the plain plan’s', 'p99, likewise'];
  return `Open loop: Poisson arrivals at half of the calls/s that the plain plan did with 64 in flight; a latency counts from when the call was due. The percentiles are those of all rounds together, with the range of the rounds.\n\n${grid(heads, rows)}`;
}

function startTable({ startUp }) {
  const rows = Object.entries(startUp).map(([id, starts]) => {
    const of = (read) => range(figure(starts, read), '');
    return [
      SUBJECTS[id].name,
      of(({ loadMillis }) => loadMillis),
      of(({ firstCallMillis }) => firstCallMillis),
      of(({ rss }) => rss / MEBIBYTE),
      range(ratio(starts, startUp.plain, READ.rss), ''),
      of(({ rssAfterGc }) => rssAfterGc / MEBIBYTE),
      of(({ bareRss }) => bareRss / MEBIBYTE),
    ];
  });
  const rss = [
    'RSS after both, MiB',
    'part of the plain plan’s',
    'RSS after a garbage collection, MiB',
    'RSS of Node.js before, MiB',
  ];
  return grid(['', 'load ms', 'first call ms', ...rss], rows);
}

function memoryTable({ results, options }) {
  const mebibytes = (bytes) => (bytes === undefined ? '–' : (bytes / MEBIBYTE).toFixed(0));
  const rows = Object.entries(results.memory).map(([id, [{ before, loaded, idle, second, closed }]]) => [
    SUBJECTS[id].name,
    ...[before, loaded, idle, second, closed].map(mebibytes),
    (idle / results.memory.plain[0].idle).toFixed(2),
  ]);
  const heads = [
    '',
    'RSS MiB before',
    `after ${options.rssSessions.toLocaleString('en')} sessions of 2 kB`,
    'idle, after a garbage collection',
    'idle, after the same sessions again',
    'after close',
    'idle, part of the plain plan’s',
  ];
  return grid(heads, rows);
}

/** A curve may have been measured alone, later than the others. */
function growthTables(curves) {
  const runs = curves.map(({ run }) => machineLines(run));
  return curves.flatMap((curve, index) => [...(runs[index] === runs[index - 1] ? [] : [runs[index]]), growthTable(curve)]);
}

function growthTable({ title, unit, points }) {
  const heads = [unit, 'CPU µs/call', 'main thread µs/call', 'calls/s', 'RSS MiB', 'servers busy'];
  const rows = points.map((point) => [
    point.at.toLocaleString('en'),
    number(point.cpu),
    number(point.main),
    number(point.speed),
    number(point.rss / MEBIBYTE),
    `${Math.round(point.busy * 100)} %`,
  ]);
  return `### ${title}\n\n${grid(heads, rows)}`;
}

/** In µs, as they were measured; in the table milliseconds. */
function stretchSection({ rows, ...run }) {
  const both = ({ median, p99 }) => `${number(median / 1000)} (${number(p99 / 1000)})`;
  const lines = rows.map(({ size, operation, entering, answering, json, passes, longest }) => [
    `${operation}, ${size / 1000} kB`,
    both(entering),
    both(answering),
    stretch({ entering, answering }) <= LONGEST_STRETCH ? 'yes' : '**no**',
    `${both(json)}, ${passes}`,
    both(longest),
  ]);
  const heads = [
    'milliseconds: median (99th percentile)',
    'until the method returns, beside JSON',
    'from an answer to the callback or the next request, beside JSON',
    `at most ${LONGEST_STRETCH / 1000} ms`,
    'JSON, passes',
    'longest stretch, with JSON',
  ];
  return [machineLines(run, `${rows[0].calls} calls of each, one after another`), grid(heads, lines)];
}

function requests(awsCalls) {
  const listed = Object.entries(awsCalls ?? {}).map(([action, share]) => `${share} ${action.split(':')[1]}`);
  return listed.join(' + ') || 'none';
}

export function number(value) {
  if (value === undefined || !Number.isFinite(value)) return '–';
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

function range(found, unit) {
  if (!found) return '–';
  const { median, min, max } = found;
  return min === max ? `${number(median)}${unit}` : `${number(median)}${unit} (${number(min)}–${number(max)})`;
}

function grid(heads, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map((_, column) => (column === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}
