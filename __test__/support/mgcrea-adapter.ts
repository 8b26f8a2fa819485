import type { DynamoDBSessionStore, SessionData } from 'connect-dynamodb-kms';

export function mgcreaStore(store: DynamoDBSessionStore) {
  const byData = new WeakMap<object, SessionData>(); // the store knows a session by the object that it gave
  const justRead = new Map<string, SessionData>(); // until what follows in the same request
  const ending = (session: SessionData, end?: number | null) =>
    Object.assign(session, { cookie: { expires: end ? new Date(end) : null } });
  return {
    async get(sid: string): Promise<[any, number | null] | null> {
      const session = await store.get(sid);
      if (!session) return null;
      byData.set(session.data, session);
      justRead.set(sid, session);
      const end = session.cookie?.expires;
      return [session.data, end ? new Date(end).getTime() : null];
    },
    set(sid: string, data: object, end?: number | null) {
      justRead.delete(sid);
      return store.set(sid, ending(byData.get(data) ?? { data }, end));
    },
    touch(sid: string, end?: number | null) {
      const session = justRead.get(sid) ?? {};
      justRead.delete(sid);
      return store.touch(sid, ending(session, end));
    },
    destroy(sid: string) {
      justRead.delete(sid);
      return store.destroy(sid);
    },
  };
}
