// Callbacks and promises of the methods beside those of get-set.spec.ts: once, later, and never thrown from the call itself.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type Backend, backends, quietLogger, startLocal } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { answered, byCallback } from '../support/calls.ts';
import { assertFailure, failing } from '../support/failures.ts';
import { frameworks } from '../support/framework-apps.ts';
import { Program } from '../support/program.ts';

/** The methods that a caller may take out of the store, with arguments that they can work with. */
const METHODS: Record<string, unknown[]> = {
  set: ['sid', { user: 'ada' }],
  get: ['sid'],
  touch: ['sid', {}],
  record: ['sid'],
  update: ['sid', (session: any) => ({ ...session, user: 'bob' })],
  withLock: ['sid', () => 'done'],
  all: [],
  ids: [],
  length: [],
  ping: [],
  take: ['sid'],
  destroy: ['sid'],
  clear: [],
  close: [],
};

const revoked = (() => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
})();

/** Objects that fail when they are looked at. */
const hostile: Record<string, () => any> = {
  'a revoked proxy': () => revoked,
  'a getter isModified that throws': () =>
    Object.defineProperty({}, 'isModified', {
      get() {
        throw new Error('isModified');
      },
    }),
  'a getter sessionId that throws': () =>
    Object.defineProperty({ isModified: () => false }, 'sessionId', {
      get() {
        throw new Error('sessionId');
      },
    }),
  'a method isModified that throws': () => ({
    sessionId: 'sid',
    isModified() {
      throw new Error('isModified');
    },
  }),
  'a getter id that throws': () =>
    Object.defineProperty({}, 'id', {
      get() {
        throw new Error('id');
      },
    }),
  'a getter cookie that throws': () =>
    Object.defineProperty({}, 'cookie', {
      get() {
        throw new Error('cookie');
      },
    }),
  'a cookie whose expires throws': () => ({
    cookie: Object.defineProperty({}, 'expires', {
      get() {
        throw new Error('expires');
      },
    }),
  }),
};

/** No call may throw, whatever it is given. */
function attempt(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    assert.fail(`the call itself threw: ${error}`);
  }
}

async function program(what: string, config: object): Promise<any> {
  const { code, lines, stderr } = await new Program('surface-program', what, config).end();
  assert.equal(code, 0, stderr);
  assert.equal(stderr, '');
  return JSON.parse(lines[0]!);
}

