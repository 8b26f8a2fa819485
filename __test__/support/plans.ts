// Plans of interleavings: which requests there are, what each of them does, and whose turn it is, made of a seed.

import type { Settings } from './model.ts';
import { Random } from './random.ts';
import type { Caller } from './simulated-requests.ts';
import { USERS } from './user-lists.ts';

/** What kinds of runs there are. */
export interface Profile {
  callers: Caller[];
  /** Lifetimes of a few seconds, where whole seconds of `ttl` are coarse. */
  short?: boolean;
  /** Whether tokens are renewed, too. */
  renews?: boolean;
  /** Whether the store knows whose the sessions are. */
  users?: boolean;
}

/** The user that each session has at first, and another one. */
export const PEOPLE = ['Ada Løvelace 🧮', 'bob'];

export type Op =
  | { do: 'load' | 'roll' | 'save' | 'touch' | 'reload' | 'regenerate' | 'destroy' | 'revert' }
  | { do: 'change'; value: number }
  | { do: 'lifetime'; seconds: number }
  | {
      do: 'update';
      held: boolean;
      how: 'in place' | 'another object' | 'not at all' | 'fails' | 'a later end';
      value: number;
      nested: number;
    }
  | { do: 'lock'; nested: number }
  | { do: 'refresh'; held: boolean; how: 'in place' | 'another object' | 'stale' | 'fails'; token: number; nested: number }
  | { do: 'login'; user: string | undefined }
  | { do: 'list'; user: string }
  | { do: 'everywhere'; user: string; keeps: boolean }
  | { do: 'end'; how: 'set' | 'touch' | 'nothing' };

export interface Step {
  /** Which request goes on; without it, time does. */
  request?: number;
  op?: Op;
  advance?: number;
}

export interface Plan {
  seed: number;
  settings: Settings;
  maxAge: number | null;
  rolling: boolean;
  resave: boolean;
  /** Of each browser, which store saved its session beforehand; a third one is neither of those that are tested. */
  browsers: Array<0 | 1 | 2 | null>;
  requests: Array<{ caller: Caller; store: 0 | 1; browser: number }>;
  schedule: Step[];
}

export const HOUR = 3600;

export function planOf(seed: number, profile: Profile): Plan {
  const random = new Random(seed);
  const lifetime = profile.short ? random.pick([1, 2, 3, 20]) : random.pick([300, HOUR, 14 * 24 * HOUR]);
  const settings: Settings = {
    onConflict: random.pick(['overwrite', 'overwrite', 'error', 'drop']),
    touchAfter: random.pick([0, 5, 60, undefined, 600]),
    ttlSeconds: profile.short ? random.pick([lifetime, HOUR]) : random.pick([lifetime, lifetime, 600, 7 * 24 * HOUR]),
    recordVersion: random.pick([1, 1, 2]),
    ...(profile.users && { users: { ...USERS, maxSessions: random.pick([1, 2, 3, 1000]) } }),
  };
  const browsers = Array.from({ length: random.whole(1, profile.users ? 4 : 2) }, () => random.pick([0, 1, 2, 2, null] as const));
  const requests = Array.from({ length: random.whole(2, 7) }, () => ({
    caller: random.pick(profile.callers),
    store: random.pick([0, 1] as const),
    browser: random.whole(0, browsers.length - 1),
  }));
  const scripts = requests.map(({ caller }) => scriptOf(random, caller, lifetime, profile));
  const schedule: Step[] = [];
  while (scripts.some((script) => script.length > 0)) {
    if (random.chance(0.15)) schedule.push({ advance: advanceOf(random, lifetime) });
    const request = random.whole(0, scripts.length - 1);
    const op = scripts[request].shift();
    if (op) schedule.push({ request, op });
  }
  const maxAge = random.chance(0.25) ? null : lifetime * 1000;
  return { seed, settings, maxAge, rolling: random.chance(0.8), resave: random.chance(0.2), browsers, requests, schedule };
}

function scriptOf(random: Random, caller: Caller, lifetime: number, { renews, users }: Profile): Op[] {
  const middle = Array.from({ length: random.whole(0, 5) }, (): Op => {
    const name = random.weighted<Op['do']>({
      ...{ change: 30, roll: 8, revert: 3, lifetime: 6, save: 12, touch: 5, reload: 5 },
      ...(renews ? { refresh: 20 } : {}),
      ...(users ? { login: 20, list: 6, everywhere: 10 } : {}),
      ...{ update: 14, lock: 14, destroy: 8, regenerate: 4 },
    });
    const nested = random.whole(0, 3);
    const value = random.whole(1, 1_000_000);
    if (name === 'change') return { do: name, value };
    if (name === 'lifetime') return { do: name, seconds: random.pick([lifetime, Math.ceil(lifetime / 2), 2 * lifetime]) };
    if (name === 'login') return { do: name, user: random.pick([...PEOPLE, undefined]) };
    if (name === 'list') return { do: name, user: random.pick(PEOPLE) };
    if (name === 'everywhere') return { do: name, user: random.pick(PEOPLE), keeps: random.chance(0.4) };
    if (name === 'lock') return { do: name, nested };
    if (name === 'refresh') {
      const how = random.pick(['in place', 'in place', 'another object', 'stale', 'fails'] as const);
      return { do: name, held: random.chance(0.6), how, token: random.whole(1, 4), nested };
    }
    if (name !== 'update') return { do: name as 'save' };
    const how = random.pick(['in place', 'in place', 'another object', 'not at all', 'fails', 'a later end'] as const);
    return { do: name, held: random.chance(0.5), how, value, nested };
  });
  const how = caller === 'plain' ? random.pick(['set', 'set', 'touch', 'nothing'] as const) : 'set';
  return [{ do: 'load' }, ...middle, { do: 'end', how }];
}

/** Milliseconds around which something changes: parts of a second, the window of `touchAfter`, a tenth of the lifetime, its end. */
function advanceOf(random: Random, lifetime: number): number {
  const seconds = random.pick([
    0.1,
    0.5,
    1,
    5,
    59,
    61,
    lifetime / 100 - 1,
    lifetime / 100 + 1,
    lifetime / 10,
    lifetime / 10 + 1,
    lifetime / 2,
    lifetime - 1,
    lifetime + 1,
  ]);
  return Math.round(Math.max(0, seconds) * 1000) + random.pick([0, 0, 1, 250, 999]);
}
