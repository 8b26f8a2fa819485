// What a session holds, beside the moment at which its cookie ends.

/** A session without its cookie's expiry, as texts that are equal for equal sessions. */
export interface Content {
  cookie: string;
  rest: string;
}

/** A session as its record holds it. */
export function plain(session: object): any {
  return JSON.parse(JSON.stringify(session));
}

export function expiresOf(session: any): number | undefined {
  const expires = session.cookie?.expires;
  return expires === undefined || expires === null ? undefined : new Date(expires).getTime();
}

/** When a record ends that says `ttl` and has this session in it. */
export function endOf(session: object, ttl: number): number {
  const expires = expiresOf(session);
  return expires !== undefined && Math.ceil(expires / 1000) === ttl ? expires : ttl * 1000;
}

function sorted(object: object): string {
  return JSON.stringify(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function contentOf({ cookie, ...rest }: any): Content {
  const { expires, originalExpires, originalMaxAge, ...lasting } = cookie ?? {};
  const set = Object.entries(lasting).filter(([, value]) => value !== null);
  const tenths = typeof originalMaxAge === 'number' ? Math.ceil(originalMaxAge / 100) : undefined;
  return { rest: sorted(rest), cookie: sorted({ ...Object.fromEntries(set), tenths }) };
}

export function isSame(one: Content, other: Content): boolean {
  return one.rest === other.rest && one.cookie === other.cookie;
}
