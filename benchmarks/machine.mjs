// The machine: which cores there are, who gets which, and how it is described beside the figures.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

/** Cores that this process may use, or `[]` where they cannot be told (no taskset, not Linux). */
function allowedCores() {
  try {
    const line = execFileSync('taskset', ['-cp', String(process.pid)], { encoding: 'utf8' });
    return line
      .slice(line.lastIndexOf(':') + 1)
      .trim()
      .split(',')
      .flatMap((range) => {
        const [first, last = first] = range.split('-').map(Number);
        return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
      });
  } catch {
    return [];
  }
}

/**
 * Which cores the subjects and the servers run on. The last cores are the subjects': the first one serves more interrupts.
 * @returns {{ client?: string, servers?: string }} lists for taskset; empty if nothing can be pinned.
 */
export function placement(clientCores) {
  const cores = allowedCores();
  if (cores.length < clientCores + 1) return {};
  return { client: cores.slice(-clientCores).join(','), servers: cores.slice(0, -clientCores).join(',') };
}

/** The command that runs `command` on `cores`. */
export function pinned(cores, command, args) {
  return cores === undefined ? [command, args] : ['taskset', ['-c', cores, command, ...args]];
}

/** Puts this process on `cores`; the threads of libuv that exist already stay idle anyway. */
export function pinSelf(cores) {
  if (cores !== undefined) execFileSync('taskset', ['-acp', cores, String(process.pid)], { stdio: 'ignore' });
}

/** Puts all threads of this process but the main one on `cores`, so that none of them takes its core from it. */
export function pinOtherThreads(cores) {
  if (cores === undefined) return;
  for (const thread of readdirSync('/proc/self/task')) {
    if (thread !== String(process.pid)) execFileSync('taskset', ['-cp', cores, thread], { stdio: 'ignore' });
  }
}

export function describeMachine(cores) {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  return {
    processor: model,
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: systemName(),
    node: process.version,
    loadAverage: loadavg().map((load) => Number(load.toFixed(2))),
    pinned: cores.client === undefined ? 'nothing is pinned' : `subjects on core ${cores.client}, servers on ${cores.servers}`,
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
  };
}

function systemName() {
  try {
    const name = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
    return `${name}, Linux ${release()}`;
  } catch {
    return `${process.platform} ${release()}`;
  }
}
