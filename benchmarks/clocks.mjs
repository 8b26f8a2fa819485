// CPU time, of a process and of its main thread.

import { readdirSync, readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

/** Microseconds of CPU of the main thread so far, from the scheduler (ns); without /proc the event loop's active time. */
export function mainThreadMicros() {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ', 1)[0]) / 1000;
  } catch {
    return performance.eventLoopUtilization().active * 1000;
  }
}

/** Microseconds of CPU of all threads of this process so far. */
export function processMicros() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Microseconds of CPU of another process's threads so far; `undefined` without /proc. */
export function microsOf(pid) {
  try {
    let nanoseconds = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ', 1)[0]);
    }
    return nanoseconds / 1000;
  } catch {
    return undefined;
  }
}

/** Starts to measure this process; the function it gives tells what was used since. */
export function startClocks() {
  const before = { at: performance.now(), cpu: processMicros(), main: mainThreadMicros() };
  return () => {
    const [cpu, main, at] = [processMicros(), mainThreadMicros(), performance.now()];
    return { seconds: (at - before.at) / 1000, cpuMicros: cpu - before.cpu, mainMicros: main - before.main };
  };
}
