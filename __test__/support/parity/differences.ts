// What is not equal to the store in memory, and why. Each entry must be seen, or it is no longer true.

import { scenarios } from './fastify/scenarios.ts';
import type { Difference } from './transcripts.ts';

export interface Explained {
  /** The beginning of the difference. */
  difference: Difference;
  /** The settings in which it is seen. */
  when(setting: { rolling: boolean }): boolean;
  reason: string;
}

const rolling = (setting: { rolling: boolean }) => setting.rolling;

/** Why the in-memory store is not the measure here: it forgets what a request that ended later did not know of. */
const LOGOUT_IS_FINAL =
  'The in-memory store lets a request that ends after the logout sign the browser in again. Here a logout is final.';
const NEWER_STAYS = 'In memory a slow request that changed nothing overwrites the change of a faster one. Here it does not.';

const LOGGED_OUT = 'is slow, and logs out meanwhile: 4 GET /me';
const CHANGED = 'is slow, and the session is changed meanwhile: 4 GET /me';

export const explained: Explained[] = [
  { difference: `${LOGGED_OUT}: status: 200 -> 401`, when: rolling, reason: LOGOUT_IS_FINAL },
  { difference: `${LOGGED_OUT}: body: `, when: rolling, reason: LOGOUT_IS_FINAL },
  { difference: `${LOGGED_OUT}: cookies: `, when: rolling, reason: LOGOUT_IS_FINAL },
  { difference: `${CHANGED}: body: `, when: rolling, reason: NEWER_STAYS },
];

/** Enough to see what is wrong, if all is wrong. */
const SHOWN = 30;

/** The differences that nobody has explained, and the explanations that are not seen in the scenarios that were compared. */
export function unexplained(
  setting: { rolling: boolean },
  found: Difference[],
  compared: Array<{ name: string }> = scenarios,
): Difference[] {
  const expected = explained.filter(
    ({ difference, when }) => when(setting) && compared.some(({ name }) => difference.startsWith(`${name}: `)),
  );
  const missing = expected.filter(({ difference }) => !found.some((other) => other.startsWith(difference)));
  const left = found.filter((difference) => !expected.some((other) => difference.startsWith(other.difference)));
  return [
    ...left.slice(0, SHOWN),
    ...(left.length > SHOWN ? [`and ${left.length - SHOWN} more`] : []),
    ...missing.map(({ difference }) => `no longer seen: ${difference}`),
  ];
}
