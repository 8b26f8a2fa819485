// The table's rounds. All subjects' processes live through a round, and take turns at every cell, so that what is compared was measured
// seconds apart; in every round another one begins.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BareClient } from './bare.mjs';
import { cellKey, cellsOf, Meter } from './cells.mjs';
import { pinned } from './machine.mjs';
import { Servers } from './servers.mjs';
import { percentiles } from './statistics.mjs';
import { ENVIRONMENT, Subject } from './subject.mjs';
import { SUBJECTS, takesPart } from './subjects/index.mjs';
import { USUAL } from './usual.mjs';

const START_UP = fileURLToPath(new URL('start-up.mjs', import.meta.url));

/** Processes that are started one after another in a round to see how long that takes. */
const STARTS = 3;

/**
 * @returns {Promise<object>} `{ cells: { key: { cell, subjects: { subject: [figures of a round, …] }, pooled: { subject: percentiles } } },
 *   startUp: …, memory: … }`
 */
export async function runRounds(built, cores, options) {
  const results = { cells: {}, startUp: {}, memory: {} };
  for (let round = 0; round < options.rounds; round++) {
    console.log(`\nRound ${round + 1} of ${options.rounds}`);
    const order = options.subjects.map((_, index) => options.subjects[(index + round) % options.subjects.length]);
    await runRound(built, cores, { ...options, order }, results);
  }
  for (const { cell, subjects, pooled } of Object.values(results.cells)) {
    if (!cell.open) continue;
    for (const [id, rounds] of Object.entries(subjects)) {
      const latencies = rounds.flatMap((measured) => measured.latencies);
      pooled[id] = { calls: latencies.length, ...percentiles(latencies) };
      for (const measured of rounds) delete measured.latencies;
    }
  }
  if (options.rssSessions > 0) await measureMemory(built, cores, options, results.memory);
  return results;
}

async function runRound(built, cores, options, results) {
  const servers = await Servers.start(built.awsLocal, cores.servers);
  const bare = new BareClient(built.bareClient, servers.where, cores);
  const meter = new Meter({ servers, bare, options, cores });
  const subjects = new Map();
  try {
    for (const id of options.order) {
      const given = { where: servers.where, cores, ticks: built.bareClient };
      subjects.set(id, id === 'bare' ? 'bare' : await Subject.start(id, given));
    }
    for (const cell of cellsOf(options)) {
      const key = cellKey(cell);
      const rate = cell.open ? halfOfPlain(results, cell) : undefined;
      for (const [id, subject] of subjects) {
        if (!takesPart(id, cell)) continue;
        const { latencies, ...figures } = (await meter.measure(cell, subject, rate)) ?? {};
        if (figures.calls === undefined) continue;
        const measured = {
          ...figures,
          latency: latencies && percentiles(latencies),
          latencies: cell.open ? latencies : undefined,
        };
        results.cells[key] ??= { cell, subjects: {}, pooled: {} };
        results.cells[key].subjects[id] ??= [];
        results.cells[key].subjects[id].push(measured);
        console.log(`  ${key.padEnd(44)} ${SUBJECTS[id].name.padEnd(24)} ${line(measured)}`);
      }
    }
    for (let start = 0; start < STARTS; start++) await measureStarts(servers, cores, options.order, subjects, results.startUp);
  } finally {
    for (const subject of subjects.values()) if (subject !== 'bare') await subject.stop();
    await servers.stop();
  }
}

function halfOfPlain(results, cell) {
  const { calls, seconds } = results.cells[cellKey({ ...cell, open: false })].subjects.plain.at(-1);
  return calls / seconds / 2;
}

function line({ calls, seconds, cpuMicros, mainMicros, latency, serversBusy }) {
  const cost =
    cpuMicros === undefined
      ? ''
      : `${(cpuMicros / calls).toFixed(1).padStart(8)} µs CPU, main ${(mainMicros / calls).toFixed(1)} µs`;
  const speed = seconds === undefined ? `${calls} calls` : `${Math.round(calls / seconds)}/s`;
  const late = latency ? `, p50 ${latency.p50.toFixed(0)} p99 ${latency.p99.toFixed(0)} µs` : '';
  const busy = serversBusy === undefined ? '' : `, servers ${Math.round(serversBusy * 100)} %`;
  return `${cost} ${speed}${late}${busy}`;
}

/** Loading, the first call, and the memory after both, of fresh processes. */
async function measureStarts(servers, cores, order, subjects, startUp) {
  for (const id of order) {
    if (id === 'bare' || SUBJECTS[id].variant) continue;
    const sid = SUBJECTS[id].keepsNothing ? null : await subjects.get(id).ask('anId', { size: USUAL.size });
    const given = JSON.stringify({ id, servers: servers.where, sid });
    const [command, args] = pinned(cores.client, process.execPath, ['--expose-gc', START_UP, given]);
    const { stdout } = await promisify(execFile)(command, args, { env: ENVIRONMENT });
    startUp[id] ??= [];
    startUp[id].push(JSON.parse(stdout));
  }
}

/** Memory after many sessions, each subject with servers of its own, once: with the slow ones it takes minutes. */
async function measureMemory(built, cores, options, memory) {
  for (const id of options.subjects) {
    if (id === 'bare' || SUBJECTS[id].variant) continue;
    const servers = await Servers.start(built.awsLocal, cores.servers);
    const subject = await Subject.start(id, { where: servers.where, cores, ticks: built.bareClient });
    try {
      memory[id] = [await subject.ask('memory', { count: options.rssSessions, size: USUAL.size, again: SUBJECTS[id].plateau })];
      console.log(
        `  memory after ${options.rssSessions} sessions: ${SUBJECTS[id].name}: ${Math.round(memory[id][0].idle / 2 ** 20)} MiB`,
      );
    } finally {
      await subject.stop();
      await servers.stop();
    }
  }
}
