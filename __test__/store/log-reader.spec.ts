// What somebody sees who reads the logs, of debug as well, and every error in full: no session id, content, key or secret.

import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, mock } from 'node:test';
import { inspect } from 'node:util';
import { DynamoDBSessionStore, type SessionStoreConfig, type SessionStoreErrorCode } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, startAws, startLocal } from '../support/backends.ts';
import { assertNothingOf, spellings } from '../support/failures.ts';
import { REFUSING_URL, startAnswering } from '../support/http-server.ts';
import { turnKeys } from '../support/key-clock.ts';
import { bytes, deriveKeys, type RecordItem, RecordReader } from '../support/record-reader.ts';
import { inProcess } from '../support/store-process.ts';
import '../support/stage.ts'; // one attempt a call

const CONSOLE = ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table'] as const;
const secretText = (what: string) => `${what}-${randomBytes(18).toString('base64url')}`;

/** A reader of the logs: takes what is logged and printed, and knows what must not be there. */
class LogReader {
  readonly lines: string[] = [];
  readonly secrets: string[] = [];
  readonly codes = new Set<SessionStoreErrorCode>();
  readonly logger = {
    warn: (line: string, fields?: object) => this.#log('warn', line, fields),
    debug: (line: string, fields?: object) => this.#log('debug', line, fields),
  };
  readonly #restore: Array<() => void> = [];

  constructor() {
    for (const method of CONSOLE) {
      const mocked = mock.method(console, method, (...args: unknown[]) => void this.lines.push(args.map(print).join(' ')));
      this.#restore.push(() => mocked.mock.restore());
    }
  }

  /** A text that must not show. */
  secret(what: string): string {
    const text = secretText(what);
    this.secrets.push(text);
    return text;
  }

  /** A session that must not show, not even by the names of its properties. */
  session(): { [key: string]: any; cookie: object } {
    return { cookie: {}, [this.secret('name')]: this.secret('value'), list: [{ [this.secret('inner')]: this.secret('deep') }] };
  }

  /** Makes a call; prints its error, if it fails, in every way that there is. */
  async call(make: () => unknown): Promise<SessionStoreErrorCode | undefined> {
    try {
      await make();
      return undefined;
    } catch (error: any) {
      assert.ok(error.code?.startsWith('ERR_'), 'not an error of the store');
      this.codes.add(error.code);
      for (let one = error; one !== undefined; one = one.cause) {
        const own = Object.getOwnPropertyNames(one).map((name) => `${name}: ${print(one[name])}`);
        this.lines.push(print(one), one.stack, String(one), one.message, JSON.stringify(one), ...own);
      }
      return error.code;
    }
  }

  /** Fails unless the call fails with this code. */
  async fails(code: SessionStoreErrorCode, make: () => unknown): Promise<void> {
    assert.equal(await this.call(make), code);
  }

  /** Fails if anything that must not show does. */
  check(): void {
    assertNothingOf(this.secrets, this.lines.join('\n'));
  }

  stop(): void {
    for (const restore of this.#restore) restore();
  }

  #log(level: string, line: unknown, fields?: object): void {
    assert.equal(typeof line, 'string');
    for (const value of Object.values(fields!)) assert.match(typeof value, /^(string|number)$/);
    this.lines.push(`${level} ${line} ${JSON.stringify(fields)}`);
  }
}

function print(value: unknown): string {
  return inspect(value, { depth: 9, showHidden: true, maxStringLength: null, maxArrayLength: null });
}

/** Every call of a store with one session. */
async function everyCall(log: LogReader, store: DynamoDBSessionStore, sid: string): Promise<Array<string | undefined>> {
  const session = log.session();
  const calls = [
    () => store.get(sid),
    () => store.record(sid),
    () => store.set(sid, session),
    () => store.get(sid),
    () => store.touch(sid, session),
    () => store.all(),
    () => store.ids(),
    () => store.length(),
    () => store.ping(),
    () => store.destroy(sid),
    () => store.clear(),
  ];
  const codes: Array<string | undefined> = [];
  for (const call of calls) codes.push(await log.call(call));
  log.lines.push(print(store), print(store.stats()), JSON.stringify(store.stats()));
  return codes;
}

const HASHING = [false, true, 'secret'] as const;

