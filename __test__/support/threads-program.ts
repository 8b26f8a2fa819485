// Starts worker threads one after another, each the only thread that has the package loaded; this one never loads it. Prints what each of them came
// to, and ends by itself.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

const [config, endings] = process.argv.slice(2).map((arg) => JSON.parse(arg));
for (const ending of endings) {
  const worker = new Worker(new URL('./short-thread.mjs', import.meta.url), { workerData: { config, ending } });
  const exit = once(worker, 'exit');
  const [read] = await once(worker, 'message');
  if (ending === 'terminated') await worker.terminate();
  const [code] = await exit;
  console.log(JSON.stringify([ending, read, code]));
}
