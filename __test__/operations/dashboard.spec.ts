// The dashboard and the alerts: valid for Grafana and Prometheus, and about metrics that this package exports.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { collect } from 'connect-dynamodb-kms/prometheus';
import { Registry } from 'prom-client';
import { parse } from 'yaml';
import { startLocal } from '../support/backends.ts';
import { installed } from '../support/command.ts';
import { GRAFANA, npmEnvironment } from '../support/environments.ts';
import { parsePromql } from '../support/promql.ts';

const run = promisify(execFile);
const infrastructure = join(installed, 'infrastructure');
const text = await readFile(join(infrastructure, 'grafana-dashboard.json'), 'utf8');
const dashboard = JSON.parse(text);
const panels: any[] = dashboard.panels;
const graphs = panels.filter(({ type }) => type !== 'row');
const rules: any[] = parse(await readFile(join(infrastructure, 'prometheus-alerts.yaml'), 'utf8')).groups.flatMap(
  (group: any) => group.rules,
);

/** In bytes. The pictures are looked at in a page. */
const LARGEST_PICTURE = 25_000;
/** The labels of each exported metric, by its name. */
const exported = new Map<string, Set<string>>();
/** Those that Prometheus adds to every metric of a target. */
const OF_THE_TARGET = ['job', 'instance'];

before(async () => {
  const backend = await startLocal();
  const register = new Registry();
  const store: DynamoDBSessionStore = backend.store();
  const { stop } = collect(store, { register });
  await store.set('sid', { cookie: {} });
  await store.get('sid');
  for (const line of (await register.metrics()).split('\n')) {
    const [, name, labels = ''] = /^(\w+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (name === undefined) continue;
    const own = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label!);
    exported.set(name, new Set([...(exported.get(name) ?? []), ...own]));
  }
  stop();
  await backend.stop();
});

/** Fails if the expression is no PromQL, or asks for what nobody exports. */
function assertAnswerable(expression: string): void {
  const { selectors, groups } = parsePromql(expression);
  assert.ok(selectors.length > 0, expression);
  const known = new Set(OF_THE_TARGET);
  for (const { metric, labels } of selectors) {
    const own = exported.get(metric);
    assert.ok(own, `${metric} is not exported`);
    for (const label of own) known.add(label);
    for (const label of labels) assert.ok(own.has(label) || OF_THE_TARGET.includes(label), `${metric} has no label ${label}`);
  }
  for (const label of groups) assert.ok(known.has(label), `nothing has the label ${label}: ${expression}`);
}

describe('the dashboard for Grafana', () => {
  it('fits the types of its model', { timeout: 300_000 }, async () => {
    const home = await mkdtemp(join(tmpdir(), 'grafana-'));
    await symlink(await npmEnvironment(...GRAFANA), join(home, 'node_modules'));
    const check = async (model: string) => {
      const code = `import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common';
        import type { Dashboard, FieldConfig, Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard';
        import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus';
        import type { Options as StatOptions } from '@grafana/grafana-foundation-sdk/stat';
        import type { FieldConfig as Lines, Options as LinesOptions } from '@grafana/grafana-foundation-sdk/timeseries';

        /** As JSON has it: with the values of enumerations, and without methods. */
        type Json<T> = T extends string ? \`\${T}\` : T extends (infer E)[] ? Json<E>[]
          : T extends object ? { [K in keyof T as T[K] extends () => void ? never : K]: Json<T[K]> } : T;
        type Graph<Type, Options, Custom> = Omit<Panel, 'type' | 'options' | 'targets' | 'fieldConfig'> & {
          type: Type; options: Options; targets: Dataquery[]; datasource: DataSourceRef;
          fieldConfig: { defaults: Omit<FieldConfig, 'custom'> & { custom?: Custom }; overrides: [] };
        };
        type Own = RowPanel | Graph<'stat', StatOptions, never> | Graph<'timeseries', LinesOptions, Lines>;
        export const dashboard: Json<Omit<Dashboard, 'panels'> & { panels: Own[] }> = ${model};`;
      await writeFile(join(home, 'dashboard.ts'), code);
      const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
      const options = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext', '--types', ''];
      await run(process.execPath, [tsc, ...options, 'dashboard.ts'], { cwd: home });
    };
    await check(text).catch((error) => assert.fail(error.stdout));
    for (const [right, wrong] of [
      ['"schemaVersion"', '"schemaversion"'],
      ['"palette-classic"', '"palette"'],
      ['"legendFormat"', '"legend"'],
      ['"graphMode"', '"graphmode"'],
    ] as const)
      await assert.rejects(check(text.replace(right, wrong)), { stdout: new RegExp(wrong) });
    await rm(home, { recursive: true });
  });

  it('has expressions about metrics and labels that the package exports', () => {
    const expressions = graphs.flatMap(({ targets }) => targets.map(({ expr }: any) => expr));
    assert.ok(expressions.length >= graphs.length);
    for (const expression of expressions) assertAnswerable(expression);
    const variables = dashboard.templating.list.filter(({ type }: any) => type === 'query');
    for (const { definition, query } of variables) {
      assert.equal(definition, query.query);
      const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(definition)!;
      assertAnswerable(selector!);
      assert.ok(OF_THE_TARGET.includes(label!));
    }
  });

  it('names in each legend labels that its expression groups by', () => {
    for (const { targets } of graphs) {
      for (const { expr, legendFormat } of targets) {
        const labels = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]: any) => label);
        assert.deepEqual(
          labels.filter((label) => !parsePromql(expr).groups.includes(label)),
          [],
          expr,
        );
      }
    }
  });

  it('leaves out no metric, but for a few that say the same as others', () => {
    const shown = new Set(
      graphs.flatMap(({ targets }) =>
        targets.flatMap(({ expr }: any) => parsePromql(expr).selectors.map(({ metric }) => metric)),
      ),
    );
    const base = (name: string) => name.replace(/_(bucket|sum|count)$/, '');
    const left = [...exported.keys()].map(base).filter((name) => ![...shown].map(base).includes(name));
    assert.deepEqual(
      [...new Set(left)].sort(),
      ['batch_read_requests_total', 'batch_reads_total', 'refreshes_early_total'].map((name) => `connect_dynamodb_kms_${name}`),
    );
  });

  it('asks the data source of its variable, and narrows every expression by its other variables', () => {
    for (const { datasource, targets } of graphs) {
      assert.deepEqual(datasource, { type: 'prometheus', uid: '$' + '{datasource}' });
      for (const { expr } of targets)
        for (const { labels } of parsePromql(expr).selectors) assert.deepEqual(labels.slice(0, 2), OF_THE_TARGET);
    }
  });

  it('has panels that do not overlap, fill their rows, and say what they show', () => {
    const cells = new Set<string>();
    const ids = new Set(panels.map(({ id }) => id));
    assert.equal(ids.size, panels.length);
    for (const { title, description, type, gridPos } of panels) {
      assert.ok(title);
      assert.ok(type === 'row' || description.length > 5, title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(x < 24 && !cells.has(`${x},${y}`), title);
          cells.add(`${x},${y}`);
        }
      }
    }
    const height = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
    assert.equal(cells.size, 24 * height);
  });
});

