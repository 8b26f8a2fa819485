// The reference model of the store, written from index.d.ts and DESIGN.md: one table, several stores on it, one call after the other. It says what
// each call must give, what the table must hold afterwards, and what the counters must show.

import { createHash } from 'node:crypto';
import type { SessionConflict, SessionStoreStats } from 'connect-dynamodb-kms';
import { type Content, contentOf, endOf, expiresOf, isSame, plain } from './session-content.ts';

/** What the stores of one run share. */
export interface Settings {
  onConflict: 'overwrite' | 'error' | 'drop';
  /** Left out, it is 1 % of the lifetime. */
  touchAfter: number | undefined;
  ttlSeconds: number;
  recordVersion: 1 | 2;
  /** Whose a session is says its property `user`. */
  users?: { idOf: 'user'; secret: string; maxSessions: number };
}

/** A record of the table. */
export interface Row {
  /** Another one with every write of the whole record. */
  revision: number;
  /** The session as it was saved. */
  json: any;
  ttl: number;
  notAfter: number;
  /** Grows with every session that joins the sessions of its user. */
  joined: number;
}

/** What is known of the record that a session object was read from or written as. */
export interface Mark extends Content {
  revision: number;
  ttl: number;
  user: string | undefined;
  /** When it was to end, in epoch milliseconds; not known if the revision may be a later one than the caller's. */
  ends?: number;
  /** Which of the sessions that its id has had, one after the other; of those that a `get` found. */
  life?: number;
}

/** When a session is to end: the seconds to write, and the very moment that they round up. */
interface End {
  ttl: number;
  exact: number;
}

/** `unchanged` says whether a session's content is what the caller has read; of one that is gone, as far as that is known. */
type Known =
  | { gone: true; unchanged: (content: Content) => boolean }
  | { gone: false; mark: Mark; unchanged: (content: Content) => boolean };

/** Below this many milliseconds of life an unchanged session is written whole. */
const SHORT_LIFE = 2000;

/** One store, and what it may remember. */
export class StoreModel {
  /** Session id to its latest record. */
  readonly recent = new Map<string, Mark | 'gone'>();
  /** Session id to how often it came again after its session was gone. */
  readonly #lives = new Map<string, number>();
  readonly counts: SessionStoreStats['sessions'] = { written: 0, extended: 0, unchanged: 0, gone: 0, taken: 0, conflicts: 0 };
  readonly conflicts: SessionConflict[] = [];

  /** Which of the sessions that this id has had is the latest one. */
  life(sid: string): number {
    return this.#lives.get(sid) ?? 0;
  }

  remember(sid: string, mark: Mark | 'gone'): void {
    if (mark !== 'gone' && this.recent.get(sid) === 'gone') this.#lives.set(sid, this.life(sid) + 1);
    this.recent.set(sid, mark);
  }
}

export class Model {
  readonly settings: Settings;
  readonly rows = new Map<string, Row>();
  /** Session ids whose lease a task has. */
  readonly leases = new Set<string>();
  #revisions = 0;
  #joins = 0;
  /** By the object that holds the session. */
  readonly #known = new WeakMap<object, { sid: string; mark?: Mark; content?: Content }>();
  /** What copies of sessions were made of, for frameworks that copy them (@fastify/session). */
  readonly #copied = new WeakMap<object, { sid: string; content: Content; mark?: Mark; life?: number }>();

  constructor(settings: Settings) {
    this.settings = settings;
  }

  /** What `get` must give; `null` if there is no session. */
  view(sid: string, now: number): any {
    const row = this.rows.get(sid);
    if (!row || ended(row, now)) return null;
    const session = structuredClone(row.json);
    const expires = expiresOf(session);
    if (expires === undefined) return session;
    if (row.ttl === Math.ceil(expires / 1000) && expires <= now) return null;
    if (row.ttl > Math.ceil(expires / 1000)) session.cookie.expires = new Date(row.ttl * 1000).toISOString();
    return session;
  }

