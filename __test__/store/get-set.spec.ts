import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, quietLogger, startAws } from '../support/backends.ts';
import { byCallback } from '../support/calls.ts';
import { assertFailure, assertNothingOf, failing, shown } from '../support/failures.ts';
import { REFUSING_URL } from '../support/http-server.ts';
import { Program } from '../support/program.ts';

const SOME_DAY = new Date('2099-12-31T23:59:59.999Z');

const sessions: Record<string, any> = {
  'an empty session': {},
  'a session of the gateway': {
    cookie: { originalMaxAge: 604_800_000, expires: SOME_DAY, secure: true, httpOnly: true, path: '/', sameSite: 'lax' },
    user: { id: 7, name: 'Ada', roles: ['admin', 'reader'] },
    tokens: { google: { access_token: 'ya29.a0', refresh_token: '1//0g', expires_at: 1_900_000_000_000 }, slack: null },
  },
  'nested objects and arrays': { a: { b: [{ c: [[], {}, [null, [true, false]]] }] } },
  'a deep session': JSON.parse(`${'{"deeper":'.repeat(500)}{}${'}'.repeat(500)}`),
  Unicode: { ключ: 'значение', 日本: '語', combining: 'e\u0301', rtl: 'שלום', bom: '\ufeff', separators: '\u2028\u2029' },
  'letters of Latin-1 alone': { naïve: 'déjà vu', quoted: '«½ §¿\u0080\u00ff»' },
  emoji: { '😀': '👩‍👩‍👧‍👦 🏳️‍🌈', last: '\u{10ffff}' },
  'NUL and control characters': { text: 'a\u0000b\u0001\u001f\u007f\u0080"\\/', '\u0000': 'as a key' },
  'lone surrogates': { high: '\ud800', low: 'x\udfff', reversed: '\udc00\ud800', '\ud83d': 'as a key' },
  'dates, which become strings': { at: new Date(0), list: [SOME_DAY], cookie: { expires: SOME_DAY } },
  numbers: { list: [0, -0, 1e308, 5e-324, 2 ** 53 - 1, 0.1 + 0.2, Number.NaN, Number.POSITIVE_INFINITY] },
  'what JSON leaves out': {
    undefined: undefined,
    function() {},
    symbol: Symbol('s'),
    list: [undefined, () => {}],
    map: new Map([[1, 2]]),
  },
  'keys that objects inherit': JSON.parse(
    '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}},"toString":1,"hasOwnProperty":2,"then":3,"toJSON":4,"":5}',
  ),
  'keys of records and errors': {
    id: 1,
    sessionId: 'x',
    encryptedData: 'y',
    ttl: 1,
    version: 2,
    retryable: true,
    code: 'ERR_CLOSED',
    json: '{',
  },
  'values with toJSON': {
    url: new URL('https://example.com/a?b=c'),
    bytes: Buffer.from('bytes'),
    own: { toJSON: () => ({ x: [1] }) },
  },
  'a session with toJSON': { hidden: 1, toJSON: () => ({ shown: 2 }) },
  'a session without prototype': Object.assign(Object.create(null), { user: 'Ada' }),
};

const sids: Record<string, string> = {
  Unicode: 'сессия-日本語-e\u0301',
  emoji: '👩‍👩‍👧‍👦',
  'slashes and dots': '../../etc/passwd',
  'the signs of keys and expressions': '#a:b %_*?&=+',
  quotes: `it's "quoted" \\ \``,
  spaces: '  ',
  'control characters': 'a\u0000b\n\r\t\u007f',
  'a name of an inherited property': '__proto__',
};

