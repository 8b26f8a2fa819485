// What the store publishes on the channels of node:diagnostics_channel, as a subscriber sees it.

import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import type { TestContext } from 'node:test';
import type { CallMessage } from 'connect-dynamodb-kms';
import { shown } from './failures.ts';

export const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** An event of a call. `text` is everything about its message at that moment. */
export interface CallEvent {
  event: (typeof EVENTS)[number] | string;
  message: CallMessage;
  outcome: CallMessage['outcome'];
  text: string;
}

export const callChannel = tracingChannel<CallMessage, CallMessage>('connect-dynamodb-kms:call');

/** From here on until the end of the test, the events of all calls. The test may add lines of its own. */
export function traced(t: TestContext): CallEvent[] & { stop(): void } {
  const log: CallEvent[] = [];
  const subscribers: any = {};
  for (const event of EVENTS)
    subscribers[event] = (message: CallMessage) =>
      void log.push({ event, message, outcome: message.outcome, text: shown(message) });
  callChannel.subscribe(subscribers);
  const stop = () => void callChannel.unsubscribe(subscribers);
  t.after(stop);
  return Object.defineProperty(log, 'stop', { value: stop }) as CallEvent[] & { stop(): void };
}

/** From here on until the end of the test, the messages of a channel. */
export function published<T>(t: TestContext, name: 'conflict' | 'lease' | 'request' | 'revocation'): T[] {
  const messages: T[] = [];
  const listener = (message: unknown) => void messages.push(message as T);
  subscribe(`connect-dynamodb-kms:${name}`, listener);
  t.after(() => unsubscribe(`connect-dynamodb-kms:${name}`, listener));
  return messages;
}
