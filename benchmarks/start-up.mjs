// A fresh process that loads a subject's packages and makes one call: how long that takes, and what memory it leaves.

import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { openSubject, SUBJECTS } from './subjects/index.mjs';

const { id, servers, sid } = JSON.parse(process.argv[2]);
const require = createRequire(import.meta.url);
const bareRss = process.memoryUsage.rss();

const start = performance.now();
for (const name of SUBJECTS[id].loads) require(name);
const loaded = performance.now();
const subject = await openSubject(id, servers);
const opened = performance.now();
await new Promise((resolve, reject) => {
  subject.store.get(sid ?? 'nobody', (error, session) => {
    if (error) reject(error);
    else if (sid && !session?.user) reject(new Error(`${id} lost the session`));
    else resolve();
  });
});
const called = performance.now();
const { user, system } = process.cpuUsage();
const rss = process.memoryUsage.rss();
globalThis.gc();
const rssAfterGc = process.memoryUsage.rss();
const measured = {
  loadMillis: loaded - start,
  firstCallMillis: called - opened,
  rss,
  rssAfterGc,
  bareRss,
  cpuMillis: (user + system) / 1000,
};
console.log(JSON.stringify(measured));
await subject.close();