const unserialisable: Record<string, () => any> = {
  null: () => null,
  undefined: () => undefined,
  'a string': () => 'Plaintext-4711',
  'a number': () => 5,
  'a boolean': () => true,
  'an array': () => [{ user: 'Plaintext-4711' }],
  'a function': () => () => 'Plaintext-4711',
  'a symbol': () => Symbol('s'),
  'a cycle': () => {
    const session: any = { user: 'Plaintext-4711' };
    session.self = { session };
    return session;
  },
  'a BigInt': () => ({ user: 'Plaintext-4711', count: 1n }),
  'toJSON that gives a string': () => ({ user: 'Plaintext-4711', toJSON: () => 'Plaintext-4711' }),
  'toJSON that gives an array': () => ({ toJSON: () => ['Plaintext-4711'] }),
  'toJSON that gives nothing': () => ({ toJSON: () => undefined }),
  'toJSON that throws': () => ({
    user: 'Plaintext-4711',
    toJSON() {
      throw new Error('toJSON failed');
    },
  }),
  'a getter that throws': () => ({
    user: 'Plaintext-4711',
    get broken() {
      throw new Error('the getter failed');
    },
  }),
  'a Date': () => new Date(),
};

const badSids: Record<string, any> = {
  'an empty id': '',
  'a number': 7,
  undefined: undefined,
  null: null,
  'an object': { toString: () => 'sid' },
  'a lone surrogate': 'lone-\ud800-surrogate',
  'an id over 2,048 bytes': 'long-id-'.padEnd(2049, 'x'),
  'an id over 2,048 bytes of few characters': '😀'.repeat(513),
};

/** Every method with arguments it can work with. */
const methods: [method: string, ...args: unknown[]][] = [
  ['set', 'of-each-method', { user: 'Ada' }],
  ['get', 'of-each-method'],
  ['touch', 'of-each-method', { user: 'Ada' }],
  ['record', 'of-each-method'],
  ['all'],
  ['ids'],
  ['length'],
  ['ping'],
  ['destroy', 'of-each-method'],
  ['clear'],
  ['close'],
];

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    if (!ArrayBuffer.isView(value)) Object.freeze(value);
  }
  return value;
}

/**
 * Lets every method call a callback that throws, in another process, and asserts that each ran once and that its exception surfaced.
 * @returns the warnings of the store.
 */
async function throwingCallbacks(config: SessionStoreConfig): Promise<string[]> {
  const { code, lines, stderr } = await new Program('callback-program', 'throwing callbacks', config).end();
  assert.equal(code, 0, stderr);
  const { runs, uncaught, warnings } = JSON.parse(lines[0]);
  const names = methods.map(([method]) => method);
  assert.deepEqual(runs, Object.fromEntries(names.map((method) => [method, 1])));
  assert.deepEqual(
    uncaught,
    names.map((method) => `thrown by the callback of ${method}`),
  );
  return warnings;
}

