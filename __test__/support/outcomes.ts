// What a piece of work cost, and what became of the sessions that it saved.

import type { DynamoDBSessionStore, SessionStoreStats } from 'connect-dynamodb-kms';
import { type AwsBackend, quiet } from './backends.ts';

export type Outcomes = Partial<SessionStoreStats['sessions']>;

/** What `stats().sessions` counted during the work, without the zeros. */
export async function outcomes(store: DynamoDBSessionStore, work: () => unknown): Promise<Outcomes> {
  const before = store.stats().sessions;
  await work();
  await quiet(store);
  const after = Object.entries(store.stats().sessions) as [keyof Outcomes, number][];
  return Object.fromEntries(after.map(([name, count]) => [name, count - before[name]!]).filter(([, count]) => count !== 0));
}

/** How often each action was asked for during the work, and by what goes on after an answer. */
export async function calls({ aws, stores }: AwsBackend, work: () => unknown): Promise<Record<string, number>> {
  await aws.reset();
  await work();
  for (const store of stores) await quiet(store);
  return aws.calls();
}

/** From here on, the names of the methods that frameworks call, in their order. */
export function traced(store: DynamoDBSessionStore): string[] {
  const trace: string[] = [];
  for (const name of ['get', 'set', 'touch', 'destroy'] as const) {
    const method = store[name] as (...args: unknown[]) => unknown;
    (store as any)[name] = (...args: unknown[]) => {
      trace.push(name);
      return method(...args);
    };
  }
  return trace;
}
