// Where failures are provoked: servers of one's own, sessions that must not show, and what an error must say.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { DynamoDBSessionStore, SessionStoreConfig, SessionStoreError, SessionStoreErrorCode } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from './backends.ts';
import { assertNothingOf, type Cause, failing, spellings } from './failures.ts';
import type { Listening } from './http-server.ts';
import { PlainStore } from './plain-store.ts';

// One attempt a call: what fails here fails for good, and waiting for that proves nothing.
process.env.AWS_MAX_ATTEMPTS = '1';

/** How many tests run at a time, each with servers of its own. */
export const AT_ONCE = 8;

/** The codes that `provoke` has seen in this process. */
export const provoked = new Set<SessionStoreErrorCode>();

/** A session that nobody else has, and what of it must never show. */
export interface Subject {
  sid: string;
  session: { cookie: object; token: string };
  secrets: string[];
}

export function subject(): Subject {
  const sid = `sid-${randomBytes(24).toString('base64url')}`;
  const token = `token-${randomBytes(24).toString('base64url')}`;
  return { sid, session: { cookie: {}, token }, secrets: [sid, token] };
}

const OF_A_SESSION = ['get', 'take', 'record', 'set', 'touch', 'destroy', 'update', 'withLock'] as const;
const OF_THE_STORE = ['all', 'ids', 'length', 'clear', 'ping'] as const;
export type Method = (typeof OF_A_SESSION)[number] | (typeof OF_THE_STORE)[number];
export const METHODS: Method[] = [...OF_A_SESSION, ...OF_THE_STORE];

export function call(store: DynamoDBSessionStore, method: Method, { sid, session }: Subject): Promise<unknown> {
  if (method === 'set' || method === 'touch') return store[method](sid, session);
  if (method === 'get' || method === 'take' || method === 'record' || method === 'destroy') return store[method](sid);
  if (method === 'update') return store.update(sid, () => ({ ...session, updated: true }));
  if (method === 'withLock') return store.withLock(sid, () => {}, { waitSeconds: 0 });
  return store[method]();
}

/** An AWS backend of its own, the plain implementation on the same servers, and stores that log to `lines`. */
export class Stage {
  readonly lines: string[] = [];
  readonly backend: AwsBackend;
  readonly plain: PlainStore;
  readonly #servers: Listening[] = [];

  private constructor(backend: AwsBackend) {
    this.backend = backend;
    this.plain = new PlainStore(backend.aws);
  }

  static async start(args: string[] = []): Promise<Stage> {
    return new Stage(await startAws(args));
  }

  /** A new store, so one without cached keys. */
  store(options: SessionStoreConfig = {}): DynamoDBSessionStore {
    const log = (line: string) => void this.lines.push(line);
    return this.backend.store({ ...options, logger: { warn: log, debug: log } });
  }

  /** A saved session, whose data key no other store has in its cache; the key is among its secrets, if KMS can be asked for it. */
  async saved(withKey = true): Promise<Subject> {
    const saved = subject();
    await this.store().set(saved.sid, saved.session);
    if (!withKey) return saved;
    const record = await this.store().record(saved.sid);
    return { ...saved, secrets: [...saved.secrets, ...spellings(await this.plain.dataKey(record!.encryptedKey))] };
  }

  /** Fails unless the method fails with this code and gives nothing away, in the error or in the log. */
  async provoke(
    code: SessionStoreErrorCode,
    store: DynamoDBSessionStore,
    method: Method,
    about: Subject = subject(),
  ): Promise<SessionStoreError & { cause?: Cause }> {
    const error = await failing(call(store, method, about), code, about.secrets);
    provoked.add(code);
    assertNothingOf(about.secrets, this.lines.join('\n'));
    return error;
  }

  /** The URL of a server that is stopped with the stage. */
  async serve(starting: Promise<Listening>): Promise<string> {
    const server = await starting;
    this.#servers.push(server);
    return server.url;
  }

  async stop(): Promise<void> {
    this.plain.close();
    await Promise.all([this.backend.stop(), ...this.#servers.map((server) => server.close())]);
  }
}

/** Runs a test on servers of its own, so that its faults hit nobody else. */
export async function staged(args: string[], test: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = await Stage.start(args);
  try {
    await test(stage);
  } finally {
    await stage.stop();
  }
}

/** `cause` is AWS's error with its code, and the id under which AWS's support finds the request. */
export function assertFromAws(error: SessionStoreError & { cause?: Cause }, name: string): void {
  assert.equal(error.cause?.name, name);
  assert.match(error.cause.requestId ?? '', /^[\w-]{20,}$/, 'the request id');
}

/** `cause` is an error of this machine: nothing came from AWS that could have an id. */
export function assertFromHere(error: SessionStoreError & { cause?: Cause }, name: string): void {
  assert.equal(error.cause?.name, name);
  assert.equal(error.cause.requestId, undefined);
}

export function assertSays(error: SessionStoreError, ...parts: string[]): void {
  for (const part of parts) assert.ok(error.detail.includes(part), `"${error.detail}" does not say ${part}`);
}
