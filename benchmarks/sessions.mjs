// The sessions that every subject reads and writes: like those of a gateway that keeps OAuth tokens, the same bytes in every run.

import { createHash } from 'node:crypto';

export const WEEK = 7 * 24 * 3600 * 1000;

/** Bytes of JSON of one provider's tokens. */
const GRANT = 700;

/** Text like that of a token, the same for the same seed. */
function token(seed, length) {
  let text = '';
  for (let part = 0; text.length < length; part++) text += createHash('sha512').update(`${seed}/${part}`).digest('base64url');
  return text.slice(0, length);
}

/** The session without its cookie: `size` bytes of JSON together with the cookie, to a few bytes. */
export function sessionData(size, seed = 'a') {
  const data = { user: userOf(0), roles: ['reader', 'writer'], visits: 0, grants: {} };
  const cookie = JSON.stringify({ cookie: newCookie() }).length;
  for (let index = 0; ; index++) {
    const left = size - cookie - JSON.stringify(data).length;
    if (left < 300) return left > 10 ? { ...data, rest: token(`${seed}/rest`, left - 10) } : data;
    const length = Math.max(10, Math.min(GRANT, left) - 170);
    data.grants[`provider-${index}`] = {
      access_token: token(`${seed}/${index}`, Math.ceil(length / 2)),
      refresh_token: token(`${seed}/${index}/refresh`, Math.floor(length / 2)),
      scope: ['read', 'write'],
      expires_at: '2099-01-01T00:00:00.000Z',
    };
  }
}

/** The user of a session of a pool, of the same length for all. */
export function userOf(slot) {
  return `user-${String(slot).padStart(6, '0')}`;
}

/** A cookie as express-session and @fastify/session put it into JSON. */
export function newCookie() {
  const expires = new Date(Math.ceil(Date.now() / 1000) * 1000 + WEEK).toISOString();
  return { originalMaxAge: WEEK, expires, httpOnly: true, path: '/', secure: false };
}

/** @returns {string[]} the ids of the `count` sessions of a pool, 32 characters each, as those of the frameworks. */
export function poolIds(subject, size, count) {
  return Array.from({ length: count }, (_, index) => token(`${subject}/${size}/${index}`, 32));
}
