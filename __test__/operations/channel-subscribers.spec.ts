// Subscribers that do to a message what no subscriber should: the calls go on, and are answered.

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, afterEach, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { CallMessage, RequestMessage } from 'connect-dynamodb-kms';
import { type AwsBackend, quiet, startAws } from '../support/backends.ts';
import { callChannel, EVENTS } from '../support/channels.ts';
import { failing } from '../support/failures.ts';

describe('a call whose message', { timeout: 300_000 }, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  afterEach(() => backend.aws.clearFaults());

  /** Until the test ends, `change` gets every message at `event`. */
  function changing(t: TestContext, event: (typeof EVENTS)[number] | 'request', change: (message: CallMessage) => void): void {
    if (event === 'request') {
      const name = 'connect-dynamodb-kms:request';
      const subscriber = (message: unknown) => {
        const { call } = message as RequestMessage;
        if (call) change(call);
      };
      subscribe(name, subscriber);
      t.after(() => void unsubscribe(name, subscriber));
    }
    const none = Object.fromEntries(EVENTS.map((name) => [name, () => {}]));
    const subscribers: any = event === 'request' ? none : { ...none, [event]: change };
    callChannel.subscribe(subscribers);
    t.after(() => void callChannel.unsubscribe(subscribers));
  }

  const changes: Record<string, (message: any) => void> = {
    // As Immer does with what is put into a state.
    frozen: (message) => {
      Object.freeze(message);
      Object.freeze(message.requests);
    },
    'emptied of its counts': (message) => void delete message.requests,
  };
  for (const [what, change] of Object.entries(changes))
    for (const event of [...EVENTS, 'request'] as const)
      it(`is ${what} at ${event} is answered, and so are the next ones`, async (t) => {
        const uncaught = t.mock.fn();
        process.on('uncaughtException', uncaught);
        t.after(() => process.off('uncaughtException', uncaught));
        changing(t, event, change);
        const store = backend.store({ touchAfter: 0 });
        const session = { cookie: {}, user: 'ada' };
        await store.set('sid', session);
        assert.equal((await store.get('sid'))?.['user'], 'ada');
        assert.equal((await promisify(store.get as any)('sid')).user, 'ada');
        await backend.aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'AccessDeniedException', times: 1 });
        await failing(store.get('sid'), 'ERR_ACCESS_DENIED');
        store.touch('sid', session, () => {}); // moves the end of the session after its answer
        await quiet(store);
        const { get } = store.stats().operations;
        assert.deepEqual([get!.outcomes, get!.errors], [{ found: 2 }, 1]);
        await store.close();
        assert.equal(uncaught.mock.callCount(), 0);
      });
});
