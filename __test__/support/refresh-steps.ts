// The step `refresh` of an interleaving: what the store must do, by the reference model.

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import type { Mark, Model } from './model.ts';
import type { ObservedStore } from './observed-store.ts';
import type { Op } from './plans.ts';
import { contentOf, isSame, plain } from './session-content.ts';
import type { SimulatedRequest } from './simulated-requests.ts';

const LEASE = { leaseSeconds: 3600 };

interface Read {
  session: any;
  mark?: Mark;
}

export class RefreshSteps {
  readonly #model: Model;
  readonly #nested: (count: number, depth: number) => Promise<void>;
  /** Of each store, the ids of sessions whose token it renews now. */
  readonly #flights = new Map<ObservedStore, Set<string>>();

  constructor(model: Model, nested: (count: number, depth: number) => Promise<void>) {
    this.#model = model;
    this.#nested = nested;
  }

  async run(
    observed: ObservedStore,
    op: Op & { do: 'refresh' },
    { sid, session: own }: SimulatedRequest,
    depth: number,
  ): Promise<void> {
    const model = this.#model;
    const { store, view } = observed;
    if (!sid) return;
    const held = op.held && own && model.names(own) ? own : undefined;
    const isFresh = (session: any) => (session.token ?? 0) >= op.token;
    const flights = this.#flights.get(observed) ?? new Set();
    this.#flights.set(observed, flights);

    let runs = 0;
    let stored: Mark | null = null;
    // Where there is nothing to write, nothing tells that the session was removed after it was read.
    let unchanged: any = null;
    const refresh = async (session: any) => {
      assert.equal(++runs, 1, 'the function ran again');
      const read = model.read(view, sid, Date.now());
      assert.deepStrictEqual(session, read.session, 'what the function got');
      model.leases.add(sid);
      flights.add(sid);
      await this.#nested(op.nested, depth);
      flights.delete(sid);
      model.leases.delete(sid);
      if (op.how === 'fails') throw new RangeError('the provider is down');
      const changed = op.how === 'another object' ? { ...session } : session;
      if (op.how !== 'stale') changed.token = op.token;
      changed.renewed = op.token;
      const json = plain(changed);
      if (isSame(read.mark!, contentOf(json))) unchanged = read.session;
      stored = this.#write(observed, sid, read, json, isFresh, op);
      return changed;
    };

    const expected = this.#expect(observed, sid, held, isFresh, flights.has(sid));
    observed.tasks++;
    observed.written.add(sid);
    const waitSeconds = expected === 'ERR_LOCK_TIMEOUT' ? 0.02 : 60;
    const call = store.refresh(held ?? sid, { isFresh, refresh, waitSeconds, ...LEASE });
    try {
      if (expected === 'runs' && op.how === 'fails') await assert.rejects(call, { name: 'RangeError' });
      else if (expected === 'held') assert.equal(await call, held);
      else if (typeof expected === 'string' && expected !== 'runs') await assert.rejects(call, { code: expected });
      else this.#finish(observed, sid, held, await call, expected === 'runs' ? stored : expected, unchanged);
      assert.equal(runs, expected === 'runs' ? 1 : 0, 'whether the function ran');
    } finally {
      observed.tasks--;
    }
    while (store.stats().tasksInFlight > observed.tasks) await turn(); // the lease is given back
  }

  /** What the call does: gives this session, runs the function, or fails with this code. */
  #expect(
    { view }: ObservedStore,
    sid: string,
    held: any,
    isFresh: (session: any) => boolean,
    joins: boolean,
  ): Mark | null | 'held' | 'runs' | 'ERR_CONFLICT' | 'ERR_NOT_SAVED' | 'ERR_LOCK_TIMEOUT' {
    const model = this.#model;
    const now = Date.now();
    if (held && isFresh(held)) return 'held';
    if (held && model.refusesUpdate(view, sid, held)) return 'ERR_CONFLICT';
    if (joins) return 'ERR_LOCK_TIMEOUT';
    const unsaved = held && model.isUnsaved(view, sid, held, now);
    const { session, mark } = model.read(view, sid, now);
    if (session === null) return unsaved ? 'ERR_NOT_SAVED' : null;
    if (isFresh(session)) return mark!;
    return model.leases.has(sid) ? 'ERR_LOCK_TIMEOUT' : 'runs';
  }

  /** What becomes of the function's changes. */
  #write(
    { view }: ObservedStore,
    sid: string,
    read: Read,
    json: any,
    isFresh: (session: any) => boolean,
    op: Op & { do: 'refresh' },
  ) {
    const model = this.#model;
    const written = model.write(view, sid, read.mark!, read.session, json, Date.now());
    if (written === 'gone') return null;
    if (written !== 'again') return written;
    const newest = model.read(view, sid, Date.now());
    if (newest.session === null || isFresh(newest.session)) return newest.mark ?? null;
    const changed = ['token', 'renewed'].filter((name) => json[name] !== read.session[name]);
    if (changed.some((name) => newest.session[name] !== read.session[name])) return newest.mark ?? null;
    const merged = { ...newest.session, renewed: op.token, ...(op.how === 'stale' ? {} : { token: op.token }) };
    const again = model.write(view, sid, newest.mark!, newest.session, merged, Date.now());
    assert.notEqual(again, 'again');
    return again === 'gone' ? null : (again as Mark);
  }

  #finish(observed: ObservedStore, sid: string, held: any, result: any, mark: Mark | null, unchanged: any): void {
    if (mark === null) {
      assert.equal(result, null, 'what refresh gave');
      return;
    }
    const there = this.#model.view(sid, Date.now()) ?? unchanged;
    if (held) {
      assert.equal(result, held);
      assert.deepStrictEqual({ ...plain(held), cookie: undefined }, { ...there, cookie: undefined }, 'what the request holds');
    } else {
      assert.deepStrictEqual(result, there, 'what refresh gave');
    }
    this.#model.wrote(observed.view, sid, mark, result);
  }
}
