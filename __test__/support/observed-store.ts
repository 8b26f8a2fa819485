// A store whose every call is held against the reference model: what it gives, and what its counters show.

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type Mark, type Model, StoreModel } from './model.ts';
import { plain } from './session-content.ts';

export class ObservedStore {
  readonly store: DynamoDBSessionStore;
  readonly model: Model;
  readonly view = new StoreModel();
  /** What did not hold; the callers, whose errors the frameworks take, are not told. */
  readonly mismatches: unknown[] = [];
  /** How many calls of `update` are under way: other calls may run within them. */
  updates = 0;
  /** The same of `withLock` and `refresh`. */
  tasks = 0;
  /** Ids whose record may have changed since the last inspection. */
  readonly written = new Set<string>();
  /** What the last `get` of an id found. */
  readonly #lastRead = new Map<string, Mark | undefined>();
  readonly #conflicts: unknown[] = [];

  constructor(store: DynamoDBSessionStore, model: Model) {
    this.store = store;
    this.model = model;
    store.on('conflict', (conflict) => this.#conflicts.push(conflict));
    const { view } = this;
    this.#watch('get', (sid) => {
      const { session, mark } = model.read(view, sid, Date.now());
      return {
        check: (given) => {
          this.#lastRead.set(sid, mark);
          this.equal(given, session);
          if (mark && given) model.holds(sid, given, mark);
        },
      };
    });
    this.#watch('set', (sid, session) => ({ code: model.set(view, sid, session, Date.now()) }));
    this.#watch('touch', (sid, session) => ({ code: model.touch(view, sid, session, Date.now()) }));
    this.#watch('destroy', (sid) => ({ code: model.destroy(view, sid) }));
    store.createSession = (request, loaded) => {
      const session = DynamoDBSessionStore.prototype.createSession.call(store, request, loaded);
      model.link(loaded, session);
      return session;
    };
  }

  /** @fastify/session has made `session` of what it read last under this id, and of the session that it reloaded. */
  copied(sid: string, session: object, reloaded?: object): void {
    this.model.copy(sid, session, this.#lastRead.get(sid), reloaded);
  }

  /** Holds what a call gave against what the model says. */
  equal(given: any, session: any): void {
    const exact = this.model.settings.onConflict !== 'overwrite';
    // A session that carries its revision does not have it in its JSON.
    assert.deepStrictEqual(exact && given ? plain(given) : given, session);
  }

  /** Resolves when nothing goes on after its answer any more. */
  async quiet(): Promise<void> {
    while (!this.#isQuiet()) await turn();
  }

  #isQuiet(): boolean {
    return this.store.stats().callsInFlight <= this.updates;
  }

  checkCounts(): void {
    assert.deepStrictEqual(this.store.stats().sessions, this.view.counts, 'stats().sessions');
  }

  checkConflicts(): void {
    assert.deepStrictEqual(this.#conflicts, this.view.conflicts, 'the events');
  }

  #watch(
    name: 'get' | 'set' | 'touch' | 'destroy',
    predict: (sid: string, session?: any) => { code?: string; check?: (value: any) => void },
  ): void {
    const original = this.store[name] as (...args: any[]) => any;
    const observed = (sid: string, ...args: any[]) => {
      const { code, check } = predict(sid, args[0]);
      if (name !== 'get') this.written.add(sid);
      const answered = (error: any, value: any) => {
        try {
          assert.equal(error?.code, code, `the error of ${name}`);
          check?.(value);
          // What goes on after an answer is counted when it has ended; each step ends with a look at the counters, too.
          if (this.#isQuiet()) this.checkCounts();
        } catch (mismatch) {
          this.mismatches.push(mismatch);
        }
      };
      const callback = args.pop();
      if (typeof callback === 'function') {
        return original(sid, ...args, (error: any, value: any) => {
          answered(error, value);
          callback(error, value);
        });
      }
      if (callback !== undefined) args.push(callback);
      return original(sid, ...args).then(
        (value: any) => {
          answered(null, value);
          return value;
        },
        (error: any) => {
          answered(error, undefined);
          throw error;
        },
      );
    };
    Object.defineProperty(this.store, name, { value: observed });
  }
}
