// results.svg: CPU and main-thread time of a call as bars, growth as lines. Both axes of lengths are logarithmic, for the subjects lie far apart.

import { figure, READ, usual } from './figures.mjs';
import { number } from './report.mjs';
import { SUBJECTS } from './subjects/index.mjs';
import { text } from './svg.mjs';

const WIDTH = 960;
const LEFT = 200;
const RIGHT = 120;
const BAR = 13;
const PANEL = 220;
const COLOURS = {
  v2: '#0b6e4f',
  v1: '#54a98a',
  alone: '#7fb77e',
  users: '#b1d7b4',
  plain: '#c1440e',
  'connect-dynamodb': '#e0a458',
  memory: '#8d99ae',
  bare: '#4059ad',
};
const SHOWN = ['warm get', 'cold get', 'set', 'get + set', 'rolling request', 'due rolling request', 'modifying request'];

/** @param {{ table?: object, curves?: object }} results */
export function svg({ table, curves }) {
  const parts = [];
  let y = 30;
  const add = (part, height) => {
    parts.push(part);
    y += height;
  };
  if (table) {
    const bars = barsOf(table.results);
    const most = Math.max(...bars.map(({ cpu }) => cpu));
    const least = Math.min(...bars.map(({ main }) => main)) / 2;
    const scale = (value) => ((WIDTH - LEFT - RIGHT) * Math.log(Math.max(value, least) / least)) / Math.log(most / least);
    add(
      text(LEFT, y, 'CPU µs a call, darker: on the main thread (logarithmic, 2 kB sessions, 64 in flight)', 'font-weight="bold"'),
      24,
    );
    for (const workload of SHOWN) {
      const group = bars.filter((bar) => bar.workload === workload);
      if (group.length === 0) continue;
      add(text(10, y + 2, workload, 'font-weight="bold"'), 8);
      for (const bar of group) add(drawBar(bar, y, scale), BAR + 4);
      y += 8;
    }
  }
  for (const curve of Object.values(curves ?? {})) {
    add(text(LEFT, y + 16, curve.title, 'font-weight="bold"'), 30);
    add(drawCurve(curve, y), PANEL);
  }
  const style = 'font-family="system-ui, sans-serif" font-size="12"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" ${style} role="img"><title>Cost of a call</title><rect width="100%" height="100%" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`;
}

function barsOf(results) {
  return SHOWN.flatMap((workload) =>
    Object.keys(SUBJECTS).flatMap((id) => {
      const rounds = usual(results, workload, id);
      if (!rounds) return [];
      return [{ workload, id, cpu: figure(rounds, READ.cpu).median, main: figure(rounds, READ.main).median }];
    }),
  );
}

function drawBar({ id, cpu, main }, y, scale) {
  const rect = (value, opacity) =>
    `<rect x="${LEFT}" y="${y}" width="${scale(value).toFixed(1)}" height="${BAR}" fill="${COLOURS[id]}" fill-opacity="${opacity}"/>`;
  const label = text(LEFT - 8, y + 10, SUBJECTS[id].name, 'text-anchor="end"');
  return label + rect(cpu, 0.45) + rect(main, 1) + text(LEFT + scale(cpu) + 6, y + 10, `${number(cpu)} (${number(main)})`);
}

function drawCurve({ unit, points }, top) {
  const [height, width] = [PANEL - 60, WIDTH - LEFT - RIGHT];
  const logs = points.map(({ at }) => Math.log(at));
  const values = points.flatMap(({ cpu, main }) => [Math.log(cpu), Math.log(main)]);
  const [low, high] = [Math.floor(Math.min(...values) / Math.LN10), Math.ceil(Math.max(...values) / Math.LN10)];
  const x = (at) => LEFT + (width * (Math.log(at) - logs[0])) / (logs.at(-1) - logs[0] || 1);
  const y = (value) => top + height - (height * (Math.log10(value) - low)) / (high - low || 1);
  const parts = [];
  for (let power = low; power <= high; power++) {
    const at = y(10 ** power).toFixed(1);
    parts.push(`<line x1="${LEFT}" x2="${LEFT + width}" y1="${at}" y2="${at}" stroke="#ddd"/>`);
    parts.push(text(LEFT - 8, Number(at) + 4, `${number(10 ** power)} µs`, 'text-anchor="end"'));
  }
  for (const [name, colour] of [
    ['cpu', COLOURS.v2],
    ['main', COLOURS.bare],
  ]) {
    const path = points.map((point) => `${x(point.at).toFixed(1)},${y(point[name]).toFixed(1)}`).join(' ');
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    parts.push(text(LEFT + width + 6, y(points.at(-1)[name]) + 4, name === 'cpu' ? 'CPU' : 'main thread', `fill="${colour}"`));
  }
  for (const { at } of points) parts.push(text(x(at), top + height + 18, at.toLocaleString('en'), 'text-anchor="middle"'));
  parts.push(text(LEFT + width / 2, top + height + 36, unit, 'text-anchor="middle"'));
  return parts.join('\n');
}
