// A store in a worker thread, as seen from the thread that started it.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';

export class StoreThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (value: any) => void; reject: (error: Error) => void }>();
  readonly #ended: Promise<number>;
  #calls = 0;

  constructor(config: SessionStoreConfig) {
    this.#worker = new Worker(new URL('./thread.mjs', import.meta.url), { workerData: config });
    this.#worker.on('message', ({ id, value, error }) => {
      const { resolve, reject } = this.#waiting.get(id)!;
      this.#waiting.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    });
    this.#ended = once(this.#worker, 'exit').then(([code]) => code);
  }

  /** A method of the store; an answer never comes if the thread ends first. */
  call(name: 'get' | 'set' | 'touch' | 'destroy', ...args: unknown[]): Promise<any> {
    return this.#ask(name, args);
  }

  /** Has the thread call `process.exit`. @returns its exit code. */
  exit(code: number): Promise<number> {
    void this.#ask('exit', [code]);
    return this.#ended;
  }

  /** @returns the exit code, 1 for a thread that was still running. */
  terminate(): Promise<number> {
    return this.#worker.terminate();
  }

  #ask(name: string, args: unknown[]): Promise<any> {
    const id = this.#calls++;
    this.#worker.postMessage({ id, name, args });
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }
}
