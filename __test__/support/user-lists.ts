// The lists of users as another program sees them in the table, and whether they agree with the sessions.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import type { TableItem } from './table-items.ts';

export const USERS = { idOf: 'user', secret: 'a secret of the users' } as const;

/** The name of a user in the table. */
export const hashOf = (user: string | number, secret = USERS.secret): string =>
  createHmac('sha256', secret).update(String(user)).digest('base64url');

export const listKey = (user: string | number, prefix = ''): string => `${prefix}user:${hashOf(user)}`;

/** The entries of a list: partition keys of sessions without the prefix, and their numbers. */
export function entriesOf(list: TableItem | undefined): Record<string, string> {
  const entries = Object.entries(list ?? {}).filter(([name]) => name.startsWith('s:'));
  return Object.fromEntries(entries.map(([name, { N }]) => [name.slice(2), N!]));
}

const isSession = (item: TableItem) => item.encryptedData !== undefined;

/**
 * Fails unless every session that says whose it is stands on that user's list, with its number.
 * @param items all items of a table of one store without prefix.
 * @returns how many sessions of users there are, and how many entries without a session.
 */
export function checkLists(items: Record<string, TableItem>): { sessions: number; stale: number } {
  const lists = Object.entries(items).filter(([, { generation }]) => generation !== undefined);
  const entries = new Map(lists.map(([key, list]) => [key, entriesOf(list)]));
  let sessions = 0;
  let listed = 0;
  for (const [, item] of lists) {
    for (const number of Object.values(entriesOf(item))) assert.ok(BigInt(number) <= BigInt(item.generation.N!));
  }
  for (const [key, item] of Object.entries(items)) {
    const user = item.user?.S;
    if (!isSession(item) || user === undefined || user === '-') continue;
    sessions++;
    assert.equal(entries.get(`user:${user}`)?.[key], item.userEntry.N, `the entry of the session ${key}`);
  }
  for (const own of entries.values()) listed += Object.keys(own).length;
  return { sessions, stale: listed - sessions };
}
