// Random interleavings of simulated requests: run against the reference model, and made smaller when one of them fails.

import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { inspect } from 'node:util';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import type { Backend } from './backends.ts';
import { type Mark, Model } from './model.ts';
import { ObservedStore } from './observed-store.ts';
import { HOUR, type Op, PEOPLE, type Plan, type Profile, planOf, type Step } from './plans.ts';
import { RefreshSteps } from './refresh-steps.ts';
import { plain } from './session-content.ts';
import { Gateway, type SimulatedRequest } from './simulated-requests.ts';

let runs = 0;

/** One run of a plan, on stores and ids of its own. */
class Run {
  readonly trace: string[] = [];
  steps = 0;
  readonly #plan: Plan;
  readonly #model: Model;
  readonly #observed: ObservedStore[];
  readonly #refreshes: RefreshSteps;
  readonly #gateways: Gateway[];
  readonly #backend: Backend;
  /** A store that takes no part. */
  readonly #inspector: DynamoDBSessionStore;
  readonly #name = `run-${++runs}`;
  readonly #sids: string[];
  readonly #requests: Array<{ request?: SimulatedRequest; loaded?: any; busy: boolean; over: boolean }>;
  /** What the inspector saw of each id. */
  readonly #seen = new Map<string, { revision: number; authTag: string }>();
  #ids = 0;
  #position = 0;

  constructor(backend: Backend, plan: Plan) {
    this.#plan = plan;
    this.#backend = backend;
    const { users } = plan.settings;
    // All runs have one table: the users of each are others.
    const settings = { ...plan.settings, ...(users && { users: { ...users, secret: `the secret of ${this.#name}` } }) };
    this.#model = new Model(settings);
    this.#refreshes = new RefreshSteps(this.#model, (count, depth) => this.#nested(count, depth));
    this.#inspector = backend.store(settings);
    this.#observed = [0, 1, 2].map(() => new ObservedStore(backend.store(settings), this.#model));
    const { maxAge, rolling, resave } = plan;
    const newId = () => `${this.#name}-new-${++this.#ids}`;
    this.#gateways = this.#observed.map((observed) => new Gateway(observed, { maxAge, rolling, resave, newId }));
    this.#sids = plan.browsers.map((_, browser) => `${this.#name}-${browser}`);
    this.#requests = plan.requests.map(() => ({ busy: false, over: false }));
  }