for (const { name, start } of backends) {
  describe(`sessions on ${name}`, () => {
    let backend: Backend;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());

    for (const [kind, session] of Object.entries(sessions)) {
      it(`${kind} comes back as its JSON says`, async () => {
        const store = backend.store();
        await store.set(kind, session);
        const expected = JSON.parse(JSON.stringify(session));
        // The store that wrote it, and one that has nothing in memory.
        for (const reader of [store, backend.store()]) {
          const got = await reader.get(kind);
          assert.deepStrictEqual(got, expected);
          assert.equal(JSON.stringify(got), JSON.stringify(session));
        }
        assert.equal(({} as any).admin, undefined);
      });
    }

    it('a session of 300,000 bytes comes back', async () => {
      const store = backend.store();
      const session = { text: 'é😀x'.repeat(50_000).slice(0, 150_000), more: 'y'.repeat(20_000) };
      assert.ok(Buffer.byteLength(JSON.stringify(session)) > 250_000);
      const filler = 300_000 - Buffer.byteLength(JSON.stringify(session));
      session.more += 'y'.repeat(filler);
      assert.equal(Buffer.byteLength(JSON.stringify(session)), 300_000);
      await store.set('large', session);
      assert.deepStrictEqual(await backend.store().get('large'), session);
    });

    it('a missing session is null', async () => {
      const store = backend.store();
      assert.equal(await store.get('missing'), null);
      assert.equal(await store.record('missing'), null);
      assert.deepEqual(await byCallback((callback) => store.get('missing', callback)), [null, null]);
    });

    it('a destroyed session is gone, and may be destroyed again', async () => {
      const store = backend.store();
      await store.set('destroyed', { user: 'Ada' });
      await store.set('kept', { user: 'Bob' });
      await store.destroy('destroyed');
      assert.equal(await store.get('destroyed'), null);
      assert.equal(await store.record('destroyed'), null);
      assert.equal(await store.destroy('destroyed'), undefined);
      assert.deepStrictEqual(await store.get('kept'), { user: 'Bob' });
    });

    it('two gets give independent objects', async () => {
      const store = backend.store();
      await store.set('twice', { user: { name: 'Ada' } });
      const [first, second] = [await store.get('twice'), await store.get('twice')];
      assert.notStrictEqual(first, second);
      first!.user.name = 'changed';
      first!.added = true;
      assert.deepStrictEqual(second, { user: { name: 'Ada' } });
      assert.deepStrictEqual(await store.get('twice'), { user: { name: 'Ada' } });
    });

    it('a save replaces what was there', async () => {
      const store = backend.store();
      await store.set('replaced', { user: 'Ada', only: 'here' });
      await backend.store().set('replaced', { user: 'Bob' });
      assert.deepStrictEqual(await store.get('replaced'), { user: 'Bob' });
    });

    it("the caller's session is never changed", async () => {
      const store = backend.store({ ttlSeconds: (session) => (session.user.name === 'Ada' ? 60 : 0) });
      const make = () => ({ cookie: { expires: SOME_DAY, path: '/' }, user: { name: 'Ada', list: [{}, undefined] } });
      const session = deepFreeze(make());
      await store.set('frozen', session);
      await store.touch('frozen', session);
      await store.get('frozen');
      assert.deepStrictEqual(session, make());
      assert.deepStrictEqual(Reflect.ownKeys(session), ['cookie', 'user']);
    });

    it('what the caller changes after calling set does not get in', async () => {
      const store = backend.store();
      const session: any = { user: { name: 'Ada' }, cookie: { expires: new Date(Date.now() + 60_000) } };
      const expected = JSON.parse(JSON.stringify(session));
      const saved = store.set('changed later', session);
      session.user.name = 'Mallory';
      session.added = true;
      session.cookie.expires.setTime(0);
      await saved;
      assert.deepStrictEqual(await store.get('changed later'), expected);
    });

    for (const [kind, sid] of Object.entries(sids)) {
      it(`a session id may hold ${kind}`, async () => {
        const store = backend.store({ prefix: 'ids:' });
        await store.set(sid, { sid });
        assert.deepStrictEqual(await store.get(sid), { sid });
        assert.equal((await store.record(sid))!.sessionId, `ids:${sid}`);
        assert.deepEqual(await store.ids(), [sid]);
        await store.touch(sid, {});
        await store.destroy(sid);
        assert.equal(await store.get(sid), null);
      });
    }

    it('a session id may have 2,048 bytes with the prefix, and not one more', async () => {
      const store = backend.store({ prefix: 'préfixe:' }); // 9 bytes
      const sid = `${'é'.repeat(1019)}x`; // 2,039 bytes
      await store.set(sid, { user: 'Ada' });
      assert.deepStrictEqual(await store.get(sid), { user: 'Ada' });
      assert.deepEqual(await store.ids(), [sid]);
      await failing(store.set(`${sid}x`, { user: 'Ada' }), 'ERR_CONFIG', [sid.slice(0, 100)]);
    });

    it('a session over the size of an item is refused with both sizes, and the one before stays', async () => {
      const store = backend.store();
      const sid = 'session-that-grows';
      const before = { user: 'Ada', filler: 'x'.repeat(306_000) };
      await store.set(sid, before);
      const after = { user: 'Ada', filler: 'Plaintext-4711'.padEnd(307_200, 'x') };
      const error = await failing(store.set(sid, after), 'ERR_SESSION_TOO_LARGE', ['Plaintext-4711', sid]);
      const sizes = error.detail.match(/\d[\d,]*/g)!.map((size) => Number(size.replaceAll(',', '')));
      assert.ok(sizes.includes(409_600), error.detail);
      assert.ok(
        sizes.some((size) => size > 409_600 && size < 411_000),
        error.detail,
      );
      assert.deepStrictEqual(await store.get(sid), before);
      const [given] = await byCallback((callback) => store.set('new', { filler: 'x'.repeat(400_000) }, callback));
      assertFailure(given, 'ERR_SESSION_TOO_LARGE');
      assert.equal(await store.get('new'), null);
    });

    for (const recordVersion of [1, 2] as const) {
      it(`a session is judged by the wrapped key that it gets, from the first save of a store on: version ${recordVersion}`, async () => {
        const version = { recordVersion, acceptVersions: [1, 2] as (1 | 2)[] };
        await backend.store(version).set('probe', { filler: '' });
        const { encryptedKey } = (await backend.store(version).record('probe'))!;
        const wrapped = Buffer.from(encryptedKey, 'base64').length;
        const sizes = (detail: string) => detail.match(/\d[\d,]*/g)!.map((size) => Number(size.replaceAll(',', '')));
        // By a store that knows how long wrapped keys are, the largest session that fits.
        const knowing = backend.store(version);
        await knowing.set('probe', { filler: 'x' });
        const [needed] = sizes(
          (await failing(knowing.set('sid', { filler: 'x'.repeat(500_000) }), 'ERR_SESSION_TOO_LARGE')).detail,
        );
        const over = Math.ceil(((needed! - 409_600) * (recordVersion === 1 ? 3 : 4)) / 4);
        let most = 500_000 - over + 4;
        while (
          sizes(
            (
              await failing(knowing.set('sid', { filler: 'x'.repeat(most) }), 'ERR_SESSION_TOO_LARGE').catch(() => ({
                detail: '',
              }))
            ).detail || '0',
          )[0]! > 409_600
        )
          most--;
        for (const own of [backend.store(version), backend.store(version)]) {
          await own.set('sid', { filler: 'x'.repeat(most) });
          const record = (await own.record('sid'))!;
          assert.equal(Buffer.from(record.encryptedKey, 'base64').length, wrapped);
          assert.deepStrictEqual(await own.get('sid'), { filler: 'x'.repeat(most) });
        }
        // One that is a little larger costs a store a data key once, and is not written.
        const own = backend.store(version);
        for (let times = 0; times < 3; times++) {
          const error = await failing(own.set('larger', { filler: 'x'.repeat(most + 4) }), 'ERR_SESSION_TOO_LARGE');
          const [size, limit] = sizes(error.detail);
          assert.ok(size! > limit! && size! < limit! + 12, error.detail);
        }
        assert.equal(own.stats().keyCache.loads, 1);
        assert.equal(await own.record('larger'), null);
      });
    }

    for (const [kind, make] of Object.entries(unserialisable)) {
      it(`${kind} as a session is ERR_SERIALIZATION, and nothing is written`, async () => {
        const logger = quietLogger();
        const store = backend.store({ logger });
        const sid = `unserialisable-${kind}`;
        await store.set(sid, { before: true });
        const secrets = ['Plaintext-4711', sid];
        await failing(store.set(sid, make()), 'ERR_SERIALIZATION', secrets);
        const [given, ...nothing] = await byCallback((callback) => store.set(sid, make(), callback));
        assert.deepEqual(nothing, []);
        assertFailure(given, 'ERR_SERIALIZATION', secrets);
        assertNothingOf(secrets, logger.lines.join());
        assert.deepStrictEqual(await store.get(sid), { before: true });
      });
    }

    for (const [kind, sid] of Object.entries(badSids)) {
      it(`${kind} as a session id is ERR_CONFIG`, async () => {
        const logger = quietLogger();
        const store: any = backend.store({ logger });
        const secrets = typeof sid === 'string' && sid ? [sid.slice(0, 8)] : [];
        for (const [method, ...args] of [['get'], ['set', {}], ['touch', {}], ['destroy'], ['record']] as [string, ...any[]][]) {
          const rejected = await failing(store[method](sid, ...args), 'ERR_CONFIG', secrets);
          const [given, ...nothing] = await byCallback((callback) => store[method](sid, ...args, callback));
          assert.deepEqual(nothing, []);
          assertFailure(given, 'ERR_CONFIG', secrets);
          for (const { detail } of [rejected, given]) assert.match(detail, /\bid must/);
        }
        assertNothingOf(secrets, logger.lines.join());
        assert.ok(!(await backend.store().ids()).includes(sid));
      });
    }

    it('every method calls a callback once, later, and returns nothing', async () => {
      const store: any = backend.store({ prefix: 'callbacks:' });
      const results: Record<string, unknown[]> = {};
      for (const [method, ...args] of methods) {
        const [error, ...values] = await byCallback((callback) => store[method](...args, callback));
        assert.equal(error, null, method);
        results[method] = values;
      }
      assert.deepStrictEqual(results.get, [{ user: 'Ada' }]);
      assert.equal((results.record as any)[0].sessionId, 'callbacks:of-each-method');
      assert.deepStrictEqual(results.all, [[{ user: 'Ada', id: 'of-each-method' }]]);
      assert.deepStrictEqual(results.ids, [['of-each-method']]);
      assert.deepStrictEqual(results.length, [1]);
      for (const method of ['set', 'touch', 'destroy', 'clear', 'ping', 'close']) {
        assert.equal(results[method].at(0), undefined, method);
      }
    });

    it('every method gives a promise if there is no callback', async () => {
      const store: any = backend.store({ prefix: 'promises:' });
      const results: Record<string, any> = {};
      for (const [method, ...args] of methods) {
        const promise = store[method](...args);
        assert.ok(promise instanceof Promise, method);
        results[method] = await promise;
      }
      assert.deepStrictEqual(results.get, { user: 'Ada' });
      assert.equal(results.record.sessionId, 'promises:of-each-method');
      assert.deepStrictEqual(results.all, [{ user: 'Ada', id: 'of-each-method' }]);
      assert.deepStrictEqual(results.ids, ['of-each-method']);
      assert.equal(results.length, 1);
      for (const method of ['set', 'touch', 'destroy', 'clear', 'ping', 'close'])
        assert.equal(results[method], undefined, method);
    });

    it('a failing call gives its callback the error alone, once', async () => {
      const store: any = backend.store();
      await store.close();
      for (const [method, ...args] of methods.slice(0, -1)) {
        const got = await byCallback((callback) => store[method](...args, callback));
        assert.equal(got.length, 1, method);
        assertFailure(got[0], 'ERR_CLOSED');
      }
    });

    it('a callback that throws is an uncaughtException and is not called again', async (t) => {
      const own = await start(); // the local mode is for one process at a time
      t.after(() => own.stop());
      assert.deepEqual(await throwingCallbacks(own.config), []);
    });

    it('a reader of the table sees no plaintext', async () => {
      const store = backend.store();
      const secret = 'Plaintext-4711-that-nobody-may-see';
      await store.set('sealed', { tokens: { google: secret }, [secret]: 1 });
      const record = await store.record('sealed');
      assert.deepEqual(Object.keys(record!).sort(), [
        'authTag',
        'encryptedData',
        'encryptedKey',
        'iv',
        'sessionId',
        'ttl',
        'version',
      ]);
      assert.equal(record!.sessionId, 'sealed');
      assert.equal(record!.version, 1);
      const { encryptedData, encryptedKey, iv, authTag } = record!;
      for (const text of [encryptedData, encryptedKey, iv, authTag]) {
        const bytes = Buffer.from(text, 'base64');
        assert.equal(bytes.toString('base64'), text, 'not canonical base64');
        assert.ok(!bytes.includes('Plaintext') && !bytes.includes('tokens') && !text.includes('Plaintext'));
      }
      assert.equal(Buffer.from(iv, 'base64').length, 12);
      assert.equal(Buffer.from(authTag, 'base64').length, 16);
      assert.equal(
        Buffer.from(encryptedData, 'base64').length,
        JSON.stringify({ tokens: { google: secret }, [secret]: 1 }).length,
      );
      assertNothingOf([secret], shown(store));
    });
  });
}

