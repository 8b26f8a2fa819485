// What an outside user found in refresh.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type Backend, backends } from '../support/backends.ts';
import { plain } from '../support/session-content.ts';

const LIMIT = { timeout: 60_000 };
const HOUR = 3_600_000;
const COOKIE = { originalMaxAge: null, expires: null, path: '/' };
const expiresAt = ({ tokens }: any) => tokens?.expires ?? 0;

for (const { name, start } of backends) {
  describe(`refresh on ${name}`, LIMIT, () => {
    let backend: Backend;
    let [store, other] = [] as unknown as [DynamoDBSessionStore, DynamoDBSessionStore];
    let sids = 0;
    before(async () => {
      backend = await start();
      [store, other] = [backend.store(), backend.store()];
    });
    after(() => backend.stop());

    async function saved(content: object): Promise<string> {
      const sid = `found-${++sids}`;
      await other.set(sid, { cookie: COOKIE, ...content });
      return sid;
    }

    const ada = { user: 'ada', tokens: { access: 'a 1', refresh: 'r 1', expires: 0 } };
    const renew = (session: any) => {
      session.tokens = { access: 'a 2', refresh: 'r 2', expires: Date.now() + HOUR };
    };
    const inPlace = (session: any) =>
      void Object.assign(session.tokens, { access: 'a 2', refresh: 'r 2', expires: Date.now() + HOUR });
    const dueSoon = { access: 'b', refresh: 'r b', expires: Date.now() + 25_000 };

    const changes: [string, (sid: string) => Promise<unknown>, (session: any) => void, object][] = [
      [
        'a logout',
        (sid) => other.update(sid, (session: any) => void Object.assign(session, { user: null, tokens: {} })),
        inPlace,
        { user: null, tokens: {} },
      ],
      [
        'a logout that removes the tokens',
        (sid) =>
          other.update(sid, (session: any) => {
            session.user = null;
            delete session.tokens;
          }),
        renew,
        { user: null },
      ],
      [
        'a logout that clears tokens in place',
        (sid) => other.update(sid, (session: any) => void Object.assign(session.tokens, { access: null, refresh: null })),
        inPlace,
        { user: 'ada', tokens: { access: null, refresh: null, expires: 0 } },
      ],
      [
        'a login whose token is due soon',
        (sid) => other.update(sid, (session: any) => void Object.assign(session, { user: 'bob', tokens: dueSoon })),
        renew,
        { user: 'bob', tokens: dueSoon },
      ],
      [
        'a login under the same id whose token has run out',
        async (sid) => {
          await other.destroy(sid);
          await other.set(sid, { cookie: COOKIE, user: 'bob', tokens: { ...dueSoon, expires: 1 } });
        },
        renew,
        { user: 'bob', tokens: { ...dueSoon, expires: 1 } },
      ],
    ];
    for (const [what, change, refresh, content] of changes) {
      it(`leaves ${what} in place that happens while the provider is asked`, async () => {
        const sid = await saved(ada);
        const result = await store.refresh(sid, {
          expiresAt,
          refresh: async (session: any) => {
            await change(sid);
            refresh(session);
          },
        });
        assert.deepEqual(await other.get(sid), { cookie: COOKIE, ...content });
        assert.deepEqual(result && plain(result), { cookie: COOKIE, ...content });
        assert.equal(store.stats().refreshes.unsaved, 0);
      });
    }

    it('stores tokens although the function and another request both changed the cookie', async () => {
      const sid = await saved(ada);
      await store.refresh(sid, {
        expiresAt,
        refresh: async (session: any) => {
          await other.update(sid, ({ cookie }: any) => void Object.assign(cookie, { path: '/theirs' }));
          session.cookie.path = '/ours';
          renew(session);
        },
      });
      assert.equal(((await other.get(sid)) as any).tokens.access, 'a 2');
    });
  });
}