for (const recordVersion of [1, 2] as const) {
  for (const hashing of HASHING) {
    const how = hashing === false ? 'plain ids' : hashing === true ? 'hashed ids' : 'ids hashed with a secret';

    /** Runs with a log reader and the options that this run is about. */
    const observed = async <B extends Backend>(
      start: () => Promise<B>,
      run: (log: LogReader, backend: B, options: SessionStoreConfig) => Promise<void>,
    ): Promise<void> => {
      const backend = await start();
      const log = new LogReader();
      const hashSessionIds = hashing === 'secret' ? { secret: log.secret('hashing-secret') } : hashing;
      try {
        await run(log, backend, { recordVersion, hashSessionIds, logger: log.logger, logFields: 'last' });
        log.check();
      } finally {
        log.stop();
        await backend.stop();
      }
    };

    describe(`a reader of the logs, with records of version ${recordVersion} and ${how}, learns nothing`, () => {
      it('from calls that succeed', () =>
        observed(startAws, async (log, backend, options) => {
          const store = backend.store(options);
          const codes = await everyCall(log, store, log.secret('sid'));
          assert.deepEqual(new Set(codes), new Set([undefined]));
        }));

      it('from sessions that have ended, which debug shows by eight digits of a hash', () =>
        observed(startAws, async (log, backend, options) => {
          const [sid, store] = [log.secret('sid'), backend.store({ ...options, ttlSeconds: 60 })];
          await store.set(sid, log.session());
          const now = Date.now();
          mock.timers.enable({ apis: ['Date'], now: now + 120_000 });
          try {
            assert.equal(await store.get(sid), null);
          } finally {
            mock.timers.reset();
          }
          const { hashSessionIds } = options;
          const hash = typeof hashSessionIds === 'object' ? createHmac('sha256', hashSessionIds.secret) : createHash('sha256');
          const fingerprint = hash.update(sid).digest('hex').slice(0, 8);
          assert.ok(
            log.lines.some((line) => line.startsWith('debug') && line.includes(fingerprint)),
            'nothing was logged',
          );
        }));

      it('from any failure of AWS', () =>
        observed(startAws, async (log, backend, options) => {
          const sid = log.secret('sid');
          await backend.store(options).set(sid, log.session());
          const faults: Array<[string, number, string]> = [
            ['kms:*', 400, 'DisabledException'],
            ['kms:*', 400, 'AccessDeniedException'],
            ['kms:*', 400, 'ThrottlingException'],
            ['kms:*', 400, 'InvalidCiphertextException'],
            ['kms:*', 500, 'KMSInternalException'],
            ['dynamodb:*', 400, 'ThrottlingException'],
            ['dynamodb:*', 400, 'AccessDeniedException'],
            ['dynamodb:*', 400, 'UnrecognizedClientException'],
            ['dynamodb:*', 400, 'ValidationException'],
            ['dynamodb:*', 500, 'InternalServerError'],
          ];
          for (const [action, status, code] of faults) {
            await backend.aws.fault({ action, status, code, message: 'not now' });
            const codes = await everyCall(log, backend.store(options), sid);
            assert.ok(codes.some(Boolean), `${code} failed nothing`);
            await backend.aws.clearFaults();
            await backend.store(options).set(sid, log.session());
          }
          const [url, page] = [REFUSING_URL, await startAnswering(200, { 'content-type': 'text/html' }, '<html>')];
          const broken: SessionStoreConfig[] = [
            { kmsEndpoint: url },
            { dynamodbEndpoint: url },
            { kmsEndpoint: page.url },
            { dynamodbEndpoint: page.url },
            { tableName: 'not-there' },
            { kmsKeyArn: `${backend.aws.keyArns[0]!.slice(0, -1)}0` },
          ];
          for (const other of broken) {
            const codes = await everyCall(log, backend.store({ ...options, ...other }), sid);
            assert.ok(codes.some(Boolean), `${JSON.stringify(other)} failed nothing`);
          }
          await page.close();
          assert.deepEqual([...log.codes].sort(), [
            'ERR_ACCESS_DENIED',
            'ERR_CREDENTIALS',
            'ERR_DYNAMODB_THROTTLED',
            'ERR_DYNAMODB_UNAVAILABLE',
            'ERR_INTEGRITY',
            'ERR_KMS_KEY_UNUSABLE',
            'ERR_KMS_THROTTLED',
            'ERR_KMS_UNAVAILABLE',
            'ERR_TABLE_NOT_FOUND',
            'ERR_TABLE_SCHEMA',
          ]);
          assert.ok(
            log.lines.some((line) => line.startsWith('warn')),
            'nothing was logged',
          );
        }));

      it('from records that are broken, whose keys it would know if it saw them', () =>
        observed(startAws, async (log, backend, options) => {
          const { hashSessionIds } = options;
          const reader = new RecordReader(backend.aws, { hashed: hashSessionIds });
          const sid = log.secret('sid');
          const warm = backend.store(options);
          await warm.set(sid, log.session());
          const item = (await reader.item(sid))!;
          const dataKey = await reader.dataKey(item);
          log.secrets.push(...spellings(dataKey));
          if (recordVersion === 2) {
            const { encryptionKey } = deriveKeys(dataKey, bytes(item, 'salt'));
            log.secrets.push(...spellings(encryptionKey));
          }
          const binary = (name: string, change: (value: Buffer) => Buffer): RecordItem => {
            const value = change(bytes(item, name));
            return { ...item, [name]: recordVersion === 2 ? { B: value } : { S: value.toString('base64') } };
          };
          const flip = (value: Buffer) => Buffer.from(value.map((byte, index) => (index === 0 ? byte ^ 1 : byte)));
          const names = ['encryptedData', 'encryptedKey', 'iv', 'authTag', ...(recordVersion === 2 ? ['salt', 'commit'] : [])];
          const broken = [
            ...names.map((name) => binary(name, flip)),
            ...names.map((name) => binary(name, (value) => value.subarray(1))),
            ...names.map((name) => ({ ...item, [name]: { BOOL: true } })),
            { ...item, ttl: { N: '1.5' } },
            { ...item, version: { N: '3' } },
            { ...item, version: { S: '2' } },
          ];
          for (const one of broken) {
            await reader.put(one);
            for (const store of [warm, backend.store(options)]) {
              const codes = [
                await log.call(() => store.get(sid)),
                await log.call(() => store.all()),
                await log.call(() => store.ids()),
              ];
              assert.match(codes[0] ?? '', /ERR_INTEGRITY|ERR_VERSION/);
              await log.call(() => store.record(sid));
            }
          }
          // What was sealed is no session, and its text is as secret as one.
          const json = (text: string) => (hashSessionIds ? `[${JSON.stringify(sid)},${text}]` : text);
          const marker = () => log.secret('sealed');
          for (const text of [
            marker(),
            `"${marker()}"`,
            `["${marker()}"]`,
            `{"${marker()}":`,
            `{"a":"${marker()}"}}`,
            `{${marker()}}`,
          ]) {
            await reader.put(await reader.record(sid, json(text), { version: recordVersion }));
            const code = await log.call(() => backend.store(options).get(sid));
            assert.match(code ?? '', /ERR_SERIALIZATION|ERR_INTEGRITY/, text);
            await log.call(() => backend.store(options).all());
            await log.call(() => backend.store(options).ids());
          }
          reader.close();
          assert.deepEqual([...log.codes].sort(), ['ERR_INTEGRITY', 'ERR_SERIALIZATION', 'ERR_VERSION']);
        }));

      it('from arguments and sessions that are refused', () =>
        observed(startAws, async (log, backend, options) => {
          const store = backend.store(options);
          const [sid, name] = [log.secret('sid'), log.secret('name')];
          const cyclic: any = log.session();
          cyclic[name] = { [log.secret('inner')]: cyclic };
          const throwing = () => {
            throw new Error(log.secret('thrown'));
          };
          await log.fails('ERR_SERIALIZATION', () => store.set(sid, cyclic));
          await log.fails('ERR_SERIALIZATION', () => store.set(sid, { ...log.session(), [name]: 10n }));
          await log.fails('ERR_SERIALIZATION', () => store.set(sid, { ...log.session(), toJSON: throwing }));
          await log.fails('ERR_SERIALIZATION', () => store.set(sid, { ...log.session(), toJSON: () => log.secret('text') }));
          await log.fails('ERR_SERIALIZATION', () => store.set(sid, log.secret('text') as any));
          await log.fails('ERR_SESSION_TOO_LARGE', () => store.set(sid, { ...log.session(), filler: 'x'.repeat(500_000) }));
          for (const bad of [sid.repeat(100), `${sid}\ud800`, [sid], { sid }, Symbol(sid)] as any[]) {
            await log.fails('ERR_CONFIG', () => store.get(bad));
            await log.fails('ERR_CONFIG', () => store.set(bad, log.session()));
            await log.fails('ERR_CONFIG', () => store.touch(bad, log.session()));
            await log.fails('ERR_CONFIG', () => store.destroy(bad));
            await log.fails('ERR_CONFIG', () => store.record(bad));
          }
          await store.set(sid, log.session());
          await store.close();
          await log.fails('ERR_CLOSED', () => store.get(sid));
          await log.fails('ERR_CLOSED', () => store.set(sid, log.session()));
        }));

      it('from a data key that was taken away from a warm store', () =>
        observed(startAws, async (log, backend, options) => {
          const [sid, store] = [log.secret('sid'), backend.store(options)];
          await store.set(sid, log.session());
          const reader = new RecordReader(backend.aws, { hashed: options.hashSessionIds });
          log.secrets.push(...spellings(await reader.dataKey((await reader.item(sid))!)));
          await store.get(sid);
          reader.close();
          await backend.aws.fault({ action: 'kms:*', status: 400, code: 'DisabledException' });
          turnKeys(60);
          const deadline = performance.now() + 10_000;
          while (store.stats().keyCache.checksRevoked === 0 && performance.now() < deadline) await log.call(() => store.get(sid));
          await log.fails('ERR_KMS_KEY_UNUSABLE', () => store.get(sid));
        }));

      it('from the local mode', () =>
        observed(startLocal, async (log, backend, options) => {
          const [sid, store] = [log.secret('sid'), backend.store(options)];
          assert.deepEqual(new Set(await everyCall(log, store, sid)), new Set([undefined]));
          await store.set(sid, log.session());
          log.secrets.push(...spellings(await readFile(join(backend.config.local!.path, 'key'))));
          const version = recordVersion === 1 ? 2 : 1;
          const other = backend.store({ ...options, recordVersion: version, acceptVersions: [version] });
          for (const call of [() => other.get(sid), () => other.all(), () => other.record(sid)])
            await log.fails('ERR_VERSION', call);
          const stranger = backend.store({ ...options, hashSessionIds: { secret: log.secret('other-secret') } });
          await log.call(() => stranger.all());
          await log.call(() => stranger.ids());
        }));
    });
  }
}