describe('sessions on the wire', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  it('what is sent to DynamoDB is the record alone, sealed', async () => {
    const secret = 'Plaintext-4711-that-nobody-may-see';
    const store = backend.store();
    await backend.aws.reset();
    await store.set('sealed', { tokens: { google: secret } });
    const [put] = (await backend.aws.requests()).filter(({ action }) => action === 'dynamodb:PutItem');
    const { encryptedData, encryptedKey, iv, authTag, ttl } = (await store.record('sealed'))!;
    assert.deepEqual(put.body, {
      TableName: 'sessions',
      Item: {
        sessionId: { S: 'sealed' },
        encryptedData: { S: encryptedData },
        encryptedKey: { S: encryptedKey },
        iv: { S: iv },
        authTag: { S: authTag },
        ttl: { N: String(ttl) },
        version: { N: '1' },
      },
    });
    assertNothingOf(
      [secret, 'tokens', Buffer.from(secret).toString('base64').slice(4, -4)],
      JSON.stringify(await backend.aws.requests()),
    );
    assert.ok(!Buffer.from(encryptedData, 'base64').includes('Plaintext'));
  });

  it('what cannot be saved costs no call', async () => {
    const store: any = backend.store();
    await backend.aws.reset();
    await failing(store.set('too large', { filler: 'x'.repeat(307_200) }), 'ERR_SESSION_TOO_LARGE');
    for (const make of Object.values(unserialisable)) await failing(store.set('sid', make()), 'ERR_SERIALIZATION');
    for (const sid of Object.values(badSids)) {
      for (const method of ['get', 'destroy', 'record']) await failing(store[method](sid), 'ERR_CONFIG');
      for (const method of ['set', 'touch']) await failing(store[method](sid, {}), 'ERR_CONFIG');
    }
    assert.deepEqual(await backend.aws.calls(), {});
    await store.set('sid', {}); // the count does count
    assert.deepEqual(await backend.aws.calls(), { 'kms:GenerateDataKey': 1, 'dynamodb:PutItem': 1 });
  });
});

