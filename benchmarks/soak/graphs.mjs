// npm run graphs: two servers under load and one fault after another, watched by a real Prometheus. Writes a picture of each graph of the dashboard to docs/graphs, and
// which alerts fired to the table of docs/graphs.md. Status 1 if a graph has no data or shows no fault, or an alert fires without a fault.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PROMETHEUS, PrometheusServer } from '../../__test__/support/prometheus-server.ts';
import { buildAwsLocal } from '../../scripts/steps.mjs';
import { Servers } from '../servers.mjs';
import { ENVIRONMENT } from '../subject.mjs';
import { FaultyFront } from './faults.mjs';
import { svg } from './graph.mjs';
import { alertsIn, changesOf, firingOf, linesOf, panelsOf } from './panels.mjs';
import { FAULTS, HEALTHY } from './phases.mjs';

const USAGE = `npm run graphs -- [options]

  --rate N   calls a second of each of the two servers (100)
  --draw     draws what the last run has recorded, without another run

It takes about eight minutes, what npm test has built, and the program that the variable PROMETHEUS names.`;

/** What rates and alerts look back on, in seconds: less than the time without a fault between two faults. */
const WINDOW = 10;
const WARM_UP = 20;
const STEP = 2;
const RECORDED = new URL('graphs.json', import.meta.url);
const INFRASTRUCTURE = new URL('../../infrastructure/', import.meta.url);
const PAGE = new URL('../../docs/graphs.md', import.meta.url);
const PICTURES = new URL('../../docs/graphs/', import.meta.url);
const TABLE = /(?<=<!-- npm run graphs writes this table -->\n\n).*?(?=\n\n)/s;

const flag = { type: 'boolean', default: false };
const { values } = parseArgs({ options: { rate: { type: 'string' }, draw: flag, help: flag } });
const rate = Number(values.rate ?? 100);
if (!(rate >= 1)) throw new Error(USAGE);
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

const dashboard = JSON.parse(readFileSync(new URL('grafana-dashboard.json', INFRASTRUCTURE), 'utf8'));
const panels = panelsOf(dashboard, `${WINDOW}s`);
/** The alerts without the time that trouble must last, and looking back as far as the graphs do. */
const rules = readFileSync(new URL('prometheus-alerts.yaml', INFRASTRUCTURE), 'utf8')
  .replace(/\[\d+m\]/g, `[${WINDOW}s]`)
  .replace(/^ +for: .*\n/gm, '');

if (!values.draw) writeFileSync(RECORDED, `${JSON.stringify(await record())}\n`);
const recorded = JSON.parse(readFileSync(RECORDED, 'utf8'));
draw(recorded);
const wrong = judge(recorded);
for (const line of wrong) console.error(`WRONG: ${line}`);
process.exitCode = wrong.length > 0 ? 1 : 0;

/** Runs the phases, and gives what Prometheus has recorded. */
async function record() {
  if (!PROMETHEUS) throw new Error(`PROMETHEUS names no program\n\n${USAGE}`);
  const ends = [];
  try {
    const servers = await Servers.start(process.env.AWS_LOCAL ?? (await buildAwsLocal()));
    ends.push(() => servers.stop());
    const [dynamodb, kms] = await Promise.all([servers.where.dynamodb, servers.where.kms].map((url) => FaultyFront.start(url)));
    ends.push(() => [dynamodb, kms].map((front) => front.close()));
    const where = { ...servers.where, dynamodb: dynamodb.url, kms: kms.url };
    const names = ['server-1', 'server-2'];
    const gateways = names.map((name) => start({ name, rate, where }));
    ends.push(() => gateways.map((gateway) => gateway.kill('SIGKILL'))); // also one that stands still
    const urls = await Promise.all(gateways.map(urlOf));
    const prometheus = await PrometheusServer.start(Object.fromEntries(names.map((name, index) => [name, urls[index]])), rules);
    ends.push(() => prometheus.stop());
    await sleep(WARM_UP * 1000);
    const now = () => Date.now() / 1000;
    const began = now();
    const phases = [];
    for (const { label, what, seconds, after, begin } of [HEALTHY, ...FAULTS]) {
      console.log(`${(now() - began).toFixed(0)} s: ${label}`);
      const from = now() - began;
      const end = await begin({ servers, dynamodb, kms, gateways });
      await sleep(seconds * 1000);
      await end();
      phases.push({ label, what, from, to: now() - began });
      await sleep(after * 1000);
    }
    if (gateways.some(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null))
      throw new Error('a server has ended');
    const range = { start: began, end: now(), step: STEP };
    const graphs = await Promise.all(panels.map((panel) => linesOf(panel, prometheus, range)));
    return {
      step: STEP,
      seconds: range.end - began,
      phases,
      firing: await firingOf(prometheus, { ...range, step: 1 }),
      graphs: Object.fromEntries(panels.map(({ title }, index) => [title, graphs[index]])),
    };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

function start(given) {
  const program = fileURLToPath(new URL('observed.mjs', import.meta.url));
  return fork(program, [JSON.stringify(given)], { execArgv: [], env: ENVIRONMENT });
}

/** The address of its metrics, which it tells when its sessions are in the table. */
async function urlOf(gateway) {
  const ended = once(gateway, 'exit').then(([code]) => {
    throw new Error(`a server ended with ${code}`);
  });
  ended.catch(() => {}); // it is ended when all is done
  const [url] = await Promise.race([once(gateway, 'message'), ended]);
  return url;
}

/** Writes the pictures, and the table of the page. */
function draw({ step, seconds, phases, firing, graphs }) {
  mkdirSync(PICTURES, { recursive: true });
  for (const name of readdirSync(PICTURES)) rmSync(new URL(name, PICTURES));
  const [, ...faults] = phases;
  for (const panel of panels)
    writeFileSync(new URL(panel.file, PICTURES), svg(panel, graphs[panel.title], { phases: faults, seconds, step }));
  const rows = faults.map((phase) => {
    const alerts = alertsIn(phase, firing).map((alert) => `[${alert}](alerts.md#${alert.toLowerCase()})`);
    return `| ${phase.label} | ${phase.what} | ${alerts.join(', ')} |`;
  });
  const table = ['| phase | what goes wrong | alerts that fire |', '|---|---|---|', ...rows].join('\n');
  writeFileSync(
    PAGE,
    readFileSync(PAGE, 'utf8').replace(TABLE, () => table),
  );
}

/** What the pictures would not be worth looking at for. */
function judge({ phases, firing, graphs }) {
  const wrong = [];
  for (const { title } of panels) {
    const lines = graphs[title];
    const changes = lines.length > 0 ? changesOf(lines, phases) : [];
    console.log(`${title}: ${changes.map(({ label }) => label).join(', ')}`);
    if (lines.length === 0) wrong.push(`${title} has no data`);
    else if (changes.length === 0) wrong.push(`${title} shows no fault`);
  }
  const [healthy, ...faults] = phases;
  for (const alert of alertsIn(healthy, firing)) wrong.push(`${alert} fires without a fault`);
  for (const [, alert] of rules.matchAll(/alert: (\w+)/g))
    if (!faults.some((phase) => alertsIn(phase, firing).includes(alert))) wrong.push(`${alert} fires in no phase`);
  return wrong;
}
