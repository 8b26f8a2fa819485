// What is measured stands in the report: figures are made up, and looked for.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cellKey, cellsOf } from './cells.mjs';
import { svg } from './chart.mjs';
import { budgets } from './figures.mjs';
import { LONGEST_STRETCH, tooLong } from './main-thread.mjs';
import { readOptions } from './options.mjs';
import { markdown } from './report.mjs';
import { SUBJECTS, takesPart } from './subjects/index.mjs';
import { ROUTES, WORKLOADS } from './work.mjs';

const MEBIBYTE = 2 ** 20;
const options = readOptions([
  '--rounds',
  '2',
  '--seconds',
  '7',
  '--open-calls',
  '8000',
  '--warm-up',
  '0.9',
  '--rss-sessions',
  '5000',
]);
const machine = { date: '2030-01-02 03:04', processor: 'Made-up 9000', cores: 64, memoryGiB: 128, system: 'None', node: 'v99' };
const run = { machine: { ...machine, pinned: 'nothing is pinned', loadAverage: [1.5, 2.5, 3.5] }, version: '9.8.7', options };

/** What one call costs a subject, in µs; everything else follows from it. */
const USUAL_COSTS = { v2: 31, v1: 37, alone: 63, users: 41, plain: 2300, 'connect-dynamodb': 1300, memory: 3, bare: 21 };

/** Of all rounds together; a round by itself is a little faster. */
const pooledOf = (cost) => ({ calls: 12_345, p50: cost * 11, p99: cost * 13, p999: cost * 17 });

function measured(cell, cost) {
  const latency = { p50: cost * 10, p99: cost * 12, p999: cost * 16 };
  const closed = { cpuMicros: cost * 1000, mainMicros: cost * 20, seconds: cost / 10 };
  return { calls: 1000, latency, serversBusy: 0.5, awsCalls: { 'dynamodb:GetItem': 1 }, ...(cell.open ? {} : closed) };
}

function resultsWith(costs) {
  const ids = Object.keys(SUBJECTS);
  const bySubject = (make, wanted = ids) => Object.fromEntries(wanted.map((id) => [id, make(costs[id], id)]));
  const cells = cellsOf(options).map((cell) => {
    const rounds = (cost) => [measured(cell, cost), measured(cell, cost)];
    const measurable = ids.filter((id) => takesPart(id, cell) && (cell.kind === 'direct' || id !== 'bare'));
    const pooled = cell.open ? bySubject((cost) => pooledOf(cost), measurable) : {};
    return [cellKey(cell), { cell, subjects: bySubject(rounds, measurable), pooled }];
  });
  const starts = ids.filter((id) => id !== 'bare' && !SUBJECTS[id].variant);
  const mebibytes = (amount) => amount * MEBIBYTE;
  return {
    cells: Object.fromEntries(cells),
    startUp: bySubject(
      (cost) => [
        { loadMillis: cost / 7, firstCallMillis: cost / 9, rss: mebibytes(cost), rssAfterGc: mebibytes(cost - 1), bareRss: 1 },
      ],
      starts,
    ),
    memory: bySubject(
      (_, id) => [
        {
          ...{ before: mebibytes(101), loaded: mebibytes(202), idle: mebibytes(303), closed: mebibytes(505) },
          second: SUBJECTS[id].plateau && mebibytes(404),
        },
      ],
      starts,
    ),
  };
}

/** The lines of a section, up to the next one. */
function section(text, title) {
  const [, after] = text.split(`\n${title}\n`);
  assert.ok(after !== undefined, `there is no "${title}"`);
  return after.split('\n#', 1)[0];
}

function row(text, ...starts) {
  const found = text.split('\n').find((line) => line.startsWith(`| ${starts.join(' | ')} |`));
  assert.ok(found, `there is no row "${starts.join(', ')}" in ${text}`);
  return found.split('|').map((cell) => cell.trim());
}

