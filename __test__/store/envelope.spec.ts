// createEnvelope: texts and bytes sealed without a table, for a context, under data keys that are used again.

import assert from 'node:assert/strict';
import { createDecipheriv, hkdfSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { runInNewContext } from 'node:vm';
import { createEnvelope, type Envelope, type EnvelopeConfig, type SealedEnvelope } from 'connect-dynamodb-kms';
import { quietLogger, startAws } from '../support/backends.ts';
import { startBlackHole } from '../support/bad-servers.ts';
import { assertNothingOf, failing } from '../support/failures.ts';
import { turnKeys } from '../support/key-clock.ts';
import { PlainStore } from '../support/plain-store.ts';
import { inProcess, valuesInProcess } from '../support/store-process.ts';

const TEXT = 'a refresh token: ya29.a0 ünï 🙂 \u0000';
const BYTES = Uint8Array.of(0, 1, 2, 254, 255);
const CONTEXT = { user: 'ada@example.org', purpose: 'google' };
const STRINGS = ['encryptedData', 'encryptedKey', 'iv', 'authTag', 'salt', 'commit'] as const;

/** For processes of their own. */
const KEY = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local' };

interface Scene {
  config: EnvelopeConfig;
  /** Requests to KMS since the last call of this; none in local mode. */
  calls(): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

async function onAws(): Promise<Scene> {
  const { aws, config, stop } = await startAws();
  const calls = async () => {
    const counted = await aws.calls();
    await aws.reset();
    return counted;
  };
  return { config: { kmsEndpoint: config.kmsEndpoint }, calls, stop };
}

async function onDisk(): Promise<Scene> {
  const path = await mkdtemp(join(tmpdir(), 'envelope-'));
  return { config: { local: { path } }, calls: async () => ({}), stop: () => rm(path, { recursive: true }) };
}

for (const { name, start, isAws } of [
  { name: 'local mode', start: onDisk, isAws: false },
  { name: 'AWS servers', start: onAws, isAws: true },
]) {
  describe(`an envelope, on ${name}`, { timeout: 300_000 }, () => {
    let scene: Scene;
    let made: Envelope[] = [];
    before(async () => {
      scene = await start();
    });
    afterEach(async () => {
      await Promise.all(made.map((envelope) => envelope.close()));
      made = [];
      await scene.calls();
    });
    after(() => scene.stop());

    function open(options: EnvelopeConfig = {}): Envelope {
      const envelope = createEnvelope({ logger: quietLogger(), ...scene.config, ...options });
      made.push(envelope);
      return envelope;
    }

    /** Fails unless KMS got these requests since the last such question; local mode asks nobody. */
    async function assertCalls(generate: number, decrypt: number): Promise<void> {
      const counted = await scene.calls();
      if (!isAws) return;
      assert.deepEqual([counted['kms:GenerateDataKey'] ?? 0, counted['kms:Decrypt'] ?? 0], [generate, decrypt]);
    }

    it('gives back texts and bytes, each as what it was', async () => {
      const envelope = open();
      for (const text of ['', 'a', TEXT, 'é'.repeat(300_000)]) {
        const sealed = await envelope.encrypt(text);
        assert.equal(sealed.type, 'text');
        assert.equal(await envelope.decrypt(sealed), text);
        assert.equal(await open().decrypt(JSON.parse(JSON.stringify(sealed))), text, 'in another process');
      }
      for (const bytes of [new Uint8Array(), BYTES, Buffer.from(BYTES), new Uint8Array(500_000).fill(7)]) {
        const sealed = await envelope.encrypt(bytes);
        assert.equal(sealed.type, 'bytes');
        const opened = await envelope.decrypt(sealed);
        assert.deepStrictEqual(opened, new Uint8Array(bytes));
        assert.deepStrictEqual(await open().decrypt({ ...sealed, id: 'stored beside it' } as SealedEnvelope), opened);
      }
    });

    it('has base64 strings alone, of known lengths, and nothing of what was sealed', async () => {
      const sealed = await open().encrypt(TEXT, { context: CONTEXT });
      assert.deepEqual(Object.keys(sealed).toSorted(), [...STRINGS, 'type'].toSorted());
      const lengths = (['iv', 'authTag', 'salt', 'commit'] as const).map((part) => Buffer.from(sealed[part], 'base64').length);
      assert.deepEqual(lengths, [12, 16, 16, 32]);
      for (const part of STRINGS) assert.equal(Buffer.from(sealed[part], 'base64').toString('base64'), sealed[part], part);
      assertNothingOf(['refresh', 'ada@example.org', 'google'], JSON.stringify(sealed));
    });

    it('seals the bytes as they were when it was called', async () => {
      const envelope = open();
      const bytes = Uint8Array.from(BYTES);
      const sealing = envelope.encrypt(bytes);
      bytes.fill(0);
      assert.deepStrictEqual(await envelope.decrypt(await sealing), BYTES);
    });

    it('opens for the same context, in whatever order, and for no other', async () => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT, { context: CONTEXT });
      assert.equal(await envelope.decrypt(sealed, { context: { purpose: 'google', user: 'ada@example.org' } }), TEXT);
      const others: Array<Record<string, string> | undefined> = [
        undefined,
        {},
        { user: 'ada@example.org' },
        { ...CONTEXT, user: 'eve' },
        { ...CONTEXT, more: '' },
        { user: 'google', purpose: 'ada@example.org' },
        { 'userada@example.org': '', purpose: 'google' },
        { User: 'ada@example.org', purpose: 'google' },
      ];
      for (const context of others) {
        await failing(envelope.decrypt(sealed, { context }), 'ERR_INTEGRITY', [TEXT]);
      }
      const without = await envelope.encrypt(TEXT);
      assert.equal(await envelope.decrypt(without, { context: {} }), TEXT, 'no context is an empty one');
      await failing(envelope.decrypt(without, { context: CONTEXT }), 'ERR_INTEGRITY');
    });

    it('does not open after any change, nor with parts of two results', async () => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT, { context: CONTEXT });
      const another = await open().encrypt(TEXT, { context: CONTEXT });
      const bytes = await envelope.encrypt(BYTES, { context: CONTEXT });
      const refused = async (changed: object) => {
        for (const reader of [envelope, open()]) {
          await failing(reader.decrypt(changed as SealedEnvelope, { context: CONTEXT }), 'ERR_INTEGRITY', [TEXT]);
        }
      };
      for (const part of STRINGS) {
        const raw = Buffer.from(sealed[part], 'base64');
        for (const at of [0, raw.length - 1]) {
          const flipped = Buffer.from(raw);
          flipped[at]! ^= 1;
          await refused({ ...sealed, [part]: flipped.toString('base64') });
        }
        for (const value of [
          '',
          'no base64!',
          `${sealed[part]}\n`,
          raw.subarray(1).toString('base64'),
          undefined,
          null,
          7,
          raw,
        ]) {
          await refused({ ...sealed, [part]: value });
        }
        await refused({ ...sealed, [part]: another[part] });
        if (part !== 'encryptedKey' && part !== 'salt' && part !== 'commit') await refused({ ...sealed, [part]: bytes[part] });
      }
      await refused({ ...sealed, type: 'bytes' });
      await refused({ ...bytes, type: 'text' });
      for (const type of ['json', '', undefined, 1]) await refused({ ...sealed, type });
      for (const value of [undefined, null, 'text', 7, [], {}]) await refused(value as any);
      assert.equal(await envelope.decrypt(sealed, { context: CONTEXT }), TEXT, 'the unchanged one still opens');
    });

    it('says of a format that it does not know that a later release has sealed it', async () => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT);
      const later = { ...sealed, type: 'text 2', version: 2 };
      const error = await failing(envelope.decrypt(later as any), 'ERR_VERSION');
      assert.match(error.detail, /later release/);
      await failing(envelope.decrypt({ ...later, version: undefined } as any), 'ERR_INTEGRITY');
    });

    it('ignores the version of the row that it is stored in', async () => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT);
      for (const version of [1, 2, 'v7', null]) {
        assert.equal(await envelope.decrypt({ ...sealed, version } as SealedEnvelope), TEXT, `version ${version}`);
        await failing(envelope.decrypt({ ...sealed, version, iv: sealed.salt } as SealedEnvelope), 'ERR_INTEGRITY');
      }
    });

    it('refuses a sealed envelope, options and a context that cannot be read, with the cause', async () => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT);
      const cause = new Error('cannot be read');
      const throwing = (name: string, rest: object): any =>
        Object.defineProperty({ ...rest }, name, {
          enumerable: true,
          get() {
            throw cause;
          },
        });
      const proxy: any = new Proxy(
        {},
        {
          ownKeys() {
            throw cause;
          },
        },
      );
      const calls = [
        ...['type', 'iv'].map((name) => envelope.decrypt(throwing(name, sealed))),
        envelope.decrypt(sealed, throwing('context', {})),
        envelope.encrypt(TEXT, throwing('context', {})),
        envelope.encrypt(TEXT, { context: proxy }),
      ];
      for (const call of calls) assert.equal((await failing(call, 'ERR_CONFIG')).cause, cause);
    });

    it('refuses bytes that have been transferred, rather than to seal none', async () => {
      const envelope = open();
      const moved = Uint8Array.from(BYTES);
      structuredClone(moved.buffer, { transfer: [moved.buffer] });
      const buffer = new ArrayBuffer(8, { maxByteLength: 8 });
      const outside = new Uint8Array(buffer, 4, 4);
      buffer.resize(2);
      for (const bytes of [moved, outside]) await failing(envelope.encrypt(bytes), 'ERR_SERIALIZATION');
    });

    it('is of its configured encryption context', async () => {
      const options = { encryptionContext: { app: 'gateway' } };
      const sealed = await open(options).encrypt(TEXT);
      assert.equal(await open(options).decrypt(sealed), TEXT);
      await failing(open().decrypt(sealed), 'ERR_INTEGRITY');
      await failing(open({ encryptionContext: { app: 'other' } }).decrypt(sealed), 'ERR_INTEGRITY');
    });

    it('uses one data key for what it seals, and asks for none of what it has at hand', async () => {
      const envelope = open();
      const sealed = await Promise.all(Array.from({ length: 50 }, (_, index) => envelope.encrypt(`text ${index}`)));
      await assertCalls(1, 0);
      assert.equal(new Set(sealed.map((one) => one.encryptedKey)).size, 1);
      assert.equal(new Set(sealed.map((one) => one.iv)).size, 50, 'an IV each');
      const opened = await Promise.all(sealed.map((one) => envelope.decrypt(one)));
      assert.deepEqual(
        opened,
        sealed.map((_, index) => `text ${index}`),
      );
      await assertCalls(0, 0);
      const other = open();
      await Promise.all(sealed.map((one) => other.decrypt(one)));
      await assertCalls(0, 1);
      const { keyCache, callsInFlight } = other.stats();
      assert.deepEqual([keyCache.entries, keyCache.loads, keyCache.hits + keyCache.misses, callsInFlight], [1, 1, 50, 0]);
    });

    it('never seals under a data key that somebody else has made', async () => {
      const foreign = await open().encrypt(TEXT);
      const envelope = open();
      await envelope.decrypt(foreign);
      assert.notEqual((await envelope.encrypt(TEXT)).encryptedKey, foreign.encryptedKey);
    });

    it('takes a new data key when the limits of seals, bytes or age are reached, and still opens what is older', async () => {
      for (const [limits, between] of [
        [{ maxSealsPerKey: 2 }, () => {}],
        [{ maxBytesPerKey: 20 }, () => {}],
        [{ maxAgeSeconds: 60 }, () => turnKeys(31)],
      ] as const) {
        const envelope = open({ keyCache: limits });
        const sealed: SealedEnvelope[] = [];
        for (let count = 0; count < 4; count++) {
          sealed.push(await envelope.encrypt('ten bytes.'));
          between();
        }
        const keys = sealed.map((one) => one.encryptedKey);
        assert.deepEqual([keys[0], keys[2]], [keys[1], keys[3]], JSON.stringify(limits));
        assert.notEqual(keys[1], keys[2], JSON.stringify(limits));
        for (const one of sealed) assert.equal(await envelope.decrypt(one), 'ten bytes.');
      }
    });

    it('takes a data key for each with keyCache false', async () => {
      const envelope = open({ keyCache: false });
      const sealed = [await envelope.encrypt('a'), await envelope.encrypt('b')];
      assert.notEqual(sealed[0]!.encryptedKey, sealed[1]!.encryptedKey);
      assert.deepEqual(await Promise.all(sealed.map((one) => envelope.decrypt(one))), ['a', 'b']);
      await assertCalls(2, 2);
    });

    it('ends: calls in flight are served, later ones refused, and closing again is a success', async () => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT);
      const [again, opened] = [envelope.encrypt('another'), envelope.decrypt(sealed)];
      const closing = envelope.close();
      await failing(envelope.encrypt(TEXT), 'ERR_CLOSED');
      await failing(envelope.decrypt(sealed), 'ERR_CLOSED');
      assert.equal((await again).type, 'text');
      assert.equal(await opened, TEXT);
      await closing;
      await envelope.close();
      const { keyCache, errors } = envelope.stats();
      assert.deepEqual([keyCache.entries, errors], [0, { ERR_CLOSED: 2 }]);
    });

    it('refuses a context that it would not bind as a whole, of whatever call', async () => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT, { context: CONTEXT });
      class Context {
        get user() {
          return 'ada@example.org';
        }
      }
      const contexts: object[] = [
        new Context(),
        Object.assign(new Context(), { purpose: 'google' }),
        Object.create(CONTEXT),
        Object.create(Object.create(null, { user: { value: 'ada', enumerable: true } })),
        { ...CONTEXT, [Symbol('user')]: 'ada' },
        Object.defineProperty({ ...CONTEXT }, 'tenant', { value: 'one', enumerable: false }),
        {
          get user() {
            return 'ada@example.org';
          },
        },
      ];
      for (const context of contexts) {
        for (const call of [
          envelope.encrypt(TEXT, { context: context as any }),
          envelope.decrypt(sealed, { context: context as any }),
        ])
          await failing(call, 'ERR_CONFIG', ['ada@example.org']);
      }
      const foreign = runInNewContext(`(${JSON.stringify(CONTEXT)})`);
      for (const context of [foreign, Object.assign(Object.create(null), CONTEXT)])
        assert.equal(await envelope.decrypt(sealed, { context }), TEXT, 'another realm, or no prototype');
    });

    it('binds the own properties of the context alone, each read once', async (t) => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT, { context: CONTEXT });
      t.after(() => Reflect.deleteProperty(Object.prototype, 'tenant'));
      Reflect.set(Object.prototype, 'tenant', 'polluted');
      const polluted = await envelope.encrypt(TEXT, { context: CONTEXT });
      assert.equal(await envelope.decrypt(sealed, { context: CONTEXT }), TEXT);
      Reflect.deleteProperty(Object.prototype, 'tenant');
      assert.equal(await envelope.decrypt(polluted, { context: CONTEXT }), TEXT);
      t.after(() => Reflect.deleteProperty(Object.prototype, 'context'));
      Reflect.set(Object.prototype, 'context', { user: 'eve' });
      const without = await envelope.encrypt(TEXT, {});
      Reflect.deleteProperty(Object.prototype, 'context');
      assert.equal(await envelope.decrypt(without), TEXT);
      let reads = 0;
      const changing = new Proxy({ user: 'ada' } as any, {
        getOwnPropertyDescriptor: (target, name) => {
          const value = reads++ === 0 ? target[name] : 7;
          return { value, enumerable: true, configurable: true };
        },
        get: () => 7,
      });
      const once = await envelope.encrypt(TEXT, { context: changing });
      assert.equal(await envelope.decrypt(once, { context: { user: 'ada' } }), TEXT);
    });

    it('refuses options and configurations that are no plain objects', async () => {
      const envelope = open();
      const sealed = await envelope.encrypt(TEXT);
      class Options {
        get context() {
          return CONTEXT;
        }
      }
      for (const options of [new Options(), Object.create({ context: CONTEXT }), [], new Map(), null, () => {}]) {
        await failing(envelope.encrypt(TEXT, options as any), 'ERR_CONFIG');
        await failing(envelope.decrypt(sealed, options as any), 'ERR_CONFIG');
      }
      class Config {
        get keyCache() {
          return 'no';
        }
      }
      for (const config of [new Config(), Object.create(scene.config), [], new Map(), null])
        assert.throws(() => createEnvelope(config as any), { code: 'ERR_CONFIG' });
    });

    it('refuses what is no text and no bytes, and contexts that are none, without a call', async () => {
      const logger = quietLogger();
      const { encrypt, decrypt } = open({ logger }); // taken out of the envelope
      for (const data of [undefined, null, 7, {}, [1, 2], '\ud800', new Uint16Array(2), new ArrayBuffer(2), new String('text')]) {
        await failing(encrypt(data as any), 'ERR_SERIALIZATION');
      }
      const sealed = await encrypt(TEXT);
      for (const context of [null, 'user', 7, ['ada@example.org'], { user: 7 }, { user: '\ud800' }, { user: null }, new Map()]) {
        for (const call of [encrypt(TEXT, { context: context as any }), decrypt(sealed, { context: context as any })]) {
          await failing(call, 'ERR_CONFIG');
        }
      }
      await failing(encrypt(TEXT, { contxt: {} } as any), 'ERR_CONFIG');
      await failing(encrypt(TEXT, 'user' as any), 'ERR_CONFIG');
      assertNothingOf([TEXT, 'ada@example.org'], logger.lines.join('\n'));
      assert.ok(logger.lines.some((line) => line.startsWith('warn connect-dynamodb-kms: encrypt failed: ERR_SERIALIZATION')));
      assert.ok(logger.lines.length < 6, 'a line a minute for each kind');
    });
  });
}

