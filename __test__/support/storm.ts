// Many callers at a time on one session and two stores, without an order: what each of them saw, and whether one order of events explains it.

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import type { Backend } from './backends.ts';
import { Random } from './random.ts';

/** A call, by a clock that counts every beginning and every end. */
interface Call<T> {
  begun: number;
  ended: number;
  value: T;
}

/** Begun before the other had ended. */
const before = (one: Call<unknown>, other: Call<unknown>) => one.ended < other.begun;

const COOKIE = { originalMaxAge: 3_600_000, httpOnly: true, path: '/' };

let storms = 0;

export class Storm {
  readonly #random: Random;
  readonly #stores: DynamoDBSessionStore[];
  readonly #sid = `storm-${++storms}`;
  readonly #onConflict: 'overwrite' | 'error' | 'drop';
  #clock = 0;
  /** Counts that `update` wrote. */
  readonly #counts: Array<Call<number>> = [];
  readonly #reads: Array<Call<any>> = [];
  /** Values that saves of changed sessions wrote. */
  readonly #saves: Array<Call<number>> = [];
  readonly #destroyed: Array<Call<undefined>> = [];
  #refused = 0;
  #settled = { least: 0, most: 0 };
  #running = 0;
  /** The refresh token that the provider takes now; each one works once. */
  #token = 0;
  readonly #conflicts: string[] = [];

