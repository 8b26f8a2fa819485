// A task under a session's lease that goes on until the test ends it.

import type { DynamoDBSessionStore, LockOptions } from 'connect-dynamodb-kms';
import { Stops } from './stops.ts';

export interface Holder {
  /** What the task got. */
  signal: AbortSignal;
  /** Lets the task end; gives what withLock gave, which is 'the result'. */
  end(): Promise<string>;
}

/** Resolves when the task runs. */
export async function hold(store: DynamoDBSessionStore, sid: string, options: LockOptions = {}): Promise<Holder> {
  const stops = new Stops();
  let signal!: AbortSignal;
  const task = async (given: AbortSignal) => {
    signal = given;
    await stops.stop('task');
    return 'the result';
  };
  const whole = store.withLock(sid, task, options);
  await Promise.race([stops.reached('task'), whole]);
  return {
    signal,
    end() {
      stops.pass('task');
      return whole;
    },
  };
}
