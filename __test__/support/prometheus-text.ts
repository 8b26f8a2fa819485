// A strict reader of Prometheus' text format (version 0.0.4), which also checks what `promtool check metrics` does: names, units and types.

import assert from 'node:assert/strict';

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  type: string;
  help: string;
  samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== ''; ) {
    const [whole, name, value] = LABEL.exec(rest) ?? assert.fail(`labels ${rest}`);
    assert.ok(!(name! in labels), `label ${name} twice`);
    labels[name!] = value!.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(whole.length);
  }
  return labels;
}

function numberOf(text: string): number {
  if (text === '+Inf' || text === '-Inf') return Number(`${text}inity`);
  const value = Number(text);
  assert.ok(Number.isFinite(value), `value ${text}`);
  return value;
}

/** The buckets of each series of a histogram must be cumulative, end with +Inf, and have its sum and count beside them. */
function checkHistogram(name: string, samples: Sample[]): void {
  const series = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le, ...labels } = sample.labels;
    const key = JSON.stringify(Object.entries(labels).sort());
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const [labels, ofSeries] of series) {
    const of = (suffix: string) => ofSeries.filter((sample) => sample.name === name + suffix);
    const bounds = of('_bucket').map(({ labels: { le } }) => numberOf(le!));
    assert.deepEqual(
      bounds,
      [...new Set(bounds)].sort((a, b) => a - b),
      labels,
    );
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY);
    const counts = of('_bucket').map(({ value }) => value);
    assert.deepEqual(
      counts,
      [...counts].sort((a, b) => a - b),
      labels,
    );
    assert.deepEqual([of('_sum').length, of('_count').length], [1, 1], labels);
    assert.equal(of('_count')[0]!.value, counts.at(-1), labels);
  }
}

/** @returns the metrics by name. Fails if the text is not as it should be. */
export function parse(text: string): Map<string, Family> {
  assert.ok(text.endsWith('\n'));
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let family: Family | undefined;
  let current = '';
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, keyword, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      assert.match(name!, NAME);
      assert.ok(!families.has(name!), `${name} twice`);
      assert.notEqual(rest, '');
      family = { type: '', help: rest!, samples: [] };
      current = name!;
      families.set(current, family);
    } else if (keyword === 'TYPE') {
      assert.ok(family && current === name && family.type === '' && family.samples.length === 0, line);
      assert.match(rest!, /^(counter|gauge|histogram)$/);
      family.type = rest!;
    } else {
      const [, sample, labels = '', value] = SAMPLE.exec(line) ?? assert.fail(line);
      assert.ok(family?.type, line);
      const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      assert.ok(
        suffixes.some((suffix) => current + suffix === sample),
        line,
      );
      const parsed = labelsOf(labels);
      const key = `${sample} ${JSON.stringify(Object.entries(parsed).sort())}`;
      assert.ok(!seen.has(key), `${line} twice`);
      seen.add(key);
      family.samples.push({ name: sample!, labels: parsed, value: numberOf(value!) });
    }
  }
  for (const [name, { type, samples }] of families) {
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    assert.doesNotMatch(name, /_(count|sum|bucket|info)$|milliseconds|_ms_|counter|gauge/);
    for (const { value } of samples) assert.ok(value >= 0, name);
    if (type === 'histogram') checkHistogram(name, samples);
  }
  return families;
}