describe('an envelope on AWS', { timeout: 300_000 }, () => {
  it('is bound to its purpose at KMS, which learns nothing of the context of a call', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const options = { kmsEndpoint: backend.config.kmsEndpoint, encryptionContext: { app: 'gateway' } };
    const envelope = createEnvelope({ ...options, logger: quietLogger() });
    const sealed = await envelope.encrypt(TEXT, { context: CONTEXT });
    await createEnvelope({ ...options, logger: quietLogger() }).decrypt(sealed, { context: CONTEXT });
    const requests = await backend.aws.requests();
    assert.deepEqual(
      requests.map(({ action, body }) => [action, body.EncryptionContext]),
      ['kms:GenerateDataKey', 'kms:Decrypt'].map((action) => [action, { app: 'gateway', purpose: 'envelope' }]),
    );
    assertNothingOf(['ada@example.org', 'google'], JSON.stringify(requests));
    assert.deepEqual(envelope.stats().requests, { kms: { sent: 1, retries: 0 } });
  });

  it('is what the documentation says: another implementation opens it', async (t) => {
    const backend = await startAws();
    const plain = new PlainStore(backend.aws);
    t.after(() => {
      plain.close();
      return backend.stop();
    });
    const envelope = createEnvelope({ kmsEndpoint: backend.config.kmsEndpoint, logger: quietLogger() });
    const sealed = await envelope.encrypt(TEXT, { context: CONTEXT });
    const dataKey = await plain.dataKey(sealed.encryptedKey, { purpose: 'envelope' });
    const derived = (label: string) =>
      Buffer.from(
        hkdfSync('sha256', dataKey, Buffer.from(sealed.salt, 'base64'), `connect-dynamodb-kms envelope v1 ${label}`, 32),
      );
    assert.equal(derived('key commitment').toString('base64'), sealed.commit);
    const number = (value: number, bytes: number) => {
      const buffer = Buffer.alloc(bytes);
      buffer.writeUIntBE(value, bytes - 4, 4);
      return buffer;
    };
    const parts = Object.entries(CONTEXT)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .flat()
      .map((part) => Buffer.from(part));
    const context = Buffer.concat(parts.flatMap((part) => [number(part.length, 8), part]));
    const fields = [Buffer.from('connect-dynamodb-kms envelope'), Buffer.of(0, 1), Buffer.of(0, 1), Buffer.from('text'), context];
    const aad = Buffer.concat(fields.flatMap((field) => [number(field.length, 4), field]));
    const decipher = createDecipheriv('aes-256-gcm', derived('encryption key'), Buffer.from(sealed.iv, 'base64'));
    decipher.setAAD(aad).setAuthTag(Buffer.from(sealed.authTag, 'base64'));
    assert.equal(Buffer.concat([decipher.update(sealed.encryptedData, 'base64'), decipher.final()]).toString(), TEXT);
  });

  it('is no session, and no session is an envelope', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const envelope = createEnvelope({ kmsEndpoint: backend.config.kmsEndpoint, logger: quietLogger() });
    const store = backend.store({ recordVersion: 2 });
    await store.set('sid', { cookie: {}, user: 'ada@example.org' });
    const record = (await store.record('sid'))!;
    for (const type of ['text', 'bytes'] as const)
      await failing(envelope.decrypt({ ...record, version: undefined, type } as any), 'ERR_INTEGRITY');
    const { encryptedData, encryptedKey, iv, authTag } = await envelope.encrypt('{"cookie":{}}');
    const environment = { ...KEY, AWS_ENDPOINT_URL_KMS: backend.aws.kms };
    const { results } = await inProcess({
      environment,
      calls: [['decryptSessionData', encryptedData, encryptedKey, iv, authTag]],
    });
    assert.equal(results[0]?.error?.code, 'ERR_INTEGRITY');
  });

  it('is refused past maxCallsInFlight, at once, and ends with its deadline', async (t) => {
    const silent = await startBlackHole();
    t.after(() => silent.close());
    const options = { kmsEndpoint: silent.url, maxCallsInFlight: 2, timeouts: { callMillis: 300 } };
    const envelope = createEnvelope({ ...options, logger: quietLogger() });
    const waiting = [envelope.encrypt('a'), envelope.encrypt('b')];
    assert.equal(envelope.stats().callsInFlight, 2);
    await failing(envelope.encrypt('c'), 'ERR_OVERLOADED');
    for (const call of waiting) await failing(call, 'ERR_KMS_UNAVAILABLE');
    assert.deepEqual(envelope.stats().errors, { ERR_OVERLOADED: 1, ERR_KMS_UNAVAILABLE: 2 });
    await envelope.close();
  });

  it('goes on when the key was changed, and seals under the first', async (t) => {
    const [old, next] = ['us-east-1', 'eu-west-1'].map((region) => `arn:aws:kms:${region}:111122223333:key/${region}`) as [
      string,
      string,
    ];
    const backend = await startAws(['--key-arn', old, '--key-arn', next]);
    t.after(() => backend.stop());
    const open = (...kmsKeyArn: string[]) =>
      createEnvelope({ kmsEndpoint: backend.config.kmsEndpoint, kmsKeyArn, logger: quietLogger() });
    const sealed = await open(old).encrypt(TEXT);
    const both = open(next, old);
    assert.equal(await both.decrypt(sealed), TEXT);
    await failing(open(next).decrypt(sealed), 'ERR_INTEGRITY');
    assert.equal(await open(next).decrypt(await both.encrypt(TEXT)), TEXT);
  });

  it('wipes its data keys within a minute of use after the key was disabled', async (t) => {
    const backend = await startAws();
    t.after(() => backend.stop());
    const envelope = createEnvelope({ kmsEndpoint: backend.config.kmsEndpoint, logger: quietLogger() });
    const sealed = await envelope.encrypt(TEXT);
    await backend.aws.fault({ action: 'kms:*', status: 400, code: 'DisabledException' });
    assert.equal(await envelope.decrypt(sealed), TEXT);
    turnKeys(61);
    await envelope.decrypt(sealed);
    while (envelope.stats().keyCache.checksRevoked === 0) await new Promise(setImmediate);
    await failing(envelope.decrypt(sealed), 'ERR_KMS_KEY_UNUSABLE');
    await failing(envelope.encrypt(TEXT), 'ERR_KMS_KEY_UNUSABLE');
    await envelope.close();
  });
});

