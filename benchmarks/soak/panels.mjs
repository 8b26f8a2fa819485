// The graphs of the dashboard: what they ask Prometheus, and whether a fault is visible in them.

/** A line is changed that leaves its usual range by this share of the graph's height. */
const VISIBLE = 0.1;

/** The graphs of a dashboard for Grafana, for all jobs and servers, with rates over `window`, such as `10s`. */
export function panelsOf(dashboard, window) {
  const variables = { $job: '.*', $instance: '.*', $__rate_interval: window };
  const filled = (expression) => expression.replace(/\$\w+/g, (variable) => variables[variable]);
  return dashboard.panels
    .filter(({ type }) => type === 'timeseries')
    .map(({ title, fieldConfig, targets }) => ({
      title,
      file: `${title.toLowerCase().replaceAll(' ', '-')}.svg`,
      unit: fieldConfig.defaults.unit,
      stacked: fieldConfig.defaults.custom.stacking.mode === 'normal',
      targets: targets.map(({ expr, legendFormat }) => ({ expression: filled(expr), legend: legendFormat })),
    }));
}

/** The lines of a graph: names as its legend has them, points as seconds since the start and values. */
export async function linesOf({ targets }, prometheus, range) {
  const lines = targets.map(async ({ expression, legend }) => {
    const results = await prometheus.queryRange(expression, range);
    return results.map(({ metric, values }) => ({
      name: legend.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label]),
      points: values.map(([at, value]) => [since(range, at), Number(value)]).filter(([, value]) => Number.isFinite(value)),
    }));
  });
  return (await Promise.all(lines)).flat();
}

/** When each alert fires, as seconds since the start, by its name. */
export async function firingOf(prometheus, range) {
  const firing = {};
  for (const { metric, values } of await prometheus.queryRange('ALERTS{alertstate="firing"}', range)) {
    const known = firing[metric.alertname] ?? [];
    firing[metric.alertname] = [...known, ...values.map(([at]) => since(range, at))];
  }
  return firing;
}

const since = ({ start }, at) => Math.round((at - start) * 10) / 10;
const during = ({ from, to }, at) => at >= from && at <= to;

/** The alerts that fire in a phase, sorted. */
export function alertsIn(phase, firing) {
  return Object.keys(firing)
    .filter((alert) => firing[alert].some((at) => during(phase, at)))
    .sort();
}

/** The phases in which a line leaves the range that it has in the first one. What has no value then is 0. */
export function changesOf(lines, [healthy, ...others]) {
  const height = Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value)));
  const valuesIn = (phase, points) => points.filter(([at]) => during(phase, at)).map(([, value]) => value);
  const changes = ({ points }, phase) => {
    const usual = valuesIn(healthy, points);
    if (usual.length === 0) usual.push(0);
    const [low, high] = [Math.min(...usual) - VISIBLE * height, Math.max(...usual) + VISIBLE * height];
    return valuesIn(phase, points).some((value) => value < low || value > high);
  };
  return others.filter((phase) => lines.some((line) => changes(line, phase)));
}