for (const { name, start } of backends) {
  describe(`callbacks on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    it('update calls its callback once, later, with what was written, with null or with the error alone', async () => {
      const store = backend.store({ prefix: 'update:' });
      await store.set('sid', { visits: 0 });
      const visit = (session: any) => void session.visits++;
      assert.deepStrictEqual(await byCallback((callback) => store.update('sid', visit, callback)), [null, { visits: 1 }]);
      const withOptions = await byCallback((callback) => store.update('sid', visit, { deadlineSeconds: 1 }, callback));
      assert.deepStrictEqual(withOptions, [null, { visits: 2 }]);
      const without = await byCallback((callback) => store.update('sid', visit, undefined, callback));
      assert.deepStrictEqual(without, [null, { visits: 3 }]);
      assert.deepStrictEqual(await byCallback((callback) => store.update('missing', visit, callback)), [null, null]);
      const failure = new Error('mutate');
      const thrown = await byCallback((callback) => store.update('sid', () => Promise.reject(failure), callback));
      assert.deepStrictEqual(thrown, [failure]);
      const [refused, ...nothing] = await byCallback((callback) => store.update('', visit, callback));
      assertFailure(refused, 'ERR_CONFIG');
      assert.deepEqual(nothing, []);
    });

    it('withLock calls its callback once, later, with what the task gave or with the error alone', async () => {
      const store = backend.store({ prefix: 'lock:' });
      assert.deepStrictEqual(await byCallback((callback) => store.withLock('sid', () => 7, callback)), [null, 7]);
      const withOptions = await byCallback((callback) => store.withLock('sid', async () => 8, { waitSeconds: 1 }, callback));
      assert.deepStrictEqual(withOptions, [null, 8]);
      const failure = new Error('task');
      const thrown = await byCallback((callback) =>
        store.withLock(
          'sid',
          () => {
            throw failure;
          },
          callback,
        ),
      );
      assert.deepStrictEqual(thrown, [failure]);
      const [refused, ...nothing] = await byCallback((callback) => store.withLock('', () => 7, callback));
      assertFailure(refused, 'ERR_CONFIG');
      assert.deepEqual(nothing, []);
    });

    it('a save or a touch that sends nothing calls its callback once, with null and nothing else', async () => {
      const store = backend.store({ prefix: 'nothing:' });
      const session = { user: 'ada' };
      await store.set('sid', session);
      for (const method of ['set', 'touch'] as const) {
        assert.deepEqual((await answered((callback) => store[method]('sid', session, callback))).answer, [null, undefined]);
      }
      await store.destroy('sid');
      session.user = 'bob';
      assert.deepEqual((await answered((callback) => store.set('sid', session, callback))).answer, [null, undefined]);
      assert.deepEqual(store.stats().sessions, { written: 1, extended: 0, unchanged: 2, gone: 1, taken: 0, conflicts: 0 });
    });

    it('a callback that is no function is none: the call gives a promise', async () => {
      const store: any = backend.store({ prefix: 'no function:' });
      for (const callback of [undefined, null, 7, 'callback', {}]) {
        assert.equal(await store.set('sid', { user: 'ada' }, callback), undefined);
        assert.deepStrictEqual(await store.get('sid', callback), { user: 'ada' });
      }
    });

    it('a callback that is undefined, as express-session gives destroy: a failure is logged, and is no unhandled rejection', async (t) => {
      const lines: string[] = [];
      const store: any = backend.store({ prefix: 'unlooked:', logger: { warn: (line) => void lines.push(line), debug() {} } });
      await store.close();
      const unhandled: unknown[] = [];
      const listen = (error: unknown) => unhandled.push(error);
      process.on('unhandledRejection', listen);
      t.after(() => process.off('unhandledRejection', listen));
      store.destroy('sid', undefined);
      await new Promise(setImmediate); // Node.js looks for such rejections before
      assert.deepEqual(unhandled, []);
      assert.match(lines.join(), /destroy .*ERR_CLOSED/);
    });

    for (const [kind, make] of Object.entries(hostile)) {
      it(`${kind}, as a session: no method throws, and a failure is the store's own`, async () => {
        const store: any = backend.store({ prefix: 'hostile:' });
        const calls: [string, ...unknown[]][] = [
          ['set', 'sid', make()],
          ['touch', 'sid', make()],
          ['update', make(), () => {}],
          ['update', 'sid', () => make()],
        ];
        await store.set('sid', { user: 'ada' });
        for (const [method, ...args] of calls) {
          const result = attempt(() => store[method](...args));
          assert.ok(result instanceof Promise, method);
          const error = await result.then(
            () => undefined,
            (reason) => reason,
          );
          if (error !== undefined) assert.equal(error.name, 'SessionStoreError', `${method}: ${error.stack}`);
          const { answer } = await answered((callback) => attempt(() => store[method](...args, callback)));
          const [given] = answer;
          if (given) assert.equal(given.name, 'SessionStoreError', `${method}: ${given.stack}`);
        }
      });
    }

    it('wrong arguments of update and withLock are ERR_CONFIG, never thrown by the call', async () => {
      const store: any = backend.store({ prefix: 'wrong:' });
      const run = () => assert.fail('it must not run');
      const wrong: [string, ...unknown[]][] = [
        ['update'],
        ['update', 'sid'],
        ['update', 'sid', 'no function'],
        ['update', 7, run],
        ['update', null, run],
        ['update', [], run],
        ['update', Symbol('sid'), run],
        ['update', '\ud800', run],
        ['update', 'sid', run, { deadlineSeconds: -1 }],
        ['update', 'sid', run, { deadlineSeconds: '5' }],
        ['update', 'sid', run, { unknown: 1 }],
        ['update', 'sid', run, 'options'],
        ['withLock'],
        ['withLock', 'sid'],
        ['withLock', 'sid', {}],
        ['withLock', 7, run],
        ['withLock', revoked, run],
        ['withLock', 'sid', run, { leaseSeconds: 0 }],
        ['withLock', 'sid', run, { waitSeconds: Number.NaN }],
        ['withLock', 'sid', run, { signal: {} }],
        ['withLock', 'sid', run, { unknown: 1 }],
        ['withLock', 'sid', run, 'options'],
      ];
      for (const [method, ...args] of wrong) {
        const promise = attempt(() => store[method](...args)) as Promise<unknown>;
        assert.ok(promise instanceof Promise, method);
        await failing(promise, 'ERR_CONFIG');
      }
      for (const [method, ...args] of wrong.filter((call) => call.length > 2)) {
        const [given, ...nothing] = await byCallback((callback) => attempt(() => store[method](...args, callback)));
        assertFailure(given, 'ERR_CONFIG');
        assert.deepEqual(nothing, []);
      }
    });

    it('methods work when they are taken out of the store', async () => {
      const { set, get, take, touch, record, update, withLock, all, ids, length, ping, destroy, clear, stats, close } =
        backend.store({
          prefix: 'detached:',
        });
      const taken: any = { set, get, take, touch, record, update, withLock, all, ids, length, ping, destroy, clear, close };
      assert.deepEqual(Object.keys(taken).sort(), Object.keys(METHODS).sort());
      const results: Record<string, any> = {};
      for (const [method, args] of Object.entries(METHODS)) {
        const call = taken[method];
        if (method !== 'close') await call(...args); // as a promise, and again with a callback, without a receiver
        const { answer } = await answered((callback) => call(...args, callback));
        const [error, value] = answer;
        assert.equal(error, null, method);
        results[method] = value;
      }
      assert.deepStrictEqual(results.get, { user: 'ada' });
      assert.equal(results.record.sessionId, 'detached:sid');
      assert.deepStrictEqual(results.update, { user: 'bob' });
      assert.equal(results.withLock, 'done');
      assert.deepStrictEqual(results.all, [{ user: 'bob', id: 'sid' }]);
      assert.deepStrictEqual(results.ids, ['sid']);
      assert.equal(results.length, 1);
      assert.equal(results.take, null); // the call with a promise has taken it
      assert.equal(stats().sessions.written > 0, true);
      await failing(get('sid'), 'ERR_CLOSED');
    });

    it('the methods do not show among the properties of a store', () => {
      const store = backend.store();
      assert.ok(!Object.keys(store).some((property) => property in METHODS));
    });

    it('what a subclass overrides is what everybody calls', async (t) => {
      const seen: string[] = [];
      class Observed extends DynamoDBSessionStore {
        override get(sid: string, ...rest: any[]): any {
          seen.push('get');
          return (super.get as any)(sid, ...rest);
        }
        override set(sid: string, session: any, ...rest: any[]): any {
          seen.push('set');
          return (super.set as any)(sid, session, ...rest);
        }
        override destroy = (sid: string, ...rest: any[]): any => {
          seen.push('destroy');
          return (DynamoDBSessionStore.prototype.destroy as any).call(this, sid, ...rest);
        };
        override createSession(request: any, session: any): any {
          seen.push('createSession');
          return super.createSession(request, session);
        }
      }
      for (const { name: framework, serve } of frameworks) {
        const store = new Observed({ logger: quietLogger(), ...backend.config, prefix: `${framework}:` });
        t.after(() => store.close());
        const { get } = store;
        const { origin } = await serve(t, store);
        const browser = new Browser(origin);
        await browser.post('/login/ada');
        assert.deepEqual(seen.splice(0), ['set']);
        await browser.post('/visit');
        const created = framework === 'Fastify' ? [] : ['createSession'];
        assert.deepEqual(seen.splice(0), ['get', ...created, 'set']);
        await browser.post('/regenerate');
        assert.deepEqual(seen.splice(0, 3 + created.length), ['get', ...created, 'destroy', 'set']);
        seen.length = 0;
        assert.equal((await get((await store.ids())[0]!))!.user, 'ada');
        assert.deepEqual(seen.splice(0), ['get']);
      }
    });

    it('a callback that throws surfaces as an uncaughtException, once, and nothing is left unhandled', async (t) => {
      const own = await start(); // the local mode is for one process at a time
      t.after(() => own.stop());
      const { runs, surfaced, unhandled } = await program('throwing callbacks', own.config);
      assert.ok(surfaced.length >= 10);
      assert.deepEqual(runs, Object.fromEntries(surfaced.map((call: string) => [call, 1])));
      assert.deepEqual(unhandled, []);
    });

    it('a callback that throws ERR_HTTP_HEADERS_SENT is one warning that names the trap, and the process lives', async (t) => {
      const own = await start();
      t.after(() => own.stop());
      const { code, lines, stderr } = await new Program('callback-program', 'late responses', own.config).end();
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      const { warnings } = JSON.parse(lines[0]!);
      assert.equal(warnings.length, 1, warnings.join('\n'));
      assert.match(warnings[0], /ERR_HTTP_HEADERS_SENT.*without returning the reply.*docs\/migrating\.md/);
    });

    it('a listener of conflict that throws surfaces as an uncaughtException, and the save is what it would be', async (t) => {
      const own = await start();
      t.after(() => own.stop());
      for (const [onConflict, outcome, note] of [
        ['overwrite', 'saved', 'ours'],
        ['error', 'ERR_CONFLICT', 'theirs'],
        ['drop', 'saved', 'theirs'],
      ]) {
        assert.deepEqual(await program('throwing listener', { ...own.config, onConflict }), {
          outcome,
          message: 'thrown by the listener',
          heard: 1,
          note,
          conflicts: 1,
          unhandled: [],
        });
      }
    });

    it('nonsense of every kind reaches the callback as an error of the store, once, and nothing is left unhandled', async (t) => {
      const own = await start();
      t.after(() => own.stop());
      const { answers, expected, others, unhandled } = await program('nonsense', own.config);
      assert.equal(answers, expected);
      assert.ok(expected > 800);
      assert.deepEqual(others, []);
      assert.deepEqual(unhandled, []);
    });
  });
}

it('a callback that throws ends a process that has no listener, as any exception does', async (t) => {
  const backend = await startLocal();
  t.after(() => backend.stop());
  const { code, lines, stderr } = await new Program('surface-program', 'fatal', backend.config).end();
  assert.equal(code, 1);
  assert.deepEqual(lines, []);
  assert.match(stderr, /Error: thrown by a callback, and caught by nobody\n/);
});
