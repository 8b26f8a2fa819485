// A graph of the dashboard as a picture: its lines over the phases of a run, which are shaded and have their names above.

import { number } from '../report.mjs';
import { median } from '../statistics.mjs';
import { text } from '../svg.mjs';

const [WIDTH, LEFT, RIGHT, TOP, HEIGHT] = [840, 70, 46, 96, 160];
const BOTTOM = TOP + HEIGHT;
/** In pixels: how far a line may be from points that it leaves out. */
const TOLERANCE = 0.6;
/** More lines than this cannot be told apart. Those that change most are shown. */
const MOST_LINES = 12;
const COLOURS = [
  '#4e79a7',
  '#f28e2b',
  '#e15759',
  '#76b7b2',
  '#59a14f',
  '#d4a800',
  '#b07aa1',
  '#ff8fa0',
  '#9c755f',
  '#8a8a8a',
  '#17365c',
  '#7a1f2b',
];
/** How Grafana's units are written. */
const UNITS = {
  ops: (value) => `${number(value)}/s`,
  reqps: (value) => `${number(value)}/s`,
  s: (value) => (value < 1 ? `${number(value * 1000)} ms` : `${number(value)} s`),
  percentunit: (value) => `${number(value * 100)} %`,
  short: number,
};

/** `step` is how many seconds the points of a line are apart. */
export function svg({ title, unit, stacked }, lines, { phases, seconds, step }) {
  const shown = stacked ? lines : mostChanged(lines);
  const drawn = stacked ? stack(shown, { seconds, step }) : shown;
  const scale = scaleOf(Math.max(...drawn.flatMap(({ points }) => points.map(([, value]) => value))));
  const x = (at) => LEFT + ((WIDTH - LEFT - RIGHT) * at) / seconds;
  const y = (value) => BOTTOM - (HEIGHT * value) / scale.top;
  const placed = ({ points }) => points.map(([at, value]) => [x(at), y(value)]);
  const colour = (index) => COLOURS[index % COLOURS.length];
  const grid = scale.ticks.map(
    (tick) =>
      `<path d="M${LEFT} ${round(y(tick))}H${WIDTH - RIGHT}" stroke="#ddd"/>` +
      text(LEFT - 8, y(tick) + 4, tick === 0 ? '0' : UNITS[unit](tick), 'text-anchor="end"'),
  );
  const minutes = Array.from({ length: Math.floor(seconds / 60) + 1 }, (_, minute) =>
    text(x(minute * 60), BOTTOM + 17, minute === 0 ? '0' : `${minute} min`, 'text-anchor="middle" fill="#666"'),
  );
  const bands = phases.map(({ label, from, to }) => {
    const [left, right, middle] = [round(x(from)), round(x(to)), round(x((from + to) / 2))];
    const name = text(0, 0, label, `transform="translate(${middle} ${TOP - 7})rotate(-32)"`);
    return `<path d="M${left} ${TOP}H${right}V${BOTTOM}H${left}z" opacity=".09"/>${name}`;
  });
  const paths = drawn.map((line, index) =>
    stacked
      ? `<path d="${area(simplified(placed(line)))}" fill="${colour(index)}" stroke="none"/>`
      : `<path d="${curve(placed(line), x(1.5 * step) - x(0))}" stroke="${colour(index)}"/>`,
  );
  const { legend, height } = legendOf(shown, colour, lines.length - shown.length);
  const style = 'font-family="system-ui, sans-serif" font-size="12"';
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ${style} role="img"><title>${title}</title>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    text(12, 22, title, 'font-weight="bold" font-size="14"'),
    ...grid,
    `<g fill="none" stroke-width="1.6" stroke-linejoin="round" stroke-linecap="round">`,
    ...(stacked ? paths.toReversed() : paths),
    `</g>`,
    ...bands,
    ...minutes,
    ...legend,
    `</svg>`,
  ];
  return `${parts.join('\n')}\n`;
}

/** The lines that differ most from their own median, in the order that they had. */
function mostChanged(lines) {
  if (lines.length <= MOST_LINES) return lines;
  const change = ({ points }) => {
    const values = points.map(([, value]) => value);
    const usual = median(values);
    return Math.max(...values.map((value) => Math.abs(value - usual)));
  };
  const most = lines.toSorted((a, b) => change(b) - change(a)).slice(0, MOST_LINES);
  return lines.filter((line) => most.includes(line));
}

/** Each line on top of those before it. What has no value is 0. */
function stack(lines, { seconds, step }) {
  const heights = new Map(Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => [index * step, 0]));
  return lines.map(({ name, points }) => {
    for (const [at, value] of points) heights.set(at, heights.get(at) + value);
    return { name, points: [...heights] };
  });
}

/** From 0 to a round number above `most`, in three to five round steps. */
function scaleOf(most) {
  const rough = (most || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const steps = Math.ceil((most || 1) / step - 1e-9);
  return { top: steps * step, ticks: Array.from({ length: steps + 1 }, (_, index) => index * step) };
}

/** The path of a line, with gaps where points are missing: where they are further apart. */
function curve(points, apart) {
  const runs = [];
  for (const point of points) {
    if (point[0] - (runs.at(-1)?.at(-1)[0] ?? Number.NEGATIVE_INFINITY) > apart) runs.push([]);
    runs.at(-1).push(point);
  }
  return runs.map((run) => path(simplified(run))).join('');
}

const area = (points) => `${path(points)}V${BOTTOM}H${round(points[0][0])}z`;

/** Steps from point to point are shorter to write than their places. */
function path(points) {
  const places = points.map((point) => point.map(round));
  const steps = places.slice(1).map(([x, y], index) => [round(x - places[index][0]), round(y - places[index][1])]);
  const written = steps.flat().map((step) => String(step).replace(/^(-?)0\./, '$1.'));
  // A single point is a dot: a line without length, with round ends.
  return `M${places[0].join(' ')}l${written.length > 0 ? written.join(' ').replaceAll(' -', '-') : '0 0'}`;
}

/** The points without those that a straight line between others shows as well. */
function simplified(points) {
  if (points.length < 3) return points;
  const [[x1, y1], [x2, y2]] = [points[0], points.at(-1)];
  const offs = points.map(([x, y]) => Math.abs(y - y1 - ((y2 - y1) * (x - x1)) / (x2 - x1)));
  const farthest = Math.max(...offs);
  if (farthest <= TOLERANCE) return [points[0], points.at(-1)];
  const bend = offs.indexOf(farthest);
  return [...simplified(points.slice(0, bend + 1)).slice(0, -1), ...simplified(points.slice(bend))];
}

/** Names and colours below the graph, in rows, and how high the picture is with them. */
function legendOf(lines, colour, left) {
  const legend = [];
  let [x, y] = [LEFT, BOTTOM + 42];
  const add = (name, mark) => {
    const width = 24 + name.length * 6.8 + (name.match(/[A-Z_]/g)?.length ?? 0) * 1.8;
    if (x + width > WIDTH - 8) [x, y] = [LEFT, y + 19];
    legend.push(mark ? `<path d="M${round(x)} ${y - 8}h10v8h-10z" fill="${mark}"/>` : '');
    legend.push(text(x + (mark ? 15 : 0), y, name, mark ? '' : 'fill="#666"'));
    x += width + 6;
  };
  for (const [index, { name }] of lines.entries()) add(name, colour(index));
  if (left > 0) add(`and ${left} lines that change less`);
  return { legend, height: y + 14 };
}

function round(value) {
  return Math.round(value * 10) / 10;
}
