// soak.svg: memory, handles, sockets, latency and calls over the time of a soak.

import { text } from '../svg.mjs';

const WIDTH = 960;
const LEFT = 90;
const PANEL = 130;
const PANELS = [
  ['RSS, MB', ({ rss }) => rss / 2 ** 20],
  ['handles (file descriptors)', ({ handles }) => handles],
  ['sockets', ({ sockets }) => sockets],
  ['p99 of a second, ms', ({ p99 }) => p99],
  ['calls a second', ({ calls }) => calls],
];

export function svg(samples, { wrong }) {
  const seconds = samples.at(-1)?.at ?? 1;
  const x = (at) => LEFT + ((WIDTH - LEFT - 20) * at) / seconds;
  const parts = PANELS.map(([title, read], index) => panel(title, samples, read, x, 40 + index * PANEL));
  const height = 40 + PANELS.length * PANEL + 20;
  const pauses = samples
    .filter(({ phase }) => phase.endsWith('pause'))
    .map(
      ({ at }) =>
        `<rect x="${(x(at) - x(1) + LEFT).toFixed(1)}" y="30" width="${(x(1) - LEFT).toFixed(1)}" height="${height - 60}" fill="#eee"/>`,
    );
  const minutes = Array.from({ length: Math.floor(seconds / 60) + 1 }, (_, minute) => minute).filter(
    (minute, _, all) => minute % Math.ceil(all.length / 20) === 0,
  );
  const axis = minutes.map((minute) => text(x(minute * 60), height - 8, `${minute} min`, 'text-anchor="middle"'));
  const title = `Soak of ${Math.round(seconds / 60)} minutes${wrong.length > 0 ? `: ${wrong.join('; ')}` : ''}`;
  const style = 'font-family="system-ui, sans-serif" font-size="12"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ${style} role="img"><title>Soak</title><rect width="100%" height="100%" fill="#fff"/>\n${[...pauses, text(LEFT, 18, title, 'font-weight="bold"'), ...parts, ...axis].join('\n')}\n</svg>\n`;
}

function panel(title, samples, read, x, top) {
  const values = samples.map(read);
  const most = Math.max(...values, 1);
  const [height, bottom] = [PANEL - 40, top + PANEL - 20];
  const y = (value) => bottom - (height * value) / most;
  const points = samples.map((sample) => `${x(sample.at).toFixed(1)},${y(read(sample)).toFixed(1)}`).join(' ');
  const line = (value) =>
    `<line x1="${LEFT}" x2="${WIDTH - 20}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" stroke="#ddd"/>` +
    text(LEFT - 8, y(value) + 4, Math.round(value).toLocaleString('en'), 'text-anchor="end"');
  return `${text(LEFT, top + 12, title)}${line(0)}${line(most)}<polyline points="${points}" fill="none" stroke="#0b6e4f" stroke-width="1.5"/>`;
}
