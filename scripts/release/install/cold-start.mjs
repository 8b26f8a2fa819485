// How long a fresh process takes to load the package and to get its first session, in local mode: what is left of it on AWS is the network.

import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { output } from './output.mjs';

const RUNS = 20;
const SAVE = `const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path: process.argv[1] } });
store.set('an id', { cookie: {}, user: 'ada' }).then(() => store.close());`;

/** Prints the medians of 20 processes. They are figures to compare, and nothing fails by them. */
export async function measureStart(home, { name, command: [file] }) {
  const sessions = await mkdtemp(join(home, 'cold-'));
  await output(file, ['-e', SAVE, sessions], { cwd: home });
  const runs = [];
  for (let i = 0; i < RUNS; i += 1) runs.push(JSON.parse(await output(file, ['first-get.cjs', sessions], { cwd: home })));
  const median = (part) =>
    runs
      .map((run) => run[part])
      .sort((a, b) => a - b)
      [RUNS / 2].toFixed(1);
  console.log(
    `  ${name}: load ${median('load')} ms, first get ${median('get')} ms, ${median('process')} ms since the process began`,
  );
}
