// Arguments that a method of the store refuses, with a promise and with a callback.

import { it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { byCallback } from './calls.ts';
import { assertFailure, failing } from './failures.ts';

/** Declares a test for each list of arguments in `bad`, named by what is wrong with it. */
export function itRefusesArguments(
  method: 'update' | 'withLock',
  store: () => DynamoDBSessionStore,
  bad: Record<string, unknown[]>,
): void {
  for (const [what, args] of Object.entries(bad)) {
    it(`refuses ${what} with ERR_CONFIG`, async () => {
      const call = (store() as any)[method];
      await failing(call(...args), 'ERR_CONFIG');
      if (args.length < 2) return;
      const [error] = await byCallback((callback) => call(...args, callback));
      assertFailure(error, 'ERR_CONFIG');
    });
  }
}
