// A session store whose saves wait, so that a test decides what happens before they end.

import { EventEmitter, once } from 'node:events';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';

export class HeldStore {
  readonly #store: DynamoDBSessionStore;
  readonly #events = new EventEmitter();
  #held: Array<() => void> = [];

  constructor(store: DynamoDBSessionStore) {
    this.#store = store;
  }

  get(sid: string, callback: (error: any, session?: any) => void): void {
    this.#store.get(sid, callback);
  }

  destroy(sid: string, callback: (error?: any) => void): void {
    this.#store.destroy(sid, callback);
  }

  set(sid: string, session: any, callback: (error?: any) => void): void {
    this.#held.push(() => this.#store.set(sid, session, callback));
    this.#events.emit('held');
  }

  /** Ends when a save waits. */
  async holdsOne(): Promise<void> {
    if (this.#held.length === 0) await once(this.#events, 'held');
  }

  /** Lets those that wait go on. */
  release(): void {
    for (const save of this.#held.splice(0)) save();
  }
}

/** A store that cannot save, at once or later. */
export function failingStore(later: boolean) {
  const end = (callback: (error?: any) => void, error?: Error) => (later ? void setImmediate(callback, error) : callback(error));
  return {
    get: (_sid: string, callback: (error: any, session?: any) => void) => callback(null, null),
    set: (_sid: string, _session: any, callback: (error?: any) => void) => end(callback, new Error('cannot save')),
    destroy: (_sid: string, callback: (error?: any) => void) => end(callback),
  };
}