describe('sessions in the file of the local mode', () => {
  it('what lies in the folder is sealed', async (t) => {
    const backend = await backends[0].start();
    t.after(() => backend.stop());
    const secret = 'Plaintext-4711-that-nobody-may-see';
    const store = backend.store();
    await store.set('session-id-of-the-file', { tokens: { google: secret } });
    await store.close();
    const file = await readFile(join(backend.config.local!.path, 'sessions.redb'));
    assert.ok(file.includes('session-id-of-the-file')); // it is the file with the record
    assert.ok(!file.includes(secret) && !file.includes('Plaintext') && !file.includes('tokens'));
    const key = await readFile(join(backend.config.local!.path, 'key'));
    assert.ok(!file.includes(key) && !file.includes(key.toString('base64')));
  });
});

describe('calls that nobody looks after', () => {
  it('a callback that throws about a failure is an uncaughtException and is not called again', async () => {
    const warnings = await throwingCallbacks({ local: { path: '/dev/null/sessions' } });
    assert.equal(warnings.length, methods.length - 1); // close cannot fail
  });

  // express-session calls destroy(sid, undefined) when req.session.destroy() gets no callback.
  const outages: Record<string, () => Promise<object>> = {
    'an endpoint that is down': async () => ({ endpoint: REFUSING_URL }),
    'a folder that cannot be made': async () => ({ local: { path: '/dev/null/sessions' } }),
  };
  for (const [kind, config] of Object.entries(outages)) {
    it(`set, touch and destroy with ${kind}, whose promise nobody looks at, are logged and do not end the process`, async () => {
      const { code, lines, stderr } = await new Program('callback-program', 'promises left alone', await config()).end();
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      const { warnings } = JSON.parse(lines[0]);
      assert.equal(warnings.length, 3);
      assert.ok(warnings.some((line: string) => line.includes('destroy')));
    });
  }
});
