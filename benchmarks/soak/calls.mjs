// The calls of a load and their pace: mixed as told, at a rate, whatever comes of them.

import { setTimeout as sleep } from 'node:timers/promises';

const TICK = 10;
/** Sessions `kept-0`, `kept-1`, … that nobody destroys. */
export const KEPT = 100;

export const content = (sid) => ({
  sid,
  user: 'Ada',
  tokens: 'x'.repeat(1500),
  cookie: { expires: new Date(Date.now() + 3_600_000) },
});

/** What is no failure of a call, and must not be either. */
class Wrong extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/** Kinds of calls of a store, by their names. Each is given the id of a session. */
export function callsOf(store) {
  async function read(sid) {
    const session = await store.get(sid);
    if (session && (session.sid !== sid || session.tokens.length !== 1500)) throw new Wrong('SESSION_WRONG');
    return session;
  }
  return {
    get: read,
    async kept() {
      const sid = `kept-${whole(KEPT)}`;
      const session = await read(sid);
      if (!session) throw new Wrong('SESSION_LOST');
      session.changed = Math.random();
      return store.set(sid, session);
    },
    async change(sid) {
      const session = await read(sid);
      if (!session) return store.set(sid, content(sid));
      session.changed = Math.random();
      return store.set(sid, session);
    },
    touch: (sid) => store.touch(sid, content(sid)),
    create: (sid) => store.set(sid, content(sid)),
    destroy: (sid) => store.destroy(sid),
    update: (sid) => store.update(sid, (session) => ({ ...session, count: (session.count ?? 0) + 1 })),
    lock: (sid) => store.withLock(sid, () => {}, { waitSeconds: 1 }),
  };
}

/** A kind of a mix, which says how many calls in a hundred or so are of each kind. */
export function pick(mix) {
  let left = Math.random() * Object.values(mix).reduce((sum, share) => sum + share, 0);
  for (const [kind, share] of Object.entries(mix)) {
    left -= share;
    if (left < 0) return kind;
  }
}

/** A random whole number from 0 up to `end`, without it. */
export const whole = (end) => Math.floor(Math.random() * end);

/**
 * Makes calls for so long. They come when they come, however long those before them take. If the process stood still meanwhile, at most `most` calls of that
 * time are made afterwards.
 */
export async function atRate(rate, milliseconds, call, most = Number.POSITIVE_INFINITY) {
  const begun = performance.now();
  let due = 0;
  for (let passed = 0; passed < milliseconds; passed = performance.now() - begun) {
    const wanted = (passed / 1000) * rate;
    for (due = Math.max(due, wanted - most); due < wanted; due++) call();
    await sleep(TICK);
  }
}
