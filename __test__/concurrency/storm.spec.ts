// Many callers at a time on one session, without an order: whatever happens, one order of events must explain what each of them saw. One for each ten
// runs of model.spec.ts; MODEL_SEED repeats what the callers do, not when their answers come.

import { randomInt } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Backend, backends } from '../support/backends.ts';
import { Storm } from '../support/storm.ts';

const { MODEL_RUNS, MODEL_SEED: replayed } = process.env;
const RUNS = replayed === undefined ? Math.ceil(Number(MODEL_RUNS ?? 300) / 10) : 1;
/** As in model.spec.ts. */
const first = Number(replayed ?? (MODEL_RUNS === undefined ? 1_554_739_487 : randomInt(2 ** 31)));

for (const { name, start } of backends) {
  describe(`a storm of calls on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
      await backend.store().length(); // the folder of the local mode stays open from run to run
    });
    after(() => backend.stop());

    it('looks to every caller as if one call came after the other', async (t) => {
      const started = performance.now();
      let calls = 0;
      for (let seed = first; seed < first + RUNS; seed++) {
        try {
          calls += await new Storm(backend, seed).run();
        } catch (error: any) {
          throw new Error(`seed ${seed} fails (MODEL_SEED=${seed} repeats it): ${error.message}`, { cause: error });
        }
      }
      t.diagnostic(`${RUNS} runs from seed ${first}, ${calls} calls, ${((performance.now() - started) / 1000).toFixed(1)} s`);
    });
  });
}