describe('the alerts for Prometheus', () => {
  it('have expressions about metrics and labels that the package exports', () => {
    assert.ok(rules.length >= 10);
    for (const { expr } of rules) assertAnswerable(expr);
  });

  it('are those of the page, each with its expression, its meaning and a first step', async () => {
    const page = await readFile(join(installed, 'docs', 'alerts.md'), 'utf8');
    const shown = [
      ...page.matchAll(/^### (\w+)\n\n```promql\n(.*)\n```\n\n- \*\*Meaning:\*\* .{20}[\s\S]*?\n- \*\*First step:\*\* .{20}/gm),
    ];
    assert.deepEqual(
      shown.map(([, alert, expr]) => ({ alert, expr })),
      rules.map(({ alert, expr }) => ({ alert, expr })),
    );
  });

  it('name in their texts labels that the expression keeps, and have a severity', () => {
    for (const { expr, labels, annotations } of rules) {
      assert.match(labels.severity, /^(critical|warning)$/);
      for (const [, label] of annotations.summary.matchAll(/\$labels\.(\w+)/g))
        assert.ok(parsePromql(expr).groups.includes(label));
    }
  });
});

describe('the page that shows the graphs under faults', () => {
  const docs = fileURLToPath(new URL('../../docs', import.meta.url));
  const pictures = join(docs, 'graphs');
  let page: string;
  before(async () => {
    page = await readFile(join(docs, 'graphs.md'), 'utf8');
  });

  it('has each graph with its picture, the same in words and what to see there, and no picture is left over', async () => {
    const shown = [...page.matchAll(/^### (.+)\n\n!\[([^\]]{40,})\]\(graphs\/([\w-]+\.svg)\)\n\n\S/gm)];
    const titles = graphs.filter(({ type }) => type === 'timeseries').map(({ title }) => title);
    assert.deepEqual(
      shown.map(([, title]) => title),
      titles,
    );
    const files = shown.map(([, , , file]) => file!);
    assert.deepEqual(files.toSorted(), (await readdir(pictures)).toSorted());
    for (const [index, file] of files.entries()) {
      const picture = await readFile(join(pictures, file), 'utf8');
      assert.ok(picture.includes(`<title>${titles[index]}</title>`), file);
      assert.ok(picture.length < LARGEST_PICTURE, `${file}: ${picture.length} bytes`);
    }
  });

  it('says what the phases of the pictures are, and under which of them each alert fires', async () => {
    const rows = [...page.matchAll(/^\| ([^|]+) \| ([^|]{10,}) \| (.*) \|$/gm)].slice(1);
    const phases = rows.map(([, phase]) => phase!);
    assert.ok(phases.length >= 8, phases.join());
    for (const file of await readdir(pictures)) {
      const picture = await readFile(join(pictures, file), 'utf8');
      const names = [...picture.matchAll(/rotate\([^)]*\)">([^<]+)</g)].map(([, name]) => name);
      assert.deepEqual(names, phases, file);
    }
    const fired = rows.flatMap(([, , , cell]) => [...cell!.matchAll(/\[(\w+)\]/g)].map(([, alert]) => alert!));
    assert.deepEqual([...new Set(fired)].sort(), rules.map(({ alert }) => alert).sort());
  });
});
