// What an outside user found in refresh.

import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { plain } from '../support/session-content.ts';

const LIMIT = { timeout: 300_000 };
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

    const wrong: [string, object][] = [
      ['expiresAt gives NaN', { expiresAt: ({ tokens }: any) => (tokens.access === 'a 2' ? Number.NaN : 0) }],
      ['expiresAt gives nothing', { expiresAt: ({ tokens }: any) => (tokens.access === 'a 2' ? undefined : 0) }],
      [
        'isFresh fails',
        {
          isFresh: ({ tokens }: any) => {
            if (tokens.access === 'a 2') throw new Error('no token of mine');
            return false;
          },
        },
      ],
    ];
    for (const [what, options] of wrong) {
      it(`stores new tokens for which ${what}, and resolves`, async () => {
        const sid = await saved(ada);
        const session: any = await store.refresh(sid, { ...options, refresh: renew } as any);
        assert.equal(session.tokens.access, 'a 2');
        assert.deepEqual(await other.get(sid), plain(session));
        assert.equal(store.stats().refreshes.unsaved, 0);
      });
    }

    it('gives the lease back, on this server and others, if a function hangs that nobody waits for', async () => {
      const sid = await saved(ada);
      const controller = new AbortController();
      const hanging = async () => {
        controller.abort();
        await new Promise(() => {});
      };
      const options = { expiresAt, leaseSeconds: 1, waitSeconds: 8 };
      const call = store.refresh(sid, { ...options, refresh: hanging, signal: controller.signal });
      await assert.rejects(call, { name: 'AbortError' });
      const again: any[] = await Promise.all([store, other].map((one) => one.refresh(sid, { ...options, refresh: renew })));
      assert.deepEqual(
        again.map(({ tokens }) => tokens.access),
        ['a 2', 'a 2'],
      );
      while (store.stats().tasksInFlight > 0) await turn();
    });

    it('gives a token that is still good after waitSeconds if the early renewal hangs, and aborts that later', async () => {
      for (const by of ['id', 'object']) {
        const sid = await saved({ tokens: { ...dueSoon, expires: Date.now() + 25_000 } });
        const session: any = by === 'id' ? sid : await store.get(sid);
        let given: AbortSignal | undefined;
        const hanging = async (_: any, signal: AbortSignal) => {
          given = signal;
          await new Promise(() => {});
        };
        const options = { expiresAt, refresh: hanging, waitSeconds: 0.1, leaseSeconds: 1 };
        const got: any = await store.refresh(session, options);
        assert.equal(got.tokens.access, dueSoon.access);
        assert.equal(given!.aborted, false);
        await once(given!, 'abort');
      }
    });

    it('takes a signal of another kind, that can say no reason', async () => {
      class OtherSignal extends EventTarget {
        aborted = false;
        abort() {
          this.aborted = true;
          this.dispatchEvent(new Event('abort'));
        }
      }
      const calls: ((signal: any, sid: string) => Promise<unknown> | undefined)[] = [
        (signal, sid) => store.refresh(sid, { expiresAt, refresh: () => signal.abort(), signal }),
        (signal, sid) => {
          const locked = store.withLock(sid, () => store.withLock(sid, () => {}, { signal }));
          setImmediate(() => signal.abort());
          return locked;
        },
        (signal, sid) => {
          const got = store.get(sid, { signal });
          signal.abort();
          return got;
        },
        (signal, sid) => {
          signal.aborted = true;
          return store.refresh(sid, { expiresAt, refresh: renew, signal });
        },
      ];
      for (const call of calls) {
        const sid = await saved(ada);
        await assert.rejects(async () => call(new OtherSignal(), sid), { name: 'AbortError' });
      }
      const sid = await saved(ada);
      const session: any = await store.refresh(sid, { expiresAt, refresh: renew, signal: new OtherSignal() as any });
      assert.equal(session.tokens.access, 'a 2');
      const incomplete: any = { aborted: false, addEventListener() {} };
      await failing(store.refresh(sid, { expiresAt, refresh: renew, signal: incomplete }), 'ERR_CONFIG');
    });

    it('listens once to a signal that many calls share, and not any more when they have ended', async () => {
      const sid = await saved(ada);
      const { signal } = new AbortController();
      let most = 0;
      const refresh = (session: any) => {
        most = getEventListeners(signal, 'abort').length;
        renew(session);
      };
      const options = { expiresAt, refresh, signal };
      await Promise.all(Array.from({ length: 20 }, () => store.refresh(sid, options)));
      assert.deepEqual([most, getEventListeners(signal, 'abort').length], [1, 0]);
    });

    for (const thrown of [0, '', false, undefined]) {
      it(`gives a callback an error if the function throws ${JSON.stringify(thrown)}`, async () => {
        const sid = await saved(ada);
        const refresh = () => {
          throw thrown;
        };
        const error: any = await new Promise((resolve) => store.refresh(sid, { expiresAt, refresh }, resolve));
        assert.equal(error.code, 'ERR_CONFIG');
      });
    }

    it('calls a callback that is given in the place of the options', async () => {
      const error: any = await new Promise((resolve) => (store as any).refresh('an id', resolve));
      assert.equal(error.code, 'ERR_CONFIG');
    });

    it('says what isFresh or expiresAt gave', async () => {
      const sid = await saved(ada);
      const wrong: [object, RegExp][] = [
        [{ isFresh: () => 1 }, /true or false, not 1$/],
        [{ isFresh: () => Number.NaN }, /true or false, not NaN$/],
        [{ isFresh: () => new Date() }, /true or false, not a Date$/],
        [{ expiresAt: () => new Date('x') }, /not an invalid Date;/],
        [{ expiresAt: () => ({ [Symbol.toStringTag]: 'confidential' }) }, /not an object;/],
        [{ expiresAt: async () => 0 }, /not a promise: it may not be async;/],
        [{ isFresh: () => [] }, /true or false, not an array$/],
        [{ expiresAt: () => Number.NaN }, /not NaN;/],
      ];
      for (const [options, detail] of wrong) {
        const error = await failing(store.refresh(sid, { ...options, refresh: renew } as any), 'ERR_CONFIG');
        assert.match(error.detail!, detail);
      }
    });

    it('gives null for a session that ends while the function runs', async () => {
      const sid = await saved({ ...ada, cookie: { ...COOKIE, expires: new Date(Date.now() + 700).toISOString() } });
      const refresh = async (session: any) => {
        await sleep(800);
        renew(session);
      };
      assert.equal(await store.refresh(sid, { expiresAt, refresh }), null);
    });

    it('stores tokens if others have moved the end of the session that would have ended', async () => {
      const sid = await saved({ ...ada, cookie: { ...COOKIE, expires: new Date(Date.now() + 700).toISOString() } });
      const refresh = async (session: any) => {
        await other.update(sid, ({ cookie }: any) => void Object.assign(cookie, { expires: new Date(Date.now() + HOUR) }));
        await sleep(800);
        renew(session);
      };
      assert.equal(((await store.refresh(sid, { expiresAt, refresh })) as any).tokens.access, 'a 2');
    });

    it('leaves the id of an element of all() in place, as update does', async () => {
      const sid = await saved(ada);
      const elements: any[] = (await store.all()).filter(({ id }: any) => id === sid);
      await store.refresh(elements[0], { expiresAt, refresh: renew });
      assert.deepEqual([elements[0].id, elements[0].tokens.access], [sid, 'a 2']);
      await store.update(elements[0], (session: any) => void Object.assign(session, { note: 1 }));
      assert.deepEqual([elements[0].id, elements[0].note], [sid, 1]);
      assert.equal(((await other.get(sid)) as any).id, undefined);
    });

    it('refuses a frozen session, which could not be brought up to date', async () => {
      const sid = await saved(ada);
      const session = Object.freeze((await store.get(sid))!);
      await failing(store.refresh(session, { expiresAt, refresh: renew }), 'ERR_CONFIG');
      await failing(
        store.update(session, () => {}),
        'ERR_CONFIG',
      );
    });

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

