// A process whose timers are fakes that stand still, before or after the store is loaded. Prints `closed` when the store has answered everything.

import { createRequire } from 'node:module';
import { mock } from 'node:test';
import FakeTimers from '@sinonjs/fake-timers';

const [fakes, when, folder] = process.argv.slice(2);
const FAKES: Record<string, () => void> = {
  sinon: () => {
    const { setTimeout: before } = globalThis;
    const toFake = [
      'setTimeout',
      'clearTimeout',
      'setInterval',
      'setImmediate',
      'nextTick',
      'queueMicrotask',
      'performance',
    ] as const;
    FakeTimers.install({ toFake: [...toFake] });
    if (globalThis.setTimeout === before) throw new Error('nothing was faked');
  },
  'node:test': () => mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate'] }),
};

if (when === 'before') FAKES[fakes]!();
const { DynamoDBSessionStore } = createRequire(import.meta.url)('connect-dynamodb-kms');
if (when === 'after') FAKES[fakes]!();

const store = new DynamoDBSessionStore({ local: { path: folder }, recordVersion: 2 });
const visit = (session: any) => {
  session.visits++;
};
store.set('a', { cookie: {}, visits: 0 }, async () => {
  await Promise.all([store.update('a', visit), store.update('a', visit), store.update('a', visit)]);
  await store.withLock('a', () => {});
  store.set('a', { cookie: {}, visits: 7 });
  store.get('a', (_error: unknown, { visits }: any) => {
    store.close(() => console.log(`closed ${visits}`));
  });
});
