// A call of the store with a callback.

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';

type Call = (callback: (...args: any[]) => void) => unknown;

/**
 * Makes a call with a callback: it must return nothing, and run the callback once.
 * @returns what the callback got, and whether it ran before the call returned.
 */
export async function answered(call: Call): Promise<{ answer: any[]; atOnce: boolean }> {
  const runs: any[][] = [];
  let returned = false;
  let atOnce = false;
  await new Promise<void>((resolve) => {
    const result = call((...args) => {
      atOnce ||= !returned;
      runs.push(args);
      resolve();
    });
    returned = true;
    assert.equal(result, undefined);
  });
  await turn();
  await turn();
  assert.equal(runs.length, 1, 'the callback ran more than once');
  return { answer: runs[0]!, atOnce };
}

/**
 * Makes a call with a callback: it must return nothing, and run the callback once, later.
 * @returns what the callback got.
 */
export async function byCallback(call: Call): Promise<any[]> {
  const { answer, atOnce } = await answered(call);
  assert.ok(!atOnce, 'the callback ran before the call returned');
  return answer;
}
