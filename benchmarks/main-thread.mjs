// How long this store's calls hold the main thread in one go, for sessions of several sizes. stretches.mjs says how that is measured.

import { Servers } from './servers.mjs';
import { Subject } from './subject.mjs';

const SIZES = [2000, 50_000, 300_000];
const CALLS = { quick: 20, full: 400 };

/** Beside JSON, no call may hold the main thread longer, in µs. */
export const LONGEST_STRETCH = 1000;

/** @returns {Promise<object[]>} `{ size, calls, operation, entering, answering, json, passes, longest }`, µs */
export async function runMainThread(built, cores, options) {
  const calls = options.quick ? CALLS.quick : CALLS.full;
  const rows = [];
  for (const size of SIZES) {
    const servers = await Servers.start(built.awsLocal, cores.servers);
    const subject = await Subject.start('v2', { where: servers.where, cores, ticks: built.bareClient });
    try {
      for (const row of await subject.ask('stretches', { size, calls, warmUpCalls: calls / 4 })) {
        rows.push({ size, calls, ...row });
        const { operation, entering, answering, json } = row;
        const parts = [entering, answering, json].map(({ median }) => `${Math.round(median)} µs`.padStart(9));
        console.log(
          `  ${String(size).padStart(7)} ${operation.padEnd(32)} entering ${parts[0]}, answering ${parts[1]}, JSON ${parts[2]}`,
        );
      }
    } finally {
      await subject.stop();
      await servers.stop();
    }
  }
  return rows;
}

/** The rows of calls that hold the main thread too long. */
export function tooLong(rows) {
  return rows.filter((row) => stretch(row) > LONGEST_STRETCH);
}

/** The longest stretch beside JSON of a row, by its medians, in µs. */
export function stretch({ entering, answering }) {
  return Math.max(entering.median, answering.median);
}
