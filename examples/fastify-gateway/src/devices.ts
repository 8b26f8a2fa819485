// The sessions of a user, as the page shows them.

import { createHash } from 'node:crypto';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';

/** A session of the user. */
export interface Device {
  /** What the page and its forms call it: a session's id is a secret of its browser. */
  name: string;
  device: string;
  /** Missing in a session of an earlier version of this example. */
  signedInAt?: Date;
  /** Whether it is the session that asks. */
  isThis: boolean;
}

export function nameOf(sessionId: string): string {
  return createHash('sha256').update(sessionId).digest('base64url');
}

/** The sessions of a user, the latest login first. */
export async function devicesOf(store: DynamoDBSessionStore, email: string, sessionId: string): Promise<Device[]> {
  const sessions = await store.sessionsOf(email);
  return sessions.map(({ id, device = 'An unknown browser', signedInAt }) => ({
    name: nameOf(id),
    device,
    ...(signedInAt && { signedInAt: new Date(signedInAt) }),
    isThis: id === sessionId,
  }));
}

/** In this order: most browsers also name others, for old servers. */
const BROWSERS = {
  'Edg/': 'Edge',
  'OPR/': 'Opera',
  'Firefox/': 'Firefox',
  'Chrome/': 'Chrome',
  'Safari/': 'Safari',
  'curl/': 'curl',
};
const SYSTEMS = { Android: 'Android', iPhone: 'iOS', iPad: 'iPadOS', Windows: 'Windows', Macintosh: 'macOS', Linux: 'Linux' };

/** A browser in words, by its header `User-Agent`. */
export function deviceOf(userAgent = ''): string {
  const named = (names: Record<string, string>) => Object.entries(names).find(([sign]) => userAgent.includes(sign))?.[1];
  const [browser, system] = [named(BROWSERS), named(SYSTEMS)];
  return [browser ?? 'A browser', ...(system ? ['on', system] : [])].join(' ');
}
