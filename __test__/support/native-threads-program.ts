// Starts worker threads one after another, each the only one that has the package loaded, and prints for each how many threads of the native side there are
// while it is at work: those of ours, and those of a runtime with tokio's defaults.

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const [config, rounds] = process.argv.slice(2).map((arg) => JSON.parse(arg));
for (let round = 0; round < rounds; round += 1) {
  const worker = new Worker(new URL('./busy-thread.mjs', import.meta.url), { workerData: config });
  const exit = once(worker, 'exit');
  await once(worker, 'message');
  const names = readdirSync('/proc/self/task').map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim();
    } catch {
      return ''; // it has ended meanwhile
    }
  });
  const own = names.filter((name) => name.startsWith('connect-dynamo')).length;
  const other = names.filter((name) => name.startsWith('tokio')).length;
  console.log(JSON.stringify({ own, other }));
  worker.postMessage('end');
  await exit;
}
