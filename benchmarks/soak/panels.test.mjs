// What the pictures of the dashboard's graphs are made of: lines from Prometheus, and whether a fault is visible in them.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { svg } from './graph.mjs';
import { alertsIn, changesOf, linesOf, panelsOf } from './panels.mjs';

const PHASES = [
  { label: 'healthy', from: 0, to: 9 },
  { label: 'slow', from: 10, to: 19 },
  { label: 'down', from: 30, to: 39 },
];
const line = (valueAt, name = 'get') => ({
  name,
  points: Array.from({ length: 50 }, (_, at) => [at, valueAt(at)]).filter(([, value]) => value !== undefined),
});
const changes = (...lines) => changesOf(lines, PHASES).map(({ label }) => label);

const TARGET = {
  expr: 'sum by (code) (rate(errors_total{job=~"$job", instance=~"$instance"}[$__rate_interval]))',
  legendFormat: 'error {{code}}',
};
const dashboard = (mode) => ({
  panels: [
    { type: 'row', title: 'Calls' },
    { type: 'stat', title: 'Now', targets: [] },
    {
      type: 'timeseries',
      title: 'Failures by code',
      targets: [TARGET],
      fieldConfig: { defaults: { unit: 'ops', custom: { stacking: { mode } } } },
    },
  ],
});

describe('the graphs of a dashboard', () => {
  it('are asked of Prometheus with all variables filled in, and named as the legend says', async () => {
    const [panel, ...others] = panelsOf(dashboard('normal'), '10s');
    assert.deepEqual(others, []);
    assert.deepEqual(panel, {
      title: 'Failures by code',
      file: 'failures-by-code.svg',
      unit: 'ops',
      stacked: true,
      targets: [{ expression: 'sum by (code) (rate(errors_total{job=~".*", instance=~".*"}[10s]))', legend: 'error {{code}}' }],
    });
    const asked = [];
    const prometheus = {
      queryRange: async (...given) => {
        asked.push(given);
        return [
          {
            metric: { code: 'E1' },
            values: [
              [100, '2'],
              [102, 'NaN'],
              [104, '3'],
            ],
          },
        ];
      },
    };
    const range = { start: 100, end: 104, step: 2 };
    const found = await linesOf(panel, prometheus, range);
    assert.deepEqual(asked, [[panel.targets[0].expression, range]]);
    assert.deepEqual(found, [
      {
        name: 'error E1',
        points: [
          [0, 2],
          [4, 3],
        ],
      },
    ]);
  });

  it('show a fault if a line leaves its usual range by a tenth of the height', () => {
    assert.deepEqual(changes(line((at) => (at >= 30 ? 12 : 10 + (at % 2) * 0.5))), ['down']);
    assert.deepEqual(changes(line((at) => (at >= 30 ? 11.2 : 10 + (at % 2) * 0.5))), []);
    assert.deepEqual(changes(line((at) => (at >= 10 && at < 40 ? 5 : 10))), ['slow', 'down']);
    assert.deepEqual(changes(line(() => 10)), []);
    // A change that the height of another line hides.
    const small = line((at) => (at >= 30 ? 12 : 10));
    assert.deepEqual(
      changes(
        small,
        line(() => 100, 'set'),
      ),
      [],
    );
  });

  it('show a fault if a line appears, and none between the phases', () => {
    assert.deepEqual(changes(line((at) => (at >= 30 ? 1 : undefined))), ['down']);
    assert.deepEqual(changes(line((at) => (at === 25 ? 20 : 1))), []);
  });

  it('have the alerts of each phase', () => {
    const firing = { Slow: [12, 13, 22], Retried: [12], Down: [30] };
    assert.deepEqual(
      PHASES.map((phase) => alertsIn(phase, firing)),
      [[], ['Retried', 'Slow'], ['Down']],
    );
  });
});

describe('the picture of a graph', () => {
  const run = { phases: PHASES.slice(1), seconds: 50, step: 1 };
  const draw = (mode, lines) => svg(panelsOf(dashboard(mode), '10s')[0], lines, run);
  const paths = (picture) => picture.match(/<g .*?<\/g>/s)[0].match(/<path d="[^"]*"/g);

  it('has its title, its unit, the names of its lines and of the phases', () => {
    const picture = draw('none', [line((at) => at, 'a<b'), line(() => 3, 'set')]);
    for (const told of ['<title>Failures by code</title>', '>60/s<', '>a&lt;b<', '>set<', '>slow<', '>down<', '>0<'])
      assert.ok(picture.includes(told), told);
    assert.equal(paths(picture).length, 2);
  });

  it('leaves out what a straight line shows as well, and leaves gaps where there is nothing', () => {
    const [straight] = paths(draw('none', [line((at) => at)]));
    assert.equal(straight.match(/-?\.?\d+(\.\d+)?/g).length, 4, straight);
    const [broken] = paths(draw('none', [line((at) => (at > 20 && at < 30 ? undefined : at))]));
    assert.equal(broken.match(/M/g).length, 2, broken);
    const [dot] = paths(draw('none', [line((at) => (at === 20 ? 5 : undefined))]));
    assert.match(dot, /M[\d. ]+l0 0"/);
  });

  it('puts lines on top of each other where the dashboard does', () => {
    const lines = [line(() => 10, 'get'), line((at) => (at < 20 ? undefined : 30), 'set')];
    assert.ok(draw('none', lines).includes('>30/s<'));
    assert.ok(draw('normal', lines).includes('>40/s<'));
    assert.ok(!draw('none', lines).includes('>40/s<'));
    // What has no value is 0 meanwhile, and no slope to its next value.
    const [area] = paths(draw('normal', [line((at) => (at === 10 || at === 40 ? 5 : undefined))]));
    assert.equal(area.match(/l(.*)V/)[1].match(/-?\.?\d+(\.\d+)?/g).length / 2, 7, area);
  });

  it('shows the lines that change most if there are too many, and says so', () => {
    const flat = Array.from({ length: 14 }, (_, index) => line(() => 100, `flat ${index}`));
    const picture = draw('none', [...flat, line((at) => at, 'moving')]);
    assert.equal(paths(picture).length, 12);
    assert.ok(picture.includes('>moving<'));
    assert.ok(picture.includes('>and 3 lines that change less<'));
  });
});
