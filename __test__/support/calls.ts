// A call of the store with a callback.

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';

/**
 * Makes a call with a callback: it must return nothing, and run the callback once, later.
 * @returns what the callback got.
 */
export async function byCallback(call: (callback: (...args: any[]) => void) => unknown): Promise<any[]> {
  const runs: any[][] = [];
  let returned = false;
  let early = false;
  await new Promise<void>((resolve) => {
    const result = call((...args) => {
      early ||= !returned;
      runs.push(args);
      resolve();
    });
    returned = true;
    assert.equal(result, undefined);
  });
  await turn();
  await turn();
  assert.ok(!early, 'the callback ran before the call returned');
  assert.equal(runs.length, 1, 'the callback ran more than once');
  return runs[0];
}