describe('new tokens that could not be stored', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  afterEach(() => backend.aws.clearFaults());
  const options = {
    expiresAt,
    refresh: (session: any) => void Object.assign(session, { tokens: { access: 'new', expires: Date.now() + HOUR } }),
  };

  async function keeping(sid: string, names = ['']): Promise<DynamoDBSessionStore> {
    const store = backend.store();
    await store.set(sid, { cookie: COOKIE, tokens: { expires: 0 } });
    for (const name of names) {
      const refresh = async (session: any) => {
        await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
        options.refresh(session);
      };
      await failing(store.refresh(sid, { ...options, name, refresh }), 'ERR_ACCESS_DENIED');
      await backend.aws.clearFaults();
    }
    assert.equal(store.stats().refreshes.unsaved, names.length);
    return store;
  }

  it('are forgotten when their session is destroyed, and only those', async () => {
    const store = await keeping('kept', ['', 'a']);
    await store.destroy('kept-2');
    assert.equal(store.stats().refreshes.unsaved, 2);
    await store.destroy('kept');
    assert.equal(store.stats().refreshes.unsaved, 0);
  });

  it('are forgotten by clear', async () => {
    const store = await keeping('cleared');
    await store.clear();
    assert.equal(store.stats().refreshes.unsaved, 0);
  });

  it('are not kept if the store was closed while the provider was asked', async () => {
    const store = backend.store();
    await store.set('closed', { cookie: COOKIE, tokens: { expires: 0 } });
    const refresh = async (session: any) => {
      await store.close();
      options.refresh(session);
    };
    await failing(store.refresh('closed', { ...options, refresh }), 'ERR_CLOSED');
    assert.equal(store.stats().refreshes.unsaved, 0);
  });

  it('are not kept if they make the session too large', async () => {
    const store = backend.store();
    await store.set('large', { cookie: COOKIE, tokens: { expires: 0 } });
    const refresh = (session: any) => void Object.assign(session.tokens, { access: 'x'.repeat(1 << 20) });
    await failing(store.refresh('large', { ...options, refresh }), 'ERR_SESSION_TOO_LARGE');
    assert.equal(store.stats().refreshes.unsaved, 0);
  });

  it('have at most 8 MiB together, and the newest stay', async () => {
    const store = backend.store();
    for (let index = 0; index < 36; index++) {
      const sid = `big-${index}`;
      await store.set(sid, { cookie: COOKIE, tokens: { expires: 0 } });
      const refresh = async (session: any) => {
        await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'AccessDeniedException' });
        session.tokens = { access: 'x'.repeat(250_000), expires: Date.now() + HOUR };
      };
      await failing(store.refresh(sid, { ...options, refresh }), 'ERR_ACCESS_DENIED');
      await backend.aws.clearFaults();
    }
    assert.equal(store.stats().refreshes.unsaved, 33);
  });
});