  async run(): Promise<void> {
    try {
      for (const [browser, store] of this.#plan.browsers.entries()) await this.#seed(browser, store);
      while (this.#position < this.#plan.schedule.length) await this.#next(0);
      // A request that has begun ends, whatever was left out of the plan.
      for (const [index, { request, over }] of this.#requests.entries()) {
        if (request && !over) await this.#step({ request: index, op: { do: 'end', how: 'nothing' } }, 0);
      }
      await new Promise(setImmediate); // events come in a later turn
      for (const observed of this.#observed) observed.checkConflicts();
      for (const sid of this.#model.rows.keys()) {
        assert.deepStrictEqual(withoutRevision(await this.#inspector.get(sid)), this.#model.view(sid, Date.now()), 'the table');
      }
      if (this.#plan.settings.users) await this.#checkLists();
    } finally {
      await Promise.allSettled(
        this.#requests.map(({ request, over }) => (request && !over ? request.end('nothing') : undefined)),
      );
      await Promise.all(this.#gateways.map((gateway) => gateway.close()));
      await Promise.all([this.#inspector, ...this.#observed.map(({ store }) => store)].map((store) => store.close()));
    }
  }

  async #seed(browser: number, store: 0 | 1 | 2 | null): Promise<void> {
    if (store === null) return;
    const observed = this.#observed[store];
    const { maxAge } = this.#plan;
    const expires = maxAge === null ? null : new Date(Date.now() + maxAge);
    const cookie = { originalMaxAge: maxAge, expires, secure: false, httpOnly: true, path: '/' };
    await observed.store.set(this.#sids[browser], { cookie, user: PEOPLE[0], list: [1, { two: null }], count: 0 });
    await this.#check(observed, `browser ${browser} has a session, saved by store ${store}`);
  }

  async #next(depth: number): Promise<void> {
    const step = this.#plan.schedule[this.#position++];
    if (step) await this.#step(step, depth);
  }

  async #nested(count: number, depth: number): Promise<void> {
    if (depth >= 2) return;
    for (let number = 0; number < count; number++) await this.#next(depth + 1);
  }

  async #step({ request: index, op, advance = 0 }: Step, depth: number): Promise<void> {
    if (index === undefined || !op) {
      // The table would take the lease for one whose holder has died.
      if (this.#model.leases.size > 0 && advance > 100_000) return;
      mock.timers.setTime(Date.now() + advance);
      this.trace.push(`${'  '.repeat(depth)}${advance / 1000} seconds pass`);
      await this.#removeEnded();
      return;
    }
    const state = this.#requests[index];
    const { caller, store, browser } = this.#plan.requests[index];
    if (state.busy || state.over || (!state.request && op.do !== 'load')) return;
    const observed = this.#observed[store];
    const name = `${'  '.repeat(depth)}request ${index} (${caller} on store ${store}, browser ${browser})`;
    state.busy = true;
    this.steps++;
    try {
      if (op.do === 'load') {
        this.trace.push(`${name} loads ${this.#sids[browser]}`);
        state.request = this.#gateways[store].request(caller);
        await state.request.load(this.#sids[browser]);
        state.loaded = state.request.session && plain(state.request.session);
      } else {
        this.trace.push(`${name}: ${inspect(op, { breakLength: Number.POSITIVE_INFINITY })}`);
        await this.#apply(observed, op, state as { request: SimulatedRequest; loaded: any }, depth);
      }
      if (op.do === 'end') {
        state.over = true;
        // The browser has the cookie of a session that was saved under a new id.
        const { sid } = state.request!;
        if (this.#model.rows.has(sid)) this.#sids[browser] = sid;
      }
    } finally {
      state.busy = false;
    }
    await this.#check(observed, name);
  }

  async #apply(observed: ObservedStore, op: Op, state: { request: SimulatedRequest; loaded: any }, depth: number): Promise<void> {
    const { request, loaded } = state;
    if (op.do === 'end') return request.end(op.how);
    if (op.do === 'update') return this.#update(observed, op, request, depth);
    if (op.do === 'refresh') return this.#refreshes.run(observed, op, request, depth);
    if (op.do === 'lock') return this.#lock(observed, op, request.sid, depth);
    if (op.do === 'list') return this.#list(observed, op.user);
    if (op.do === 'everywhere') return this.#everywhere(observed, op, request.sid);
    if ((op.do === 'change' || op.do === 'login') && !request.session) request.begin();
    const { session } = request;
    if (!session) return; // logged out
    switch (op.do) {
      case 'change':
        session[op.value % 3 === 0 ? 'note' : 'count'] = op.value;
        if (op.value % 5 === 0) delete session.user;
        break;
      case 'login':
        if (op.user === undefined) delete session.user;
        else session.user = op.user;
        break;
      case 'revert':
        for (const name of ['note', 'count', 'user']) {
          if (loaded?.[name] === undefined) delete session[name];
          else session[name] = loaded[name];
        }
        break;
      case 'lifetime':
      case 'roll': {
        const maxAge = op.do === 'lifetime' ? op.seconds * 1000 : session.cookie.originalMaxAge;
        if (maxAge === null || maxAge === undefined) break;
        session.cookie.expires = new Date(Date.now() + maxAge);
        session.cookie.originalMaxAge = maxAge;
        break;
      }
      default:
        await request[op.do as 'save']();
        if (op.do === 'reload') state.loaded = request.session && plain(request.session);
    }
  }

  async #update(observed: ObservedStore, op: Op & { do: 'update' }, request: SimulatedRequest, depth: number): Promise<void> {
    const { store, view } = observed;
    const { sid } = request;
    const held = op.held && request.session && this.#model.names(request.session) ? request.session : undefined;
    if (!sid) return;
    const refused = held && this.#model.refusesUpdate(view, sid, held);
    const unsaved = held && this.#model.isUnsaved(view, sid, held, Date.now());
    let written = 'again' as Mark | 'gone' | 'again'; // mutate changes it, which the compiler does not see
    let json: any;
    let attempts = 0;
    const mutate = async (session: any) => {
      assert.equal(written, 'again', 'mutate was called although the session was written, or is gone');
      const read = this.#model.read(view, sid, Date.now());
      assert.deepStrictEqual(session, read.session, 'what update has read');
      if (++attempts <= 2) await this.#nested(op.nested, depth);
      if (op.how === 'fails') throw new RangeError('mutate failed');
      let changed = session;
      if (op.how === 'another object') changed = { ...session, note: `another ${op.value}` };
      else if (op.how !== 'not at all') session.count = op.value;
      if (op.how === 'a later end') session.cookie.expires = new Date(Date.now() + 2 * HOUR * 1000).toISOString();
      json = plain(changed);
      written = this.#model.write(view, sid, read.mark!, read.session, json, Date.now());
      return op.value % 2 === 0 || changed !== session ? changed : undefined;
    };
    const there = this.#model.view(sid, Date.now()) !== null;
    observed.updates++;
    const result = store.update(held ?? sid, mutate, { deadlineSeconds: 60 }).finally(() => observed.updates--);
    observed.written.add(sid);
    if (refused) await assert.rejects(result, { code: 'ERR_CONFLICT' }, 'the object has changes that are not saved');
    else if (unsaved) await assert.rejects(result, { code: 'ERR_NOT_SAVED' }, 'the object was never saved');
    else if (op.how === 'fails' && there) await assert.rejects(result, { name: 'RangeError' });
    else {
      const session = await result;
      // It may have found none at first, or none any more in a later attempt.
      if (session === null && written === 'again') assert.equal(this.#model.read(view, sid, Date.now()).session, null);
      assert.deepStrictEqual(session, typeof written === 'object' ? json : null, 'what update gave');
      if (typeof written !== 'object') {
        if (held && written === 'gone') this.#model.lost(sid, held);
      } else {
        for (const object of held ? [session, held] : [session]) {
          assert.deepStrictEqual(
            { ...plain(object), cookie: undefined },
            { ...json, cookie: undefined },
            'what the request holds',
          );
        }
        this.#model.wrote(view, sid, written, ...(held ? [session, held] : [session]));
      }
    }
  }

  async #lock(observed: ObservedStore, op: Op & { do: 'lock' }, sid: string, depth: number): Promise<void> {
    if (!sid) return;
    const { leases } = this.#model;
    const free = !leases.has(sid);
    const task = async (signal: AbortSignal) => {
      assert.ok(!leases.has(sid), 'two tasks have the lease');
      leases.add(sid);
      await this.#nested(op.nested, depth);
      leases.delete(sid);
      return signal.aborted;
    };
    observed.tasks++;
    const done = observed.store.withLock(sid, task, { leaseSeconds: HOUR, waitSeconds: free ? 60 : 0.02 });
    if (free) assert.equal(await done, false, 'the lease was lost');
    else await assert.rejects(done, { code: 'ERR_LOCK_TIMEOUT' });
    observed.tasks--;
  }

  async #list({ store }: ObservedStore, user: string): Promise<void> {
    const expected = this.#model.sessionsOf(user, Date.now());
    assert.deepStrictEqual((await store.sessionsOf(user)).map(plain), expected, `the sessions of ${user}`);
  }

  async #everywhere({ store }: ObservedStore, op: Op & { do: 'everywhere' }, own: string): Promise<void> {
    const except = op.keeps && own ? own : undefined;
    const expected = this.#model.destroyAllOf(op.user, except);
    assert.equal(await store.destroyAllOf(op.user, { except }), expected, `how many sessions of ${op.user} were ended`);
  }

  /** Local mode removes what has ended at some time after the next call; here at once, so that it does not depend on chance what later calls meet. */
  async #removeEnded(): Promise<void> {
    const { local } = this.#backend.config;
    if (!local) return;
    const store = this.#backend.store();
    await store.get('none'); // the first call of a store begins a removal
    await store.close(); // which this waits for
    const now = Math.floor(Date.now() / 1000);
    for (const [sid, { ttl }] of this.#model.rows) if (ttl <= now) this.#model.rows.delete(sid);
  }

  /** Each user's list has the sessions of the model, in their order; in the table, each has its entry. */
  async #checkLists(): Promise<void> {
    for (const user of PEOPLE) {
      await this.#list({ store: this.#inspector } as ObservedStore, user);
      await this.#everywhere({ store: this.#inspector } as ObservedStore, { do: 'everywhere', user, keeps: false }, '');
    }
    for (const [sid, { json }] of this.#model.rows) assert.equal(json.user, undefined, `${sid} was not ended`);
  }

  /** Nothing may differ from the model, in what the calls of a step gave and in the table. */
  async #check(observed: ObservedStore, step: string): Promise<void> {
    await observed.quiet();
    const [mismatch] = observed.mismatches;
    if (mismatch) throw mismatch;
    observed.checkCounts();
    // Others end, too, where all of a user do, or the oldest one.
    if (this.#plan.settings.users) for (const sid of this.#seen.keys()) observed.written.add(sid);
    for (const sid of observed.written) {
      const row = this.#model.rows.get(sid);
      const record = await this.#inspector.record(sid);
      const ends = record && { ttl: record.ttl, notAfter: record.notAfter ?? Number.POSITIVE_INFINITY };
      assert.deepStrictEqual(ends, row ? { ttl: row.ttl, notAfter: row.notAfter } : null, `the ends in the table after ${step}`);
      if (!row || !record) continue;
      const { revision } = row;
      const { authTag } = record;
      const seen = this.#seen.get(sid);
      assert.equal(authTag === seen?.authTag, revision === seen?.revision, `whether the record was written by ${step}`);
      this.#seen.set(sid, { revision, authTag });
      if (revision === seen?.revision) continue;
      const stored = withoutRevision(await this.#inspector.get(sid));
      assert.deepStrictEqual(stored, this.#model.view(sid, Date.now()), `the table after ${step}`);
    }
    observed.written.clear();
  }
}

function withoutRevision(session: any): any {
  return session && plain(session);
}

/** Runs a plan. @returns how many steps it took, or why it failed and what happened until then. */
export async function runPlan(backend: Backend, plan: Plan): Promise<{ steps: number; error?: any; trace: string[] }> {
  mock.timers.setTime(Date.UTC(2030, 0, 1) + 250);
  const run = new Run(backend, plan);
  try {
    await run.run();
    return { steps: run.steps, trace: run.trace };
  } catch (error) {
    return { steps: run.steps, error, trace: run.trace };
  }
}

/** Leaves out of a failing plan whatever it fails without. */
export async function shrink(backend: Backend, plan: Plan): Promise<Plan> {
  let smallest = plan;
  const tryIt = async (schedule: Step[]) => {
    const smaller = { ...smallest, schedule };
    if (!(await runPlan(backend, smaller)).error) return false;
    smallest = smaller;
    return true;
  };
  for (const index of plan.requests.keys()) await tryIt(smallest.schedule.filter(({ request }) => request !== index));
  let again = true;
  while (again) {
    again = false;
    for (let at = smallest.schedule.length - 1; at >= 0; at--) {
      if (await tryIt(smallest.schedule.filter((_, position) => position !== at))) again = true;
    }
  }
  return smallest;
}

/** Fails with the smallest plan that fails, and with how to repeat it. */
export async function explore(
  backend: Backend,
  profile: Profile,
  seeds: Iterable<number>,
): Promise<{ runs: number; steps: number }> {
  const done = { runs: 0, steps: 0 };
  for (const seed of seeds) {
    const { error, steps } = await runPlan(backend, planOf(seed, profile));
    done.runs++;
    done.steps += steps;
    if (!error) continue;
    const smallest = await shrink(backend, planOf(seed, profile));
    const { error: reason = error, trace } = await runPlan(backend, smallest);
    const { schedule, requests, ...settings } = smallest;
    throw new Error(
      `seed ${seed} fails (MODEL_SEED=${seed} repeats it): ${reason.message}\n${inspect(settings, { depth: 5 })}\n${trace.join('\n')}`,
      { cause: reason },
    );
  }
  return done;
}
