// What processes did to a pool of sessions before they were killed, and whether it can have been so.

import assert from 'node:assert/strict';

export interface Event {
  /** The same for the beginning and the end of a call. */
  id: string;
  what: 'save' | 'destroy' | 'read';
  sid: string;
  /** Nanoseconds, by one clock. */
  at: number;
  done?: true;
  /** What a save writes, or what a read saw; none if there was no session. */
  value?: string;
}

/** What a saved session holds beside its value. */
export const padding = (value: string): string => value.repeat(100);

/** @throws unless a session that was read is one that was saved, as a whole. */
export function checkWhole(session: { value: string; padding: string } | null): void {
  if (session) assert.equal(session.padding, padding(session.value), 'a torn record');
}

interface Call {
  what: Event['what'];
  value?: string;
  begun: number;
  /** Never, for one that was not acknowledged: it may have been carried out, and may still be. */
  ended: number;
}

const before = (one: Call, other: Call) => one.ended < other.begun;

export interface Figures {
  saves: number;
  unacknowledged: number;
  destroys: number;
  reads: number;
}

export class KillHistory {
  readonly #sessions = new Map<string, Map<string, Call>>();

  add({ id, what, sid, at, done, value }: Event): void {
    const calls = this.#sessions.get(sid) ?? new Map<string, Call>();
    this.#sessions.set(sid, calls);
    if (!done) calls.set(id, { what, value, begun: at, ended: Number.POSITIVE_INFINITY });
    else Object.assign(calls.get(id)!, { ended: at, value });
  }

  /** @throws unless every acknowledged save was readable or superseded, and every destroyed session stayed gone. */
  check(): Figures {
    const figures = { saves: 0, unacknowledged: 0, destroys: 0, reads: 0 };
    for (const [sid, calls] of this.#sessions) {
      const all = [...calls.values()];
      const saves = all.filter(({ what }) => what === 'save');
      const destroys = all.filter(({ what }) => what === 'destroy');
      for (const read of all.filter(({ what, ended }) => what === 'read' && ended < Number.POSITIVE_INFINITY)) {
        figures.reads++;
        checkRead(sid, read, saves, destroys);
      }
      figures.saves += saves.length;
      figures.unacknowledged += saves.filter(({ ended }) => ended === Number.POSITIVE_INFINITY).length;
      figures.destroys += destroys.length;
    }
    return figures;
  }
}

function checkRead(sid: string, read: Call, saves: Call[], destroys: Call[]): void {
  const destroyed = destroys.some((destroy) => before(destroy, read));
  if (read.value === undefined) {
    assert.ok(
      destroys.some((destroy) => !before(read, destroy)),
      `${sid} was gone and nobody had destroyed it`,
    );
    return;
  }
  assert.ok(!destroyed, `${sid} came back after it was destroyed`);
  const save = saves.find(({ value }) => value === read.value);
  assert.ok(save && !before(read, save), `${sid} held ${read.value}, which nobody had saved`);
  const over = saves.find((other) => before(save, other) && before(other, read));
  assert.equal(over, undefined, `${sid} held ${read.value}, and ${over?.value} was acknowledged after that: it was lost`);
}
