// The stores that an application runs on. This package is loaded only where it is the one: a process of the reference must not have it.

import { setImmediate as turn } from 'node:timers/promises';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';

/**
 * `deferred`: every callback comes later, as nearly all asynchronous stores have it. `late`: what is saved can be read a while later, as
 * from a store whose reads do not wait for its writes.
 */
export type StoreKind = 'memory' | 'memory, deferred' | 'memory, late' | 'ours' | 'ours, deferred';

const LATE_MS = 100;

export interface TestedStore {
  /** For the session plugin; `undefined` for its own. */
  store: any;
  /** Resolves when it has nothing left to do. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

function deferred(store: any, prototype: object | null): { store: any; calls: () => number } {
  let calls = 0;
  const later =
    (name: string) =>
    (...args: any[]) => {
      const callback = args.pop();
      calls++;
      store[name](...args, (...answer: unknown[]) => {
        setImmediate(() => {
          calls--;
          callback(...answer);
        });
      });
    };
  const methods = { get: later('get'), set: later('set'), destroy: later('destroy'), touch: later('touch') };
  return { store: Object.assign(Object.create(prototype), methods), calls: () => calls };
}

/**
 * @param memory Makes the framework's own store.
 * @param prototype What the framework takes from a store beside the methods of the interface.
 */
export async function testedStore(
  kind: StoreKind,
  config: SessionStoreConfig,
  memory: () => any,
  prototype: object | null = null,
): Promise<TestedStore> {
  const turns = async (count: number) => {
    for (let turned = 0; turned < count; turned++) await turn();
  };
  if (kind.startsWith('memory')) {
    const own = memory();
    if (kind === 'memory, late') {
      const { set } = own;
      own.set = (...args: unknown[]) => setTimeout(() => set.apply(own, args), LATE_MS);
    }
    if (kind !== 'memory, deferred') return { store: own, idle: () => turns(3), close: async () => {} };
    const { store, calls } = deferred(own, prototype);
    const idle = async () => {
      do await turns(3);
      while (calls() > 0);
    };
    return { store, idle, close: async () => {} };
  }
  const { DynamoDBSessionStore } = await import('connect-dynamodb-kms');
  const own = new DynamoDBSessionStore({ recordVersion: 1, logger: { warn() {}, debug() {} }, ...config });
  const { store, calls } = kind === 'ours' ? { store: own, calls: () => 0 } : deferred(own, prototype);
  const idle = async () => {
    do await turns(3);
    while (calls() > 0 || own.stats().callsInFlight > 0);
  };
  return { store, idle, close: () => own.close() };
}
