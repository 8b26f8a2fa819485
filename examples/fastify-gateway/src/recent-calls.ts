// The last calls of the stores of this process, as they publish them on channels of node:diagnostics_channel.

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { CallMessage, RequestMessage } from 'connect-dynamodb-kms';

/** How many calls are kept. */
export const KEPT_CALLS = 50;
/** How many requests of a call are kept: a scan of the whole table sends thousands. */
const KEPT_REQUESTS = 6;

/** A request to AWS, or a retry of it. */
export type SentRequest = Pick<RequestMessage, 'service' | 'operation' | 'attempt' | 'milliseconds' | 'status'>;

/** A call that has been answered. */
export interface RecentCall {
  /** 1 for the first one of the process. */
  number: number;
  /** The store's method. */
  operation: string;
  component: CallMessage['component'];
  /** The fingerprint that log lines have, never an id. */
  session: string | undefined;
  /** What came of it: an outcome, or the code of an error. */
  result: string;
  hasFailed: boolean;
  /** All requests that it sent. */
  requests: Readonly<CallMessage['requests']>;
  /** The first of them. */
  sent: readonly SentRequest[];
  /** `undefined` if no data key was needed. */
  keyCacheHit: boolean | undefined;
  /** From the beginning of the call to its answer. */
  milliseconds: number;
  answeredAt: Date;
}

interface RunningCall {
  startedAt: number;
  sent: SentRequest[];
}

/** Keeps the last calls in memory until it is stopped. */
export class RecentCalls {
  readonly #calls: RecentCall[] = [];
  readonly #running = new WeakMap<CallMessage, RunningCall>();
  #count = 0;

  constructor() {
    for (const [name, listener] of this.#listeners) subscribe(name, listener);
  }

  /** The latest one first. */
  get list(): readonly RecentCall[] {
    return this.#calls.toReversed();
  }

  /** Ends the subscriptions: calls are no longer published if nobody else looks. */
  stop(): void {
    for (const [name, listener] of this.#listeners) unsubscribe(name, listener);
  }

  readonly #listeners: [name: string, listener: (message: unknown) => void][] = [
    ['tracing:connect-dynamodb-kms:call:start', (message) => this.#begin(message as CallMessage)],
    ['connect-dynamodb-kms:request', (message) => this.#note(message as RequestMessage)],
    // At `asyncEnd`, the callback has run as well, and with it the handler of the request.
    ['tracing:connect-dynamodb-kms:call:asyncStart', (message) => this.#end(message as CallMessage)],
  ];

  #begin(message: CallMessage): void {
    this.#running.set(message, { startedAt: performance.now(), sent: [] });
  }

  #note({ call, service, operation, attempt, milliseconds, status }: RequestMessage): void {
    const sent = call && this.#running.get(call)?.sent;
    if (!sent || sent.length === KEPT_REQUESTS) return;
    sent.push({ service, operation, attempt, milliseconds, ...(status !== undefined && { status }) });
  }

  #end(message: CallMessage): void {
    const running = this.#running.get(message);
    if (!running) return; // it began before the subscription
    const { operation, component, session, outcome, code, requests, keyCacheHit } = message;
    if (this.#calls.length === KEPT_CALLS) this.#calls.shift();
    // Not the message itself: its error may hold what the application threw.
    this.#calls.push({
      number: ++this.#count,
      operation,
      component,
      session,
      result: outcome ?? code ?? 'failed',
      hasFailed: outcome === undefined,
      requests, // goes on counting if the call moves the session's end in the background
      sent: running.sent,
      keyCacheHit,
      milliseconds: performance.now() - running.startedAt,
      answeredAt: new Date(),
    });
  }
}
