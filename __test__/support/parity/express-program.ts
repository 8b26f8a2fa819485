// Lets visitors use the Express application on one kind of store, once with each of the settings, and prints what they saw.

import { Agent } from 'node:http';
import session from 'express-session';
import { listen } from '../express-app.ts';
import { programArguments } from '../program.ts';
import { Client, type Row } from './client.ts';
import { application } from './express/app.ts';
import { scenarios } from './express/scenarios.ts';
import { testedStore } from './stores.ts';

export interface ExpressSetting {
  resave: boolean;
  saveUninitialized: boolean;
  /** How often each scenario is run. */
  repetitions: number;
  /** Options of our store. */
  store?: object;
}

/** What was seen in a scenario, as JSON of its rows, and how often. */
export type Outcomes = Record<string, Record<string, number>>;

const [kind, config, settings] = programArguments() as [any, any, ExpressSetting[]];
for (const { resave, saveUninitialized, repetitions, store: options } of settings) {
  const memory = () => new session.MemoryStore();
  const { store, idle, close } = await testedStore(kind, { ...config, ...options }, memory, session.Store.prototype);
  const server = await listen(application({ store, resave, saveUninitialized }));
  // Connections that are open already make the client as fast as it can be.
  const agent = new Agent({ keepAlive: true });
  const outcomes: Outcomes = {};
  for (const [name, run] of Object.entries(scenarios)) {
    const seen: Record<string, number> = {};
    outcomes[name] = seen;
    for (let repetition = 0; repetition < repetitions; repetition++) {
      const rows: Row[] = [];
      const witness = {
        origin: server.origin,
        settled: async () => {},
        seen: () => ({}),
        record: (row: Row) => void rows.push(row),
      };
      await run(new Client(witness, agent));
      const outcome = JSON.stringify(
        rows.map(({ request, status, headers, body }) => [request, status, headers?.location, body]),
      );
      seen[outcome] = (seen[outcome] ?? 0) + 1;
    }
  }
  console.log(JSON.stringify(outcomes));
  agent.destroy();
  await server.close();
  await idle();
  await close();
}
process.exit();
