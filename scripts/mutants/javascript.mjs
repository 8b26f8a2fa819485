// Tries the mutants of JavaScript files one by one in an installed package.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { specFiles } from '../specs.mjs';
import { step } from '../steps.mjs';
import { mutantsOf } from './mutate.mjs';
import { trySpecs } from './trial.mjs';

/** A mutant may take this many times as long as the package itself, and a few seconds more: else it hangs. */
const TIMES = 3;
const SECONDS_MORE = 10;

/**
 * @param {object} call
 * @param {string} call.folder where the package is installed.
 * @param {string} call.cwd the folder of the specs.
 * @param {number} call.jobs how many specs run at a time.
 * @param {string[]} call.files relative to `folder`.
 * @param {{ specs: Record<string, string[]>, survivors: import('./plan.mjs').Survivor[] }} call.plan
 * @param {(index: number) => boolean} call.inShard which mutants are tried.
 * @returns {Promise<boolean>} whether everything went as planned.
 */
export async function tryMutants({ folder, cwd, jobs, files, plan, inShard }) {
  const total = { mutants: 0, killed: 0, unnamed: [], wrong: [] };
  for (const file of files) {
    step(`${file}: ${plan.specs[file].join(' ')}`);
    const named = plan.survivors.filter((survivor) => survivor.file === file);
    const tried = await tryFile(file, { folder, cwd, jobs, specs: plan.specs[file], named, inShard });
    console.log(`${file}: ${share(tried)}`);
    total.mutants += tried.mutants;
    total.killed += tried.killed;
    total.unnamed.push(...tried.unnamed);
    total.wrong.push(...tried.wrong);
  }
  report(total);
  return total.unnamed.length === 0 && total.wrong.length === 0;
}

async function tryFile(file, { folder, cwd, jobs, specs: names, named, inShard }) {
  const path = join(folder, file);
  const original = readFileSync(path, 'utf8');
  const specs = (await Promise.all(names.map((name) => specFiles([name], cwd)))).flat();
  const started = performance.now();
  const broken = await trySpecs(specs, { cwd, jobs, seconds: 600 });
  if (broken) throw new Error(`a test fails without any change: ${broken}`);
  const seconds = Math.ceil((TIMES * (performance.now() - started)) / 1000) + SECONDS_MORE;

  const mutants = mutantsOf(original, file);
  const tried = mutants.filter((_, index) => inShard(index));
  const isThis = (mutant) => (survivor) =>
    survivor.code === mutant.code && survivor.change === mutant.change && (survivor.above ?? mutant.above) === mutant.above;
  const result = { mutants: tried.length, killed: 0, unnamed: [], wrong: [] };
  for (const survivor of named) {
    if (!mutants.some((mutant) => isThis(mutant)(survivor)))
      result.wrong.push(`${file}: there is no "${survivor.change}" in ${survivor.code}`);
  }
  const restore = () => writeFileSync(path, original);
  process.once('exit', restore);
  const interrupt = () => process.exit(130);
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    for (const mutant of tried) {
      writeFileSync(path, mutant.source);
      const killer = await trySpecs(specs, { cwd, jobs, seconds });
      const name = `${file}:${mutant.line} ${mutant.change}`;
      const reason = named.find(isThis(mutant))?.reason;
      if (killer) result.killed++;
      if (killer && reason) result.wrong.push(`${name}: is named as a survivor, and killed by ${killer}`);
      if (!killer && !reason) result.unnamed.push(name);
      console.log(killer ? `killed    ${name}` : `SURVIVED  ${name}${reason ? ` (named: ${reason})` : ''}`);
    }
  } finally {
    restore();
    process.off('exit', restore).off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
  return result;
}

function report(total) {
  console.log(`\n${share(total)}`);
  if (total.unnamed.length > 0) console.log(`\nNo test notices:\n${total.unnamed.join('\n')}`);
  if (total.wrong.length > 0) console.log(`\nNamed as survivors, wrongly:\n${total.wrong.join('\n')}`);
}

function share({ killed, mutants }) {
  const percent = mutants === 0 ? 100 : (100 * killed) / mutants;
  return `${killed} of ${mutants} mutants killed (${percent.toFixed(1)} %)`;
}
