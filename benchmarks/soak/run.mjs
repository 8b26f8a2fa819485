// npm run soak -- --minutes 20: a steady load of mixed calls with faults, for as long as told. Writes benchmarks/soak/soak.svg and soak.json; status 1 if memory, handles or
// sockets are not back where they were when the load has ended, or a call failed as it should not.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine, pinned, pinSelf, placement } from '../machine.mjs';
import { prepare } from '../prepare.mjs';
import { Servers } from '../servers.mjs';
import { svg } from './chart.mjs';
import { FaultyFront, faultsOverTime } from './faults.mjs';
import { verdict } from './verdict.mjs';

const USAGE = `npm run soak -- [options]

  --minutes N      how long, without two pauses of three minutes (20)
  --rate N         calls a second (2,000)
  --skip-build     takes what an earlier run has built
  --debug          takes the debug builds of npm test: __test__/node_modules and the program that AWS_LOCAL names`;

const text = { type: 'string' };
const flag = { type: 'boolean', default: false };
const { values } = parseArgs({
  options: { minutes: text, rate: text, 'skip-build': flag, debug: flag, help: flag },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const [minutes, rate] = [Number(values.minutes ?? 20), Number(values.rate ?? 2000)];
if (!(minutes >= 1) || !(rate >= 1)) throw new Error(USAGE);

const awsLocal = values.debug ? process.env.AWS_LOCAL : (await prepare({ skipBuild: values['skip-build'] })).awsLocal;
const cores = placement(1);
pinSelf(cores.servers);
const servers = await Servers.start(awsLocal, cores.servers);
const fronts = [await FaultyFront.start(servers.where.dynamodb), await FaultyFront.start(servers.where.kms)];
const packageName = values.debug
  ? new URL('../../__test__/node_modules/connect-dynamodb-kms/index.js', import.meta.url).href
  : undefined;
const job = {
  rate,
  seconds: minutes * 60,
  where: { ...servers.where, dynamodb: fronts[0].url, kms: fronts[1].url },
  packageName,
};

const [command, args] = pinned(cores.client, process.execPath, []);
const subject = fork(fileURLToPath(new URL('load.mjs', import.meta.url)), [JSON.stringify(job)], {
  execPath: command,
  execArgv: [...args, '--expose-gc'],
  env: { ...process.env, AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local', AWS_EC2_METADATA_DISABLED: 'true' },
});
const samples = [];
let stopFaults = () => {};
subject.on('message', (sample) => {
  samples.push(sample);
  if (sample.phase !== samples.at(-2)?.phase) {
    stopFaults();
    // Idle memory is compared, so nothing is injected while nothing is called.
    stopFaults = sample.phase === 'load' ? faultsOverTime(servers, fronts) : () => {};
    console.log(`${sample.at.toFixed(0)} s: ${sample.phase}`);
  }
  if (samples.length % 30 === 0) {
    const { at, rss, p99, calls, sockets, handles } = sample;
    const memory = (rss / 2 ** 20).toFixed(0);
    console.log(
      `${at.toFixed(0)} s: ${calls} calls, p99 ${p99.toFixed(1)} ms, RSS ${memory} MB, ${handles} handles, ${sockets} sockets`,
    );
  }
});
const [code] = await once(subject, 'exit');
stopFaults();
await servers.stop();
for (const front of fronts) front.close();
const result = verdict(samples, { rate });
if (code !== 0) result.wrong.push(`the process ended with ${code}`);
const machine = describeMachine(cores);
writeFileSync(new URL('soak.svg', import.meta.url), svg(samples, result));
writeFileSync(new URL('soak.json', import.meta.url), `${JSON.stringify({ machine, minutes, rate, ...result, samples })}\n`);
for (const line of result.lines) console.log(line);
for (const line of result.wrong) console.error(`WRONG: ${line}`);
process.exitCode = result.wrong.length > 0 ? 1 : 0;