describe('a reader of the logs', () => {
  it('learns nothing from options that are refused', () => {
    const log = new LogReader();
    const secret = log.secret('hashing-secret');
    const short = log.secrets[log.secrets.push('brief-secret') - 1]!;
    const value = log.secret('context-value');
    const configs: any[] = [
      { hashSessionIds: secret },
      { hashSessionIds: { secret: [secret] } },
      { hashSessionIds: { secret: short } },
      { hashSessionIds: { secret: { secret } } },
      { hashSessionIds: { secret: `${secret}\ud800` } },
      { hashSessionIds: { secret, more: secret } },
      { hashSessionIds: [secret] },
      { hashSessionIds: { secret }, recordVersion: 3 },
      { encryptionContext: { purpose: value } },
      { encryptionContext: { app: [value] } },
      { encryptionContext: value },
    ];
    try {
      for (const config of configs) {
        assert.throws(
          () => new DynamoDBSessionStore(config),
          (error: any) => {
            log.lines.push(print(error), error.stack, String(error));
            return error.code === 'ERR_CONFIG';
          },
        );
      }
      log.check();
    } finally {
      log.stop();
    }
  });

  it('learns nothing from a batch that DynamoDB never finishes', async () => {
    const backend = await startAws();
    const log = new LogReader();
    try {
      const store = backend.store({ logger: log.logger, logFields: 'last' });
      await store.set(log.secret('sid'), log.session());
      await backend.aws.fault({ action: 'dynamodb:BatchWriteItem', unprocessed: 1 });
      await log.fails('ERR_DYNAMODB_THROTTLED', () => store.clear());
      log.check();
    } finally {
      log.stop();
      await backend.stop();
    }
  });

  it('learns nothing from encryptSessionData and decryptSessionData', async () => {
    const backend: AwsBackend = await startAws();
    try {
      const text = secretText('plaintext');
      const reader = new RecordReader(backend.aws);
      const item = await reader.record('sid', text, { version: 1 });
      const parts = ['encryptedData', 'encryptedKey', 'iv', 'authTag'].map((name) => item[name]!.S!);
      const secrets = [text, ...spellings(await reader.dataKey(item))];
      reader.close();
      const environment = {
        AWS_ACCESS_KEY_ID: 'local',
        AWS_SECRET_ACCESS_KEY: 'local',
        AWS_MAX_ATTEMPTS: '1',
        AWS_ENDPOINT_URL: backend.aws.kms,
      };
      const tag = Buffer.alloc(16).toString('base64');
      const [good, bad] = [
        await inProcess({ environment, calls: [['decryptSessionData', ...parts]] }),
        await inProcess({
          environment,
          calls: [
            ['decryptSessionData', ...parts.slice(0, 3), tag],
            ['decryptSessionData', text, ...parts.slice(1)],
            ['encryptSessionData', `${text}\ud800`],
          ],
        }),
      ];
      assert.equal(good.results[0]?.error, undefined);
      assert.deepEqual(
        bad.results.map(({ error }) => error?.code),
        ['ERR_INTEGRITY', 'ERR_INTEGRITY', 'ERR_SERIALIZATION'],
      );
      for (const { error } of bad.results) assertNothingOf(secrets, error!.shown);
      await backend.aws.fault({ action: 'kms:*', status: 400, code: 'DisabledException' });
      const { results } = await inProcess({
        environment,
        calls: [
          ['encryptSessionData', text],
          ['decryptSessionData', ...parts],
        ],
      });
      for (const { error } of results) {
        assert.equal(error?.code, 'ERR_KMS_KEY_UNUSABLE');
        assertNothingOf(secrets, error.shown);
      }
    } finally {
      await backend.stop();
    }
  });
});