  constructor(backend: Backend, seed: number) {
    this.#random = new Random(seed);
    this.#onConflict = this.#random.pick(['overwrite', 'error', 'drop']);
    const touchAfter = this.#random.pick([0, 60]);
    this.#stores = [0, 1].map(() => backend.store({ onConflict: this.#onConflict, touchAfter }));
    for (const store of this.#stores) store.on('conflict', ({ resolution }) => void this.#conflicts.push(resolution));
  }

  /** @returns how many calls there were. */
  async run(): Promise<number> {
    const [store] = this.#stores;
    await store.set(this.#sid, {
      cookie: { ...COOKIE, expires: new Date(Date.now() + 3_600_000) },
      count: 0,
      value: 0,
      token: 0,
    });
    this.#settled.least++;
    this.#settled.most++;
    const logout = this.#random.chance(0.4);
    const actors = Array.from({ length: this.#random.whole(6, 14) }, () => this.#actor());
    if (logout) actors.push(this.#destroy());
    await Promise.all(actors);
    await turn(); // events come in a later turn
    await this.#check(logout);
    await Promise.all(this.#stores.map((store) => store.close()));
    return this.#clock / 2;
  }

  async #call<T>(work: () => Promise<T>): Promise<Call<T>> {
    const begun = ++this.#clock;
    const value = await work();
    return { begun, ended: ++this.#clock, value };
  }

  async #pause(): Promise<void> {
    for (let turns = this.#random.whole(0, 6); turns > 0; turns--) await turn();
  }

  async #actor(): Promise<void> {
    const store = this.#random.pick(this.#stores);
    // Saves that overwrite whatever others have written bring used tokens back.
    const acts = { count: 4, read: 3, save: 3, leave: 4, lock: 1, ...(this.#onConflict === 'overwrite' ? {} : { renew: 4 }) };
    for (let times = this.#random.whole(1, 4); times > 0; times--) {
      await this.#pause();
      const act = this.#random.weighted(acts);
      if (act === 'count') await this.#count(store);
      else if (act === 'lock') await this.#lock(store);
      else if (act === 'renew') await this.#renew(store);
      else await this.#request(store, act);
    }
  }

  async #destroy(): Promise<void> {
    await this.#pause();
    await this.#pause();
    const store = this.#random.pick(this.#stores);
    const { begun, ended } = await this.#call(() => store.destroy(this.#sid));
    this.#destroyed.push({ begun, ended, value: undefined });
  }

  async #count(store: DynamoDBSessionStore): Promise<void> {
    const add = async (session: any) => {
      if (this.#random.chance(0.3)) await turn();
      session.count += 1;
    };
    const call = await this.#call(() => store.update(this.#sid, add, { deadlineSeconds: 60 }));
    this.#settled.most++;
    if (call.value === null) return;
    this.#settled.least++;
    this.#counts.push({ ...call, value: call.value.count });
  }

  /** Reads the session, and maybe saves or touches it, changed or not. */
  async #request(store: DynamoDBSessionStore, act: 'read' | 'save' | 'leave'): Promise<void> {
    const read = await this.#call(() => store.get(this.#sid));
    this.#reads.push({ ...read, value: read.value && structuredClone({ count: read.value.count, value: read.value.value }) });
    const session = read.value;
    if (act === 'read' || session === null) return;
    await this.#pause();
    session.cookie!.expires = new Date(Date.now() + 3_600_000 + this.#random.whole(0, 1) * 120_000);
    if (act === 'save') {
      // A change of its own, in place of what it has read; so a count may be lost to it, unless conflicts are refused.
      session.value = this.#clock + 1;
      const { value } = session;
      const save = await this.#call(async () => {
        try {
          await store.set(this.#sid, session);
          return true;
        } catch (error: any) {
          assert.equal(error.code, 'ERR_CONFLICT');
          this.#refused++;
          return false;
        }
      });
      this.#settled.most++;
      if (save.value && this.#onConflict !== 'drop') this.#settled.least++;
      if (save.value) this.#saves.push({ ...save, value });
      return;
    }
    await (this.#random.chance(0.5) ? store.set(this.#sid, session) : store.touch(this.#sid, session));
    this.#settled.least++;
    this.#settled.most++;
  }

  async #lock(store: DynamoDBSessionStore): Promise<void> {
    await store.withLock(
      this.#sid,
      async () => {
        assert.equal(++this.#running, 1, 'two tasks run under the lock');
        await this.#pause();
        this.#running--;
      },
      { waitSeconds: 60 },
    );
  }

  /** Finds the token of a session to have run out. */
  async #renew(store: DynamoDBSessionStore): Promise<void> {
    const held: any = await store.get(this.#sid);
    if (held === null) return;
    const old = held.token;
    let ran = false;
    const refresh = async (session: any) => {
      assert.equal(session.token, this.#token++, 'a token came twice');
      ran = true;
      await this.#pause();
      session.token = this.#token;
    };
    const isFresh = ({ token }: any) => token > old;
    const target = this.#random.chance(0.7) ? held : this.#sid;
    const session: any = await store.refresh(target, { isFresh, refresh, waitSeconds: 60 });
    if (ran) this.#settled.most++;
    if (ran && session) this.#settled.least++;
    if (session) assert.ok(isFresh(session), 'refresh gave a used token');
  }

  async #check(logout: boolean): Promise<void> {
    const last = await this.#call(() => this.#stores[1].get(this.#sid));
    this.#reads.push(last);
    if (logout) {
      const [destroyed] = this.#destroyed;
      for (const read of this.#reads) if (before(destroyed, read)) assert.equal(read.value, null, 'the session came back');
      assert.equal(await this.#stores[0].record(this.#sid), null, 'the session came back');
      for (const count of this.#counts) assert.ok(!before(destroyed, count), 'update changed a session that was gone');
    }
    // A session is not gone before somebody destroys it.
    for (const read of this.#reads) {
      if (read.value === null)
        assert.ok(
          this.#destroyed.some((destroyed) => !before(read, destroyed)),
          'the session was gone',
        );
    }
    // Without saves that write over counts unseen, updates count one by one, in an order that everybody sees.
    if (this.#onConflict !== 'overwrite' || this.#saves.length === 0) this.#checkCounts(logout);
    if (this.#onConflict === 'overwrite') this.#checkSaves();
    else if (last.value) assert.equal(last.value.token, this.#token, 'a token was lost');
    const sums = { settled: 0, conflicts: 0 };
    for (const { sessions } of this.#stores.map((store) => store.stats())) {
      sums.settled += sessions.written + sessions.extended + sessions.unchanged + sessions.gone;
      sums.conflicts += sessions.conflicts;
    }
    const { least, most } = this.#settled;
    assert.ok(least <= sums.settled && sums.settled <= most, `${sums.settled} of ${least} to ${most} writes were counted`);
    assert.equal(this.#conflicts.length, sums.conflicts, 'events and counter');
    assert.equal(this.#conflicts.filter((resolution) => resolution === 'refused').length, this.#refused, 'refusals');
    const resolution = { overwrite: 'overwritten', error: 'refused', drop: 'dropped' }[this.#onConflict];
    assert.ok(this.#conflicts.every((other) => other === resolution));
  }

  #checkCounts(logout: boolean): void {
    const counts = this.#counts.map(({ value }) => value).sort((a, b) => a - b);
    assert.deepEqual(
      counts,
      counts.map((_, at) => at + 1),
      'an update was lost',
    );
    const seen = [
      ...this.#counts,
      ...this.#reads.filter(({ value }) => value).map((read) => ({ ...read, value: read.value.count })),
    ];
    for (const one of seen) {
      for (const other of seen) if (before(one, other)) assert.ok(one.value <= other.value, 'a count went back');
    }
    const end = this.#reads.at(-1)!.value;
    if (!logout) assert.equal(end.count, counts.length, 'an update was lost');
  }

  /** What a read saw was written by somebody, and was not written over before the read began. */
  #checkSaves(): void {
    for (const read of this.#reads) {
      if (!read.value || read.value.value === 0) continue;
      const save = this.#saves.find(({ value }) => value === read.value.value);
      assert.ok(save && !before(read, save), 'a read saw what nobody had saved');
      // An update that had read the value before writes it again, so only without updates is a value that was written over gone for good.
      if (this.#counts.length > 0) continue;
      const over = this.#saves.find((other) => before(save, other) && before(other, read));
      assert.equal(over, undefined, 'a read saw what had been written over');
    }
  }
}
