// What a call of each workload does with a store, and the sessions that it does it with. Every subject is asked by callbacks, as the
// frameworks ask.

import assert from 'node:assert/strict';
import { newCookie, poolIds, sessionData, userOf } from './sessions.mjs';

/** Workloads inside a subject's process. */
export const WORKLOADS = {
  'warm get': 'get, data key cached',
  'cold get': 'get, data key not cached',
  set: 'set, new session',
  'get + set': 'get + set, changed',
};

/** Workloads through Fastify, to the path in gateway.mjs that does them. */
export const ROUTES = { 'rolling request': '/me', 'due rolling request': '/me', 'modifying request': '/visit' };
/** The one whose session's end is written at every request. */
export const DUE = 'due rolling request';

const SEEDS_IN_FLIGHT = 128;

export const read = (store, sid) =>
  new Promise((resolve, reject) => store.get(sid, (error, session) => (error ? reject(error) : resolve(session))));

export const save = (store, sid, session) =>
  new Promise((resolve, reject) => store.set(sid, session, (error) => (error ? reject(error) : resolve())));

/** Runs `task` for 0 … count - 1, some at a time. */
export async function forEach(count, task, inFlight = SEEDS_IN_FLIGHT) {
  let next = 0;
  const lane = async () => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, lane));
}

/** The sessions of one size that a subject works on. */
export class Pool {
  constructor(subject, { store, cold }, id, size, count) {
    this.subject = subject;
    this.id = id;
    this.size = size;
    this.store = store;
    this.cold = cold;
    this.ids = poolIds(id, size, count);
    this.data = sessionData(size);
  }

  /** Writes every session and reads one back, which must be what was written. */
  async fill() {
    const cookie = newCookie();
    await forEach(this.ids.length, (slot) => save(this.store, this.ids[slot], { cookie, ...this.data, user: userOf(slot) }));
    for (const store of [this.store, this.cold]) {
      const found = await read(store, this.ids[0]);
      assert.deepStrictEqual(JSON.parse(JSON.stringify(found)), { cookie, ...this.data }, `${this.subject} changes sessions`);
    }
    await forEach(this.ids.length, (slot) => this.get(slot)); // what can be cached is cached
  }

  /** @returns {(slot: number) => Promise<void>} the call of a workload. */
  call(workload) {
    switch (workload) {
      case 'warm get':
        return (slot) => this.get(slot);
      case 'cold get':
        return (slot) => this.get(slot, this.cold);
      case 'set': {
        const cookie = newCookie();
        const ids = poolIds(`${this.id}/new`, this.size, this.ids.length); // no other workload writes these
        return (slot) => save(this.cold, ids[slot], { cookie, ...this.data, user: userOf(slot) });
      }
      case 'get + set':
        return async (slot) => {
          const session = await this.get(slot);
          session.visits++;
          await save(this.store, this.ids[slot], session);
        };
      default:
        throw new Error(`there is no workload "${workload}"`);
    }
  }

  async get(slot, store = this.store) {
    const session = await read(store, this.ids[slot]);
    if (session?.user !== userOf(slot)) throw new Error(`${this.subject} lost session ${slot}`);
    return session;
  }

  /** All visits that the sessions have counted: every get + set must be there. */
  async visits() {
    let visits = 0;
    await forEach(this.ids.length, async (slot) => {
      const session = await this.get(slot);
      visits += session.visits;
    });
    return visits;
  }
}
