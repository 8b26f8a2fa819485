// npm run test:mutants                       finds the lines of lib/ and src/ that no test needs: changes one at a time, and runs the specs that fit its file
// npm run test:mutants -- lib/saves.js       in these files alone
// npm run test:mutants -- src/store --shard 1/40   a share of them
// npm run test:mutants -- --package FOLDER lib/saves.js   takes the package that is installed in FOLDER, and builds nothing
// npm run test:mutants -- --plan FILE        takes another table of specs than scripts/mutants/plan.mjs
//
// JavaScript is changed in the installed copy of the package, never in the sources. Fails if no test notices a change, unless the plan names it with its
// reason; and if a test notices one that the plan names.

import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildMutated } from './mutants/build.mjs';
import { tryMutants } from './mutants/javascript.mjs';
import { tryCrate } from './mutants/rust.mjs';
import { root } from './steps.mjs';

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      package: { type: 'string' },
      plan: { type: 'string' },
      shard: { type: 'string' },
      jobs: { type: 'string' },
    },
  });
  const planned = resolve(values.plan ?? join(root, 'scripts', 'mutants', 'plan.mjs'));
  const plan = await import(pathToFileURL(planned).href);
  const { scripts, rust } = chosen(plan, positionals);
  const [index, count] = (values.shard ?? '1/1').split('/').map(Number);
  if (!(index >= 1 && index <= count)) throw new Error('a shard is given as 1/40');

  let passed = true;
  if (scripts.length > 0) {
    const folder = values.package ? resolve(values.package) : await buildMutated();
    const cwd = resolve(dirname(planned), plan.folder);
    const jobs = Number(values.jobs ?? availableParallelism());
    passed = await tryMutants({ folder, cwd, jobs, files: scripts, plan, inShard: (n) => n % count === index - 1 });
  }
  if (rust.length > 0) passed = (await tryCrate(rust, { shard: `${index - 1}/${count}`, survivors: plan.survivors })) && passed;
  if (!passed) process.exitCode = 1;
}

/** What to change: the planned files, or those that were asked for. */
function chosen(plan, asked) {
  const known = Object.keys(plan.specs);
  if (asked.length === 0) return { scripts: known, rust: plan.rust };
  const scripts = asked.filter((file) => file.endsWith('.js'));
  const unknown = scripts.find((file) => !known.includes(file));
  if (unknown) throw new Error(`the plan has no specs for ${unknown}; it has them for ${known.join(', ')}`);
  return { scripts, rust: asked.filter((file) => !file.endsWith('.js')) };
}

main().catch((error) => {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
});
