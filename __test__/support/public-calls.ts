// A call of every method that can fail, which finds what it looks for.

import { createEnvelope, DynamoDBSessionStore, SealedStore } from 'connect-dynamodb-kms';
import { quietLogger } from './backends.ts';

/** Stands in what the calls are about, and nowhere else. */
export const SID = 'an-id-that-nobody-may-see';
export const SECRET = 'a-secret-that-nobody-may-see';
export const USER = 'a-user-that-nobody-may-see';

export interface PublicCall {
  method: string;
  args: unknown[];
  outcome: string;
  /** Whether it is about a session or an item. */
  hasSession?: boolean;
}

const session = { cookie: {}, user: USER, secret: SECRET };

/** In this order. */
export const SESSION_CALLS: PublicCall[] = [
  { method: 'ping', args: [], outcome: 'done' },
  { method: 'get', args: [SID], outcome: 'missing', hasSession: true },
  { method: 'set', args: [SID, session], outcome: 'written', hasSession: true },
  { method: 'get', args: [SID], outcome: 'found', hasSession: true },
  { method: 'touch', args: [SID, { cookie: {} }], outcome: 'extended', hasSession: true },
  { method: 'update', args: [SID, (found: any) => ({ ...found, n: 1 })], outcome: 'written', hasSession: true },
  { method: 'update', args: [SID, () => {}], outcome: 'unchanged', hasSession: true },
  {
    method: 'refresh',
    args: [SID, { isFresh: (found: any) => found.fresh === true, refresh: (found: any) => ({ ...found, fresh: true }) }],
    outcome: 'renewed',
    hasSession: true,
  },
  { method: 'refresh', args: [SID, { isFresh: () => true, refresh() {} }], outcome: 'fresh', hasSession: true },
  { method: 'withLock', args: [SID, () => SECRET], outcome: 'done', hasSession: true },
  { method: 'record', args: [SID], outcome: 'found', hasSession: true },
  { method: 'all', args: [], outcome: 'done' },
  { method: 'ids', args: [], outcome: 'done' },
  { method: 'length', args: [], outcome: 'done' },
  { method: 'sessionsOf', args: [USER], outcome: 'done' },
  { method: 'destroyAllOf', args: [USER], outcome: 'deleted' },
  { method: 'take', args: [SID], outcome: 'missing', hasSession: true },
  { method: 'destroy', args: [SID], outcome: 'deleted', hasSession: true },
  { method: 'clear', args: [], outcome: 'deleted' },
  { method: 'close', args: [], outcome: 'done' },
];

export const ITEM_CALLS: PublicCall[] = [
  { method: 'ping', args: [], outcome: 'done' },
  { method: 'get', args: [SID], outcome: 'missing', hasSession: true },
  { method: 'put', args: [SID, { n: SECRET }], outcome: 'written', hasSession: true },
  { method: 'get', args: [SID], outcome: 'found', hasSession: true },
  { method: 'update', args: [SID, (found: any) => ({ ...found, m: 1 })], outcome: 'written', hasSession: true },
  { method: 'update', args: ['another', () => {}], outcome: 'missing', hasSession: true },
  { method: 'withLock', args: [SID, () => SECRET], outcome: 'done', hasSession: true },
  { method: 'ids', args: [], outcome: 'done' },
  { method: 'length', args: [], outcome: 'done' },
  { method: 'take', args: [SID], outcome: 'taken', hasSession: true },
  { method: 'delete', args: [SID], outcome: 'deleted', hasSession: true },
  { method: 'clear', args: [], outcome: 'deleted' },
  { method: 'close', args: [], outcome: 'done' },
];

export const ENVELOPE_CALLS: PublicCall[] = [
  { method: 'encrypt', args: [SECRET, { context: { user: USER } }], outcome: 'done' },
  { method: 'close', args: [], outcome: 'done' },
];

/** The three that publish calls, in local mode. */
export const COMPONENTS = [
  {
    component: 'session-store' as const,
    calls: SESSION_CALLS,
    make: (path: string): any =>
      new DynamoDBSessionStore({
        local: { path },
        tableName: 'a-table',
        recordVersion: 2,
        logger: quietLogger(),
        touchAfter: 0,
        users: { idOf: 'user', secret: 'sixteen bytes or more' },
      }),
    tableName: 'a-table',
  },
  {
    component: 'sealed-store' as const,
    calls: ITEM_CALLS,
    make: (path: string): any => new SealedStore({ local: { path }, logger: quietLogger() }),
    tableName: 'mcp-gateway-sessions',
  },
  {
    component: 'envelope' as const,
    calls: ENVELOPE_CALLS,
    make: (path: string): any => createEnvelope({ local: { path }, logger: quietLogger() }),
    tableName: undefined,
  },
];

/** Public, but no calls: they answer from memory, or are made of calls. */
export const NO_CALLS = ['constructor', 'stats', 'createSession', 'regenerate', 'load', 'sessions', 'decrypt'];