describe('the report', () => {
  const results = resultsWith(USUAL_COSTS);
  const text = markdown({ table: { ...run, results } });

  it('says when, where and how long was measured', () => {
    for (const said of ['2030-01-02 03:04', 'Made-up 9000', '64 cores', '9.8.7', '1.5, 2.5, 3.5'])
      assert.ok(text.includes(said), said);
    assert.match(
      text,
      /2 rounds of 7 s after 0\.9 s of warm-up, open loops of 8,000 calls in all; this store, .*bare HTTP client/,
    );
  });

  it('has every workload, size and number of calls in flight, for every subject', () => {
    const closed = cellsOf(options).filter(({ open }) => !open);
    assert.deepEqual(new Set(closed.map(({ workload }) => workload)), new Set(Object.keys({ ...WORKLOADS, ...ROUTES })));
    const titles = text.split('\n').filter((line) => line.startsWith('### '));
    assert.equal(titles.length, closed.length);
    for (const cell of closed) {
      const [, size, lanes] = cellKey(cell).split(', ');
      const title = titles.find(
        (line) => line.endsWith(`: ${size}, ${lanes}`) && line.includes(WORKLOADS[cell.workload] ?? cell.workload.split(' ')[0]),
      );
      const table = section(text, title);
      for (const id of Object.keys(results.cells[cellKey(cell)].subjects)) row(table, SUBJECTS[id].name);
    }
  });

  it('has the cost of a call, its ratio to the plain plan, calls a second and AWS calls', () => {
    const table = section(text, '### get, data key cached: 2 kB, 64 in flight');
    assert.deepEqual(row(table, '').slice(2, -1), [
      ...['CPU µs/call', 'times less', 'main thread µs/call', 'times less', 'calls/s', 'times as many', 'AWS calls per call'],
    ]);
    const ratio = `${(2300 / 31).toPrecision(3)}×`;
    assert.deepEqual(row(table, 'this store').slice(2, -1), ['31', ratio, '0.62', ratio, '323', ratio, '1 GetItem']);
  });

  it('has the latencies of the open loops', () => {
    const table = section(text, '## Latency under load');
    for (const what of [WORKLOADS['warm get'], WORKLOADS['get + set'], 'rolling unmodified request through Fastify']) {
      assert.deepEqual(
        row(table, what, 'this store').slice(3, -1),
        ['12,345', '0.341', '0.403', '0.527', '0.0135', '0.0135'],
        what,
      );
    }
  });

  it('has in each cell the subjects that take part in it', () => {
    const names = (title) =>
      section(text, title)
        .split('\n')
        .filter((line) => line.startsWith('| '))
        .map((line) => line.split('|')[1].trim());
    const batches = 'this store, batchReads: false';
    assert.ok(names('### get, data key cached: 2 kB, 1 in flight').includes(batches));
    assert.ok(!names('### get, data key cached: 2 kB, 1 in flight').includes('this store, users'));
    assert.ok(!names('### get, data key cached: 50 kB, 64 in flight').includes(batches));
    assert.ok(names('### get + set, changed: 2 kB, 64 in flight').includes('this store, users'));
    assert.ok(!names('## Start-up').includes(batches));
    const late = section(text, '## Latency under load');
    row(late, WORKLOADS['warm get'], batches);
    assert.throws(() => row(late, WORKLOADS['warm get'], 'MemoryStore'));
  });

  it('has start-up and memory, which returns to its plateau or not', () => {
    const starts = row(section(text, '## Start-up'), 'plain TypeScript plan');
    assert.deepEqual(starts.slice(2, 6), ['329', '256', '2,300', '1']);
    const memory = section(text, '## Memory');
    assert.match(
      memory,
      /after 5,000 sessions of 2 kB .* idle, after a garbage collection .* the same sessions again .* after close/,
    );
    assert.deepEqual(row(memory, 'this store').slice(2, -1), ['101', '202', '303', '404', '505', '1.00']);
    assert.deepEqual(row(memory, 'MemoryStore').slice(2, -1), ['101', '202', '303', '–', '505', '1.00']);
  });

  it('has the curves, and says of which run each is', () => {
    const points = [10, 1000].map((at) => ({ at, cpu: at + 1, main: 2, speed: 3, rss: 4 * MEBIBYTE, busy: 0.05 }));
    const later = { ...run, machine: { ...run.machine, date: '2031-01-01 00:00' } };
    const curves = { a: { run, title: 'Curve A', unit: 'a', points }, b: { run: later, title: 'Curve B', unit: 'b', points } };
    const grown = markdown({ curves });
    assert.deepEqual(row(section(grown, '### Curve A'), '1,000').slice(2, -1), ['1,001', '2', '3', '4', '5 %']);
    assert.ok(grown.indexOf('2031-01-01') > grown.indexOf('Curve A'));
    for (const title of ['Curve A', 'Curve B']) assert.ok(svg({ curves }).includes(title));
  });

  it('tells a call that holds the main thread too long', () => {
    const of = (median) => ({ median, p99: median });
    const rest = { size: 2000, calls: 5, json: of(1), passes: 1, longest: of(1), entering: of(1) };
    const good = { operation: 'good', ...rest, answering: of(LONGEST_STRETCH) };
    const bad = { operation: 'bad', ...rest, answering: of(LONGEST_STRETCH + 1) };
    const table = section(markdown({ mainThread: { ...run, rows: [good, bad] } }), '## Main thread');
    assert.deepEqual([row(table, 'good, 2 kB')[4], row(table, 'bad, 2 kB')[4]], ['yes', '**no**']);
    assert.deepEqual(tooLong([good, bad]), [bad]);
  });
});

describe('the chart', () => {
  it('has a bar of every subject for every workload', () => {
    const drawn = svg({ table: { ...run, results: resultsWith(USUAL_COSTS) } });
    for (const workload of Object.keys({ ...WORKLOADS, ...ROUTES })) assert.ok(drawn.includes(`>${workload}<`), workload);
    for (const { name } of Object.values(SUBJECTS)) assert.ok(drawn.includes(`>${name}<`), name);
    assert.doesNotMatch(drawn, /NaN|undefined|Infinity/);
  });
});

describe('the budgets', () => {
  const outcome = (costs) => Object.fromEntries(budgets(resultsWith(costs)).map(({ what, met }) => [what, met]));

  it('are met by figures that meet them', () => {
    assert.deepEqual([...new Set(Object.values(outcome(USUAL_COSTS)))], [true]);
  });

  it('are missed by figures that miss them, and the report says by how much', () => {
    const costs = { ...USUAL_COSTS, v2: 2300 };
    assert.deepEqual([...new Set(Object.values(outcome(costs)))], [false]);
    const table = section(markdown({ table: { ...run, results: resultsWith(costs) } }), '## Budgets');
    assert.match(
      table,
      /\| warm get: CPU, times less than the plain plan \| ≥ 12× \| 1× \| \*\*missed\*\* by a factor of 12\.00 \|/,
    );
  });

  it('are not met by what was not measured', () => {
    const results = resultsWith(USUAL_COSTS);
    results.cells = {};
    assert.equal(budgets(results).filter(({ met }) => met).length, 2, 'loading and RSS alone');
    assert.match(markdown({ table: { ...run, results } }), /\| not measured \|/);
  });

  it('are about the latency of reads, changes and rolling requests', () => {
    const late = budgets(resultsWith(USUAL_COSTS)).filter(({ what }) => what.includes('p99'));
    assert.deepEqual(
      late.map(({ what }) => what.split(':', 1)[0]),
      ['warm get', 'get + set', 'rolling request'],
    );
  });
});
