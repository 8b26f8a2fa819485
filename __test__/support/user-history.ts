// What several processes did to the sessions of users, and whether it can have been so: after a destroyAllOf none of the user's sessions lives that was there
// before it, none is ended without a reason, and every list is whole.

import assert from 'node:assert/strict';

/** `save` brings the user that its caller has read; `join` brings another one, or a new session. A user that is `null` is none. */
export interface UserEvent {
  /** The same for the beginning and the end of a call. */
  id: string;
  what: 'join' | 'save' | 'destroy' | 'read' | 'list' | 'all';
  /** Nanoseconds, by one clock. */
  at: number;
  /** Of the session. Of `all`, the one that stays. */
  sid?: string;
  /** What a read saw; none if there was no session. */
  user?: string | null;
  /** The ids that a list gave. */
  sids?: string[];
  done?: true;
}

interface Call extends Omit<UserEvent, 'at' | 'done'> {
  begun: number;
  /** Never, for one that was not acknowledged: it may have been carried out, and may still be. */
  ended: number;
}

/** All calls about one session. */
interface Session {
  saves: Call[];
  destroys: Call[];
  reads: Call[];
}

export interface Figures {
  logins: number;
  reads: number;
  lists: number;
  everywhere: number;
  unacknowledged: number;
}

export class UserHistory {
  readonly #calls = new Map<string, Call>();
  /** The most sessions of a user. */
  readonly #max: number;

  constructor(max = Number.POSITIVE_INFINITY) {
    this.#max = max;
  }

  get size(): number {
    return this.#calls.size;
  }

