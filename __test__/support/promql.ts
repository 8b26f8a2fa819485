// Expressions of PromQL, by the grammar of Prometheus' own editor.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { npmEnvironment, PROMQL } from './environments.ts';

const require = createRequire(join(await npmEnvironment(...PROMQL), 'here.js'));
const { parser } = require('@prometheus-io/lezer-promql');

export interface Selector {
  metric: string;
  /** The labels that it compares. */
  labels: string[];
}

export interface Expression {
  selectors: Selector[];
  /** The labels that it groups by. */
  groups: string[];
}

/** What an expression asks for. Grafana's variables may stand in it. Fails if it is no PromQL. */
export function parsePromql(source: string): Expression {
  const text = source.replaceAll('$__rate_interval', '5m');
  const selectors: Selector[] = [];
  const groups: string[] = [];
  parser.parse(text).iterate({
    enter(node: any) {
      const own = () => text.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${text}`);
      if (node.name === 'VectorSelector') selectors.push({ metric: /^\w+/.exec(own())![0], labels: [] });
      else if (node.name === 'LabelName' && node.node.parent.name === 'GroupingLabels') groups.push(own());
      else if (node.name === 'LabelName') selectors.at(-1)!.labels.push(own());
    },
  });
  return { selectors, groups };
}