  /** The store reads the session. @returns what it must give, and what is known of it then. */
  read(store: StoreModel, sid: string, now: number): { session: any; mark?: Mark } {
    const [session, row] = [this.view(sid, now), this.rows.get(sid)];
    if (session === null || !row) {
      if (store.recent.has(sid)) store.remember(sid, 'gone');
      return { session: null };
    }
    const { revision, ttl } = row;
    const mark = { revision, ttl, user: this.#userOf(row.json), ends: endOf(session, ttl), ...contentOf(session) };
    store.remember(sid, mark);
    return { session, mark: { ...mark, life: store.life(sid) } };
  }

  /** `object` holds what was read. */
  holds(sid: string, object: object, mark: Mark): void {
    this.#known.set(object, { sid, mark });
  }

  /** `objects` hold what `update` has written, or would have. */
  wrote(store: StoreModel, sid: string, mark: Mark, ...objects: object[]): void {
    for (const object of objects) this.#keep(store, sid, object, mark);
  }

  /** express-session made `session` of `loaded`. */
  link(loaded: object, session: object): void {
    const known = this.#known.get(loaded);
    if (known) this.#known.set(session, known);
  }

  /** @fastify/session copied what `get` gave, if anything, into `session`, which takes the place of another one if it was reloaded. */
  copy(sid: string, session: object, mark: Mark | undefined, reloaded?: object): void {
    const before = reloaded && this.#copied.get(reloaded);
    this.#copied.set(session, { sid, content: contentOf(plain(session)), mark, life: (mark ?? before)?.life });
  }

  /** @returns the code of the error that the call must fail with. */
  set(store: StoreModel, sid: string, session: object, now: number): string | undefined {
    const json = plain(session);
    const content = contentOf(json);
    const end = this.#end(json, now);
    const row = this.rows.get(sid);
    const known = this.#knowledge(store, sid, session);
    const over = end.exact <= now;
    if (!known) return over ? this.#remove(store, sid, session) : this.#write(store, sid, session, json, end, now);
    const { onConflict } = this.settings;
    if (known.gone) return this.#gone(store, sid, session);
    const { mark } = known;
    if (known.unchanged(content)) {
      if (!this.#isCoarse(mark, end, now)) return this.#prolong(store, sid, session, mark, end, now);
      if (!row) return this.#gone(store, sid, session);
      if (row.revision === mark.revision) return this.#write(store, sid, session, json, end, now, true);
      store.counts.unchanged++;
      return;
    }
    // Room is made before the record is written, whatever comes of that.
    if (!over && this.#userOf(json) !== mark.user) this.#makeRoom(sid, json, now);
    if (!row) return this.#gone(store, sid, session);
    // One that was written again with the same content was not changed.
    if (mark.revision === row.revision || isSame(mark, contentOf(row.json))) {
      return over ? this.#remove(store, sid, session) : this.#write(store, sid, session, json, end, now, true);
    }
    if (onConflict === 'overwrite') {
      if (over) return this.#remove(store, sid, session);
      this.#conflict(store, sid, 'overwritten');
      return this.#write(store, sid, session, json, end, now);
    }
    this.#conflict(store, sid, onConflict === 'error' ? 'refused' : 'dropped');
    return onConflict === 'error' ? 'ERR_CONFLICT' : undefined;
  }

  /** @returns the code of the error that the call must fail with. */
  touch(store: StoreModel, sid: string, session: object, now: number): string | undefined {
    const end = this.#end(session, now);
    const known = this.#knowledge(store, sid, session);
    if (known?.gone) return this.#gone(store, sid, session);
    // A changed cookie is a change of the session, and so is another user.
    if (known && contentOf(plain(session)).cookie !== known.mark.cookie) return this.set(store, sid, session, now);
    if (known && lives(known.mark, now) && this.#userOf(session) !== known.mark.user) return this.set(store, sid, session, now);
    if (known) return this.#prolong(store, sid, session, known.mark, end, now);
    if (end.exact <= now) return this.#remove(store, sid, session);
    // A touch that finds nothing tells that the session is gone; one that finds something tells nothing of its content.
    const row = this.rows.get(sid);
    if (!row || ended(row, now)) return this.#gone(store, sid, session);
    this.#extend(sid, row, end.ttl, now);
    store.counts.extended++;
  }

  destroy(store: StoreModel, sid: string): undefined {
    this.rows.delete(sid);
    store.remember(sid, 'gone');
  }

  /** Ends all sessions of a user but one. @returns how many there were. */
  destroyAllOf(user: string, except?: string): number {
    const ending = [...this.rows].filter(([sid, { json }]) => sid !== except && this.#userOf(json) === user);
    for (const [sid] of ending) this.rows.delete(sid);
    return ending.length;
  }

  /** What `sessionsOf` must give. */
  sessionsOf(user: string, now: number): any[] {
    const own = [...this.rows].filter(([, { json }]) => this.#userOf(json) === user);
    own.sort(([, one], [, other]) => other.joined - one.joined);
    const sessions = own.map(([id]) => ({ session: this.view(id, now), id }));
    return sessions.filter(({ session }) => session).map(({ session, id }) => ({ ...session, id }));
  }

  /** Whether `held` is a session that the store has neither read nor written, and that is not in the table. */
  isUnsaved(store: StoreModel, sid: string, held: object, now: number): boolean {
    return this.#knowledge(store, sid, held) === undefined && this.view(sid, now) === null;
  }

  /** Whether `update` must refuse the object of a request because it has changes that nobody saved. */
  refusesUpdate(store: StoreModel, sid: string, held: object): boolean {
    const known = this.#knowledge(store, sid, held);
    if (!known || known.gone) return false;
    // What the framework calls modified does not include the cookie.
    if (this.#known.get(held)?.sid !== sid) return (held as { isModified(): boolean }).isModified();
    return !known.unchanged(contentOf(plain(held)));
  }

  /**
   * `update` writes what it made of `before`, which it has read.
   * @returns what is known then; `gone` if the session is, `again` if somebody else was faster.
   */
  write(store: StoreModel, sid: string, read: Mark, before: any, json: any, now: number): Mark | 'gone' | 'again' {
    const end = expiresOf(before) === expiresOf(json) ? { ttl: read.ttl, exact: read.ends! } : this.#end(json, now);
    const row = this.rows.get(sid);
    const same = isSame(read, contentOf(json));
    if (same && !this.#isCoarse(read, end, now)) return this.#move(store, sid, read, end, now);
    if (this.#userOf(json) !== read.user) this.#makeRoom(sid, json, now);
    if (row && row.revision !== read.revision && (same || !isSame(read, contentOf(row.json)))) {
      if (!same) return 'again';
      store.counts.unchanged++;
      return read;
    }
    const keepsEnd = expiresOf(before) === expiresOf(json);
    if (row && !same && keepsEnd && (row.revision !== read.revision || row.ttl !== read.ttl)) {
      // Somebody has moved the end meanwhile, and that holds, if the record may live as long.
      if (ended(row, now)) return 'again';
      const mark = this.#seal(sid, json, end.ttl, now, true);
      const sealed = this.rows.get(sid)!;
      if (sealed.notAfter < row.ttl) {
        this.rows.set(sid, row);
        return 'again';
      }
      sealed.ttl = row.ttl;
      store.counts.written++;
      return { ...mark, ttl: row.ttl };
    }
    if (row) {
      store.counts.written++;
      return this.#seal(sid, json, end.ttl, now, true);
    }
    this.#gone(store, sid);
    return 'gone';
  }

  /** `update` found the session gone, and so `object` is. */
  lost(sid: string, object: object): void {
    this.#known.set(object, { sid });
  }

  /** Whether the object tells which session it is. */
  names(object: any): boolean {
    return this.#known.has(object) || typeof (object.sessionId ?? object.id) === 'string';
  }

  #knowledge(store: StoreModel, sid: string, session: any): Known | undefined {
    const object = this.#known.get(session);
    const isFastify = typeof session.isModified === 'function';
    if (object?.sid === sid && (object.mark || !isFastify)) {
      const { mark } = object;
      const last = mark ?? object.content;
      const unchanged = (content: Content) => last !== undefined && isSame(last, content);
      return mark ? { gone: false, mark, unchanged } : { gone: true, unchanged };
    }
    if (!isFastify || session.sessionId !== sid) return undefined;
    // Whether its content is what it was made of, or what it has saved, says the framework; it leaves out the cookie.
    const untouched = !session.isModified();
    const unchangedButCookie = () => untouched;
    if (object?.sid === sid) return { gone: true, unchanged: unchangedButCookie };
    const copied = this.#copied.get(session);
    const cookie = copied?.content.cookie;
    const unchanged = (content: Content) => untouched && (cookie === undefined || cookie === content.cookie);
    const recent = store.recent.get(sid);
    // What was loaded before the id's session was gone is not of the session that the id has now.
    if (copied?.life !== undefined && copied.life !== store.life(sid)) return { gone: true, unchanged: unchangedButCookie };
    if (recent === 'gone') return copied?.mark || isOfStored(session) ? { gone: true, unchanged: unchangedButCookie } : undefined;
    if (copied?.mark) return { gone: false, mark: copied.mark, unchanged };
    return recent && { gone: false, mark: { ...recent, ends: undefined }, unchanged };
  }

  #end(session: any, now: number): End {
    const ttl = Math.floor(now / 1000) + this.settings.ttlSeconds;
    const expires = expiresOf(session);
    if (expires === undefined || Math.ceil(expires / 1000) > ttl) return { ttl, exact: ttl * 1000 };
    return { ttl: Math.ceil(expires / 1000), exact: expires };
  }

  #userOf(json: any): string | undefined {
    return this.settings.users && json.user;
  }

  /** Ends sessions of the user, if there are as many as may be: first those that have ended anyway, then the oldest. */
  #makeRoom(sid: string, json: any, now: number): void {
    const user = this.#userOf(json);
    if (user === undefined) return;
    const own = [...this.rows].filter(([other, { json }]) => other !== sid && this.#userOf(json) === user);
    own.sort(([, one], [, other]) => Number(ended(other, now)) - Number(ended(one, now)) || one.joined - other.joined);
    const tooMany = own.length + 1 - this.settings.users!.maxSessions;
    for (const [oldest] of own.slice(0, Math.max(0, tooMany))) this.rows.delete(oldest);
  }

  /** Writes the whole record. One of which it is not `known` what it overwrites joins the sessions of its user again. */
  #seal(sid: string, json: any, ttl: number, now: number, known: boolean): Mark {
    const before = this.rows.get(sid);
    const user = this.#userOf(json);
    const joins = user !== undefined && !(known && before && this.#userOf(before.json) === user);
    if (joins) this.#makeRoom(sid, json, now);
    const life = Math.max(0, ttl - Math.floor(now / 1000));
    const notAfter = this.settings.recordVersion === 2 ? ttl + life : Number.POSITIVE_INFINITY;
    const revision = ++this.#revisions;
    this.rows.set(sid, { revision, json, ttl, notAfter, joined: joins ? ++this.#joins : (before?.joined ?? 0) });
    return { revision, ttl, user, ...contentOf(json) };
  }

  #write(store: StoreModel, sid: string, session: object, json: any, end: End, now: number, known = false): undefined {
    this.#keep(store, sid, session, this.#seal(sid, json, end.ttl, now, known));
    store.counts.written++;
  }

  #prolong(store: StoreModel, sid: string, session: object, mark: Mark, end: End, now: number): undefined {
    const { extended } = store.counts;
    const moved = this.#move(store, sid, mark, end, now);
    if (moved === 'gone') this.#known.set(session, { sid, content: mark });
    else if (store.counts.extended > extended && mark.ends !== undefined) this.holds(sid, session, moved);
  }

  /** Whether an unchanged session is written whole, because whole seconds of ttl are too coarse for where its end is to move. */
  #isCoarse(mark: Mark, end: End, now: number): boolean {
    return end.exact - now < SHORT_LIFE && lives(mark, now) && this.#due(mark, end, now) === 'on';
  }

  /** Which way the end of an unchanged session is to move. */
  #due(mark: Mark, end: End, now: number): 'back' | 'on' | 'no' {
    const { touchAfter } = this.settings;
    const life = end.exact - now;
    const window = touchAfter === undefined ? life / 100 : Math.min(touchAfter * 1000, life / 10);
    // While ttl is the cookie's end rounded up, the finer instant decides.
    const isFiner = mark.ends !== undefined && mark.ends !== mark.ttl * 1000;
    const gained = isFiner ? end.exact - mark.ends! : (end.ttl - mark.ttl) * 1000;
    // A second less may come of rounding.
    const isLess = mark.ends !== undefined && end.ttl < (isFiner ? mark.ttl : mark.ttl - 1);
    if (isLess) return 'back';
    return gained <= 0 || gained < window ? 'no' : 'on';
  }

  /** Moves the end of a session whose content is the same, if that is due. */
  #move(store: StoreModel, sid: string, mark: Mark, end: End, now: number): Mark | 'gone' {
    const due = this.#due(mark, end, now);
    const row = this.rows.get(sid);
    const until = due === 'back' ? end.ttl : Math.max(end.ttl, mark.ttl + 1);
    if (due === 'no') {
      store.counts.unchanged++;
      return mark;
    }
    if (due === 'back' && end.exact <= now) {
      this.#remove(store, sid);
      return 'gone';
    }
    if (!row || ended(row, now)) {
      this.#gone(store, sid);
      return 'gone';
    }
    if (due === 'on' && row.ttl >= until) {
      store.counts.unchanged++; // somebody else has moved it as far
      return mark;
    }
    const { revision: before } = row;
    this.#extend(sid, row, until, now);
    store.counts.extended++;
    // If it was sealed again for a later end, the content is still the one that this caller knows.
    const revision = before === mark.revision ? this.rows.get(sid)!.revision : mark.revision;
    return { ...mark, revision, ttl: until, ends: until * 1000 };
  }

  #extend(sid: string, row: Row, ttl: number, now: number): void {
    if (row.notAfter < ttl) this.#seal(sid, row.json, ttl, now, true);
    else row.ttl = ttl;
  }

  /** A session that is saved as ended is removed. */
  #remove(store: StoreModel, sid: string, session?: object): undefined {
    this.rows.delete(sid);
    this.#gone(store, sid, session);
  }

  /** A save or a touch found the session gone. */
  #gone(store: StoreModel, sid: string, session?: object): undefined {
    if (session) {
      const object = this.#known.get(session);
      this.#known.set(session, { sid, content: object?.mark ?? object?.content });
    }
    store.remember(sid, 'gone');
    store.counts.gone++;
  }

  #conflict(store: StoreModel, sid: string, resolution: SessionConflict['resolution']): void {
    store.counts.conflicts++;
    store.conflicts.push({ session: createHash('sha256').update(sid).digest('hex'), resolution });
  }

  #keep(store: StoreModel, sid: string, session: object, read: Mark): void {
    const mark = { ...read, ends: endOf(session, read.ttl) };
    this.#known.set(session, { sid, mark });
    store.remember(sid, mark);
  }
}

/** Whether @fastify/session has the cookie of a stored session in the one that it made: its end is text there, or null. One that it has just made is new. */
function isOfStored(session: any): boolean {
  const key = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'cookieOpts')!;
  const { expires } = session[key];
  // A session that was reloaded when it had ended has only what it carries.
  const carries = Object.getOwnPropertySymbols(session[key]).length > 0;
  return carries || expires === null || typeof expires === 'string';
}

/** As far as its caller knows. */
function lives({ ends, ttl }: Mark, now: number): boolean {
  return (ends ?? ttl * 1000) > now;
}

function ended({ ttl, notAfter }: Row, now: number): boolean {
  return Math.min(ttl, notAfter) <= Math.floor(now / 1000);
}