  add({ at, done, ...event }: UserEvent): void {
    if (!done) this.#calls.set(event.id, { ...event, begun: at, ended: Number.POSITIVE_INFINITY });
    else Object.assign(this.#calls.get(event.id)!, event, { ended: at, user: event.user });
  }

  check(): Figures {
    const sessions = new Map<string, Session>();
    /** By their user. */
    const everywhere = new Map<string, Call[]>();
    const joins = new Map<string, Call[]>();
    const lists: Call[] = [];
    for (const call of this.#calls.values()) {
      const { what, sid, user } = call;
      if (what === 'all') push(everywhere, user!, call);
      else if (what === 'list') lists.push(call);
      else {
        const session = sessions.get(sid!) ?? { saves: [], destroys: [], reads: [] };
        sessions.set(sid!, session);
        if (what === 'read') session.reads.push(call);
        else if (what === 'destroy') session.destroys.push(call);
        else session.saves.push(call);
        if (what === 'join' && user) push(joins, user, call);
      }
    }
    for (const [sid, { saves }] of sessions) {
      for (const save of saves)
        if (save.what === 'save' && save.user && isJoin(save, saves)) push(joins, save.user, { ...save, sid });
    }
    const check = new Check(sessions, everywhere, joins, this.#max);
    for (const [sid, { reads }] of sessions) {
      for (const read of reads) if (read.ended < Number.POSITIVE_INFINITY) check.read(sid, read);
    }
    const byUser = new Map<string, string[]>();
    for (const [user, calls] of joins) byUser.set(user, [...new Set(calls.map(({ sid }) => sid!))]);
    for (const list of lists) {
      if (list.ended === Number.POSITIVE_INFINITY) continue;
      const listed = new Set(list.sids);
      for (const sid of listed) check.read(sid, { ...list, sid });
      for (const sid of byUser.get(list.user!) ?? []) if (!listed.has(sid)) check.isMissing(sid, list);
    }
    const calls = [...this.#calls.values()];
    const count = (what: Call['what']) => calls.filter((call) => call.what === what).length;
    return {
      logins: count('join'),
      reads: count('read'),
      lists: count('list'),
      everywhere: count('all'),
      unacknowledged: calls.filter(({ ended }) => ended === Number.POSITIVE_INFINITY).length,
    };
  }
}

function push<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}

/** A save of a session joins its user's list if somebody may have made it another user's meanwhile. */
function isJoin(save: Call, saves: Call[]): boolean {
  if (save.what === 'join') return true;
  return saves.some(
    (other) =>
      other.what === 'join' &&
      other.user !== save.user &&
      other.begun < save.ended &&
      other.sid === save.sid &&
      !isFirst(other, saves),
  );
}

/** The one that made the session is no change of its user. */
function isFirst(join: Call, saves: Call[]): boolean {
  return saves.every((other) => other.begun >= join.begun);
}

class Check {
  readonly #sessions: Map<string, Session>;
  readonly #everywhere: Map<string, Call[]>;
  readonly #joins: Map<string, Call[]>;
  readonly #max: number;

  constructor(sessions: Map<string, Session>, everywhere: Map<string, Call[]>, joins: Map<string, Call[]>, max: number) {
    this.#sessions = sessions;
    this.#everywhere = everywhere;
    this.#joins = joins;
    this.#max = max;
  }

  /** A session was read, or listed as the user's. */
  read(sid: string, read: Call): void {
    if (read.user === undefined) {
      this.isGone(sid, read);
      return;
    }
    const session = this.#sessions.get(sid);
    assert.ok(session, `${sid} was there, and nobody had saved it`);
    for (const destroy of session.destroys) assert.ok(destroy.ended > read.begun, `${sid} came back after it was destroyed`);
    const { user } = read;
    if (user === null) return;
    const saves = session.saves.filter((save) => save.user === user && isJoin(save, session.saves));
    assert.ok(
      saves.some(({ begun }) => begun < read.ended),
      `${sid} was ${user}'s, and nobody had said so`,
    );
    for (const all of this.#everywhere.get(user) ?? []) {
      if (all.ended >= read.begun || all.sid === sid) continue;
      assert.ok(
        saves.some(({ ended }) => ended > all.begun),
        `${sid} of ${user} outlived destroyAllOf, which began at ${all.begun} and ended at ${all.ended}; it was read at ${read.begun} (${read.what})`,
      );
    }
  }

  /** A session was gone that had been saved. */
  isGone(sid: string, read: Call): void {
    const session = this.#sessions.get(sid);
    const saved = session?.saves.some(({ ended }) => ended < read.begun);
    if (saved) assert.ok(this.#hasReason(sid, read), `${sid} was gone, and nobody had ended it`);
  }

  /** A session is not on the list of a user under whom it was once. */
  isMissing(sid: string, list: Call): void {
    const { saves } = this.#sessions.get(sid)!;
    // It was the user's all the time, and nobody else's since.
    const theirs = saves.some((save) => save.ended < list.begun && save.what === 'join' && save.user === list.user);
    const others = saves.some((save) => save.user !== list.user && save.begun < list.ended && !isFirst(save, saves));
    const first = saves.find((save) => isFirst(save, saves))!;
    if (theirs && !others && (first.user === list.user || saves.every((save) => save === first || save.user === list.user)))
      assert.ok(this.#hasReason(sid, list), `${sid} is missing on the list of ${list.user}`);
  }

  #hasReason(sid: string, { ended }: Call): boolean {
    const { saves, destroys } = this.#sessions.get(sid)!;
    if (destroys.some(({ begun }) => begun < ended)) return true;
    const users = new Set(saves.filter(({ begun }) => begun < ended).map(({ user }) => user));
    return [...users].some((user) => typeof user === 'string' && this.#mayHaveEnded(sid, user, ended));
  }

  /** Whether a destroyAllOf of the user, or later logins, may have ended the session. */
  #mayHaveEnded(sid: string, user: string, before: number): boolean {
    const { saves } = this.#sessions.get(sid)!;
    const own = saves.filter((save) => save.user === user && isJoin(save, saves));
    const began = Math.min(...own.map(({ begun }) => begun));
    const everywhere = this.#everywhere.get(user) ?? [];
    if (everywhere.some((all) => all.begun < before && all.ended > began && all.sid !== sid)) return true;
    const later = (this.#joins.get(user) ?? []).filter((join) => join.sid !== sid && join.begun < before && join.ended > began);
    return new Set(later.map((join) => join.sid)).size >= this.#max;
  }
}