describe('the options of an envelope', () => {
  const detailOf = (config: unknown): string => {
    try {
      createEnvelope(config as EnvelopeConfig);
    } catch (error: any) {
      assert.equal(error.code, 'ERR_CONFIG');
      return error.detail;
    }
    return assert.fail(`taken: ${JSON.stringify(config)}`);
  };

  it('are those of the store that need no table; others are refused by name, as are wrong values', () => {
    for (const name of [
      'tableName',
      'prefix',
      'recordVersion',
      'ttlSeconds',
      'dynamodbEndpoint',
      'docClient',
      'kmsClient',
      'guardReplies',
      'kmskeyarn',
    ]) {
      assert.equal(
        detailOf({ [name]: 'x' }),
        `unknown option ${name}; see EnvelopeConfig in index.d.ts for the options there are`,
      );
    }
    assert.match(detailOf({ kmsKeyArn: 'alias/x' }), /^kmsKeyArn must be the ARN/);
    assert.match(detailOf({ keyCache: { maxEntries: 0 } }), /^keyCache.maxEntries must be/);
    assert.match(detailOf({ encryptionContext: { purpose: 'x' } }), /^encryptionContext must not have purpose/);
    assert.match(detailOf({ encryptionContext: { x: 'x'.repeat(8200) } }), /^encryptionContext has \d+ bytes/);
    assert.match(detailOf({ logger: {} }), /^logger must be/);
    assert.match(detailOf({ maxCallsInFlight: 0 }), /^maxCallsInFlight must be/);
    for (const config of [null, 'x', [], new Map()]) assert.match(detailOf(config), /must be a plain object with options/);
  });

  it('have a region that must be that of the key, where KMS is called', () => {
    const kmsKeyArn = 'arn:aws:kms:eu-west-1:111122223333:alias/x';
    createEnvelope({ kmsKeyArn, region: 'eu-west-1' });
    assert.match(detailOf({ kmsKeyArn, region: 'us-east-1' }), /^region is us-east-1, but kmsKeyArn is in eu-west-1/);
    assert.match(
      detailOf({ kmsKeyArn: [kmsKeyArn, 'arn:aws:kms:eu-west-2:111122223333:alias/x'], region: 'eu-west-1' }),
      /in eu-west-2/,
    );
  });

  it('may all be left out: the key is that of the environment, and nothing is sent', async () => {
    const envelope = createEnvelope();
    assert.deepEqual(envelope.stats().requests, { kms: { sent: 0, retries: 0 } });
    await envelope.close();
  });
});

describe('the functions without options', { timeout: 300_000 }, () => {
  it('seal and open as before, as the plain implementation does', async (t) => {
    const backend = await startAws();
    const plain = new PlainStore(backend.aws);
    t.after(() => {
      plain.close();
      return backend.stop();
    });
    const environment = { ...KEY, AWS_ENDPOINT_URL_KMS: backend.aws.kms };
    const { encryptedData, encryptedKey, iv, authTag } = await plain.seal(TEXT);
    const [sealed, opened] = await valuesInProcess({
      environment,
      calls: [
        ['encryptSessionData', TEXT],
        ['decryptSessionData', encryptedData, encryptedKey, iv, authTag],
      ],
    });
    assert.deepEqual(Object.keys(sealed).toSorted(), ['authTag', 'encryptedData', 'encryptedKey', 'iv']);
    assert.equal(await plain.open(sealed), TEXT);
    assert.equal(opened, TEXT);
  });
});
