// Lets visitors use the gateway on one kind of store, once with each of the settings, and prints what they saw.

import { mock } from 'node:test';
import fastifySession from '@fastify/session';
import { programArguments } from '../program.ts';
import { START } from '../turned-clock.ts';
import { Client, type Row, type Witness } from './client.ts';
import { Slowness } from './fastify/accounts.ts';
import { gateway } from './fastify/gateway.ts';
import { scenarios } from './fastify/scenarios.ts';
import { Runs } from './runs.ts';
import type { Setting } from './settings.ts';
import { testedStore } from './stores.ts';
import { startUpstream } from './upstream.ts';

const FAULTS = ['uncaughtException', 'unhandledRejection'] as const;
const [kind, config, settings, only] = programArguments() as [any, any, Setting[], string?];
mock.timers.enable({ apis: ['Date'], now: START });
const uncaught: string[] = [];
const note = (error: any) => void uncaught.push(error?.code ?? String(error));
const upstream = await startUpstream();
for (const { rolling, saveUninitialized, step, store: options } of settings) {
  const { store, idle, close } = await testedStore(
    kind,
    { ...config, ...options },
    () => new (fastifySession as any).MemoryStore(),
  );
  const [runs, slowness] = [new Runs(), new Slowness()];
  const app = await gateway({ runs, slowness, upstream: upstream.url }, { store, rolling, saveUninitialized });
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  for (const event of FAULTS) process.on(event, note);
  const transcript: Record<string, Row[]> = {};
  for (const { name, run } of scenarios) {
    if (only && name !== only) continue;
    const rows: Row[] = [];
    transcript[name] = rows;
    const witness: Witness = {
      origin,
      settled: idle,
      seen: () => ({ runs: runs.take(), uncaught: uncaught.splice(0) }),
      record: (row) => {
        rows.push(row);
        mock.timers.tick(step * 1000);
      },
    };
    await run({ browser: () => new Client(witness), pass: (seconds) => mock.timers.tick(seconds * 1000), slowness });
  }
  for (const event of FAULTS) process.off(event, note);
  console.log(JSON.stringify(transcript));
  app.server.closeAllConnections();
  await app.close();
  await close();
}
process.exit();
