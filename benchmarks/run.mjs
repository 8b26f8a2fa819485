// `npm run bench`: builds what is measured, measures it, and writes RESULTS.md, results.svg and results.json. README.md says what and how.

import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { svg } from './chart.mjs';
import { budgets } from './figures.mjs';
import { runGrowth } from './growth.mjs';
import { describeMachine, pinSelf, placement } from './machine.mjs';
import { runMainThread, tooLong } from './main-thread.mjs';
import { readOptions, USAGE } from './options.mjs';
import { prepare } from './prepare.mjs';
import { markdown, number } from './report.mjs';
import { runRounds } from './rounds.mjs';

const file = (name) => new URL(name, import.meta.url);

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) return console.log(USAGE);
  const built = await prepare(options);
  const cores = placement(options.clientCores);
  const machine = describeMachine(cores);
  console.log(
    `\n${machine.processor}, ${machine.cores} cores; ${machine.pinned}; load average ${machine.loadAverage.join(', ')}`,
  );
  pinSelf(cores.servers);
  const { version } = JSON.parse(await readFile(file('../package.json'), 'utf8'));
  const run = { machine, version, options };
  const results = existsSync(file('results.json')) ? JSON.parse(await readFile(file('results.json'), 'utf8')) : {};
  if (options.growth) results.curves = { ...results.curves, ...(await runGrowth(built, cores, options, run)) };
  else if (options.mainThread) results.mainThread = { ...run, rows: await runMainThread(built, cores, options) };
  else results.table = { ...run, results: await runRounds(built, cores, options) };
  await writeFile(file('results.json'), `${JSON.stringify(results, null, 2)}\n`);
  await writeFile(file('RESULTS.md'), markdown(results));
  await writeFile(file('results.svg'), svg(results));
  if (!options.growth && !options.mainThread) printBudgets(results.table.results);
  for (const { operation, size } of options.mainThread ? tooLong(results.mainThread.rows) : []) {
    console.error(`\n${operation} of ${size} bytes holds the main thread too long`);
    process.exitCode = 1;
  }
  console.log('\nbenchmarks/RESULTS.md, benchmarks/results.svg and benchmarks/results.json are written.');
}

function printBudgets(results) {
  console.log('\nBudgets');
  for (const { what, sign, wanted, found, unit, met } of budgets(results)) {
    const value = found ? `${number(found.median)}${unit} (${number(found.min)}–${number(found.max)})` : 'not measured';
    console.log(`  ${met ? 'met   ' : 'MISSED'} ${what}: ${value}, wanted ${sign} ${number(wanted)}${unit}`);
  }
}

main().catch((error) => {
  console.error(`\n${error.stack}`);
  process.exitCode = 1;
});
