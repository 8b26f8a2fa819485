// Tables with many sessions, for the commands that read whole tables.

import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';

/** The ARN of a KMS key that the servers are told to make. */
export const keyArn = (digit: string) => `arn:aws:kms:us-east-1:232282424912:key/${digit.repeat(8)}-0000-4000-8000-000000000000`;

/** How many sessions are saved at the same time. */
const AT_ONCE = 32;

/** A session with its number in it. It ends in an hour, each one a second later than the one before. */
export const numbered = (number: number) => ({
  cookie: { originalMaxAge: 3_600_000, expires: new Date(Date.now() + 3_600_000 + number * 1000), httpOnly: true, path: '/' },
  number,
});

/** Saves the sessions `PREFIX0`, `PREFIX1`, … */
export async function fill(store: DynamoDBSessionStore, count: number, prefix = 'session-'): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, number) => `${prefix}${number}`);
  for (let first = 0; first < count; first += AT_ONCE) {
    await Promise.all(ids.slice(first, first + AT_ONCE).map((id, index) => store.set(id, numbered(first + index) as any)));
  }
  return ids;
}
