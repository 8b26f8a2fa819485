// What the constructor takes, what it refuses, and what it leaves alone.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KMSClient } from '@aws-sdk/client-kms';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import {
  AWS_REGION,
  DynamoDBSessionStore,
  docClient,
  KMS_KEY_ARN,
  kmsClient,
  SESSIONS_TABLE,
  type SessionStoreConfig,
  SessionStoreError,
} from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { assertFailure, failing, shown } from '../support/failures.ts';
import { inProcess } from '../support/store-process.ts';

const DEFAULT_KEY = 'arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a';
const DEFAULT_TABLE = 'mcp-gateway-sessions';
const KEY_ABROAD = 'arn:aws:kms:eu-central-1:232282424912:key/11111111-2222-3333-4444-555555555555';

/** An object that JSON would write as a string, which it is not. */
class LooksLikeText {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toJSON(): string {
    return this.#text;
  }
}

function cyclic(): object {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

/** Values that no option but `logger`, `local` and the handles takes. */
const NEVER = [
  null,
  {},
  [],
  cyclic(),
  new Map(),
  Symbol('x'),
  10n,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];
/** How many bytes KMS leaves to the caller's own encryption context beside what the store adds. */
const contextRoom = (table: string) => 8192 - `purpose${'session-store'}table${table}v2`.length;
/** Values that no option takes that is an object with options of its own. */
const NO_OBJECTS = NEVER.filter((value) => Object.prototype.toString.call(value) !== '[object Object]');
const NO_STRINGS = [...NEVER, true, 7, () => 'text', new Date(), new LooksLikeText('text')];

/** Wrong values by option, beside those of a wrong type. */
const WRONG_STRINGS: Record<string, string[]> = {
  tableName: ['', 'ab', 'a'.repeat(256), 'my sessions', 'täble', 'sessions\0'],
  boundTableName: ['', 'ab', 'a'.repeat(256), 'my sessions', 'täble', 'sessions\0'],
  // The last one: behind an empty part, each delimiter takes three bytes in the table.
  prefix: ['a'.repeat(1025), 'ä'.repeat(513), 'lone \ud800 surrogate', `app:${':'.repeat(700)}`],
  kmsKeyArn: [
    '',
    'afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a',
    'alias/sessions',
    'arn:aws:s3:::bucket',
    'arn:aws:kms:us-east-1:232282424912:grant/1',
    'arn:aws:kms::232282424912:key/1',
    'arn:aws:kms:us-east-1::key/1',
    'arn:aws:kms:us east 1:232282424912:key/1',
    'arn:aws:kms:us-east-1\n:232282424912:key/1',
    'arn:aws:kms:us-east-1:232282424912:key/',
    'arn:aws:kms:us-east-1:232282424912:key/1\n',
    `arn:aws:kms:us-east-1:232282424912:key/${'1'.repeat(2048)}`,
    'arn:aws:kms:us-east-1:232282424912:alias/',
    'arn:aws:kms:us-east-1:232282424912:alias/my sessions',
    `arn:aws:kms:us-east-1:232282424912:alias/${'s'.repeat(251)}`,
  ],
  region: ['', 'us east 1', 'us-east-1/', 'us-east-1\n'],
  endpoint: ['', 'localhost:8000', '127.0.0.1', 'ftp://127.0.0.1', 'http://', 'https://', 'http://local host'],
  dynamodbEndpoint: ['', 'localhost:8000', 'ftp://127.0.0.1', 'http://', 'http://local host'],
  kmsEndpoint: ['', 'localhost:8000', 'ftp://127.0.0.1', 'http://', 'http://local host'],
  profile: [''],
  roleArn: [
    `arn:aws:iam::232282424912:role/${'r'.repeat(2048)}`,
    '',
    'admin',
    'arn:aws:iam::232282424912:user/someone',
    'role/store',
  ],
};
const WRONG: Record<string, unknown[]> = {
  ...Object.fromEntries(
    Object.entries(WRONG_STRINGS).map(([option, texts]) => [
      option,
      [...texts, ...NO_STRINGS, new String(option === 'kmsKeyArn' ? DEFAULT_KEY : 'text')],
    ]),
  ),
  ttlSeconds: [...NEVER, true, '60', new Date(), new Number(60), 0, -1, 0.5, 315_360_001],
  keyCache: [...NO_OBJECTS, 'no', 'Strict', 0, 1, () => true, new Boolean(true), { maxage: 60 }, { maxEntries: 5, ttl: 60 }],
  ...Object.fromEntries(
    ['maxEntries', 'maxAgeSeconds', 'maxSealsPerKey', 'maxBytesPerKey', 'revocationCheckSeconds'].map((limit) => [
      `keyCache.${limit}`,
      [...NEVER, '60', true, 0, -1, 0.5, new Number(60)],
    ]),
  ),
  recordVersion: [...NEVER, '2', true, 0, 3, 1.5, new Number(2), [2]],
  acceptVersions: [...NEVER, 1, '1', true, [2], ['1'], [1, 3], [0], [1, -1], [1, null], [[1]], { 0: 1, length: 1 }, new Set([1])],
  encryptionContext: [
    ...NO_OBJECTS,
    'app',
    true,
    7,
    ...['purpose', 'table', 'v'].map((name) => ({ app: 'gateway', [name]: 'mine' })),
    ...NO_STRINGS.map((value) => ({ app: value })),
    { app: 'lone \ud800 surrogate' },
    { app: 'gateway', tenant: undefined }, // a store that is bound to no tenant would open the sessions of all
    { app: 'x'.repeat(contextRoom('sessions') - 'app'.length + 1) },
    { app: 'ü'.repeat(contextRoom('sessions') / 2) },
    Object.fromEntries(Array.from({ length: 1100 }, (_, number) => [`name ${number}`, ''])),
  ],
  hashSessionIds: [...NEVER, 'a secret of the tests', 1, () => true, { secret: 'a secret of the tests', salt: 'x' }],
  'hashSessionIds.secret': ['', 'fifteen bytes..', 'lone \ud800 surrogate, and long', ...NO_STRINGS],
  touchAfter: [...NEVER, '60', true, -1, [60], new Number(60), { seconds: 60 }],
  onConflict: [...NEVER, '', 'Error', 'merge', true, 1, ['error'], new String('error')],
  maxRecentSessions: [...NEVER, '60', true, 0, -1, 0.5, new Number(60)],
  maxCallsInFlight: [...NEVER, '60', true, 0, -1, 0.5, new Number(60)],
  timeouts: [...NO_OBJECTS, true, 5000, '5s', { callSeconds: 5 }, { callMillis: 5000, connectmillis: 1 }],
  ...Object.fromEntries(
    ['connectMillis', 'attemptMillis', 'callMillis'].map((timeout) => [
      `timeouts.${timeout}`,
      [...NEVER, '60', true, 0, -1, 0.5, new Number(60), 60_001],
    ]),
  ),
  logger: [...NEVER, 'console', true, { warn() {} }, { debug() {} }, { warn: 'no', debug() {} }, new LooksLikeText('console')],
  logFields: [...NEVER, true, 'middle', 'First', new String('first')],
  local: [...NEVER, true, './folder', { path: './folder', mode: 0o600 }, { paths: './folder' }, () => ({ path: './folder' })],
  'local.path': ['', ...NO_STRINGS, new String('./folder')],
};

function refusal(config: unknown): SessionStoreError {
  try {
    new DynamoDBSessionStore(config as any);
  } catch (error) {
    return assertFailure(error, 'ERR_CONFIG');
  }
  assert.fail('accepted');
}

/** What is wrong with how this configuration is refused: nothing, if the detail names all of the options. */
function fault(config: unknown, options: string[]): string[] {
  let detail: string;
  try {
    detail = refusal(config).detail;
  } catch (error) {
    return [`${shown(config)}: ${error instanceof Error ? error.message : error}`];
  }
  const words = detail.split(/[^\w.]+/).map((word) => word.replace(/\.$/, ''));
  const unnamed = options.filter((option) => !words.some((word) => word === option || word.startsWith(`${option}.`)));
  return unnamed.map((option) => `${shown(config)}: "${detail}" does not name ${option}`);
}

/** Fails, with all that is wrong, unless each configuration is refused with a detail that names the options. */
function assertRefused(configs: unknown[], ...options: string[]): void {
  assert.deepEqual(
    configs.flatMap((config) => fault(config, options)),
    [],
  );
}

describe('the configuration', () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(async () => {
    const calls = await backend.aws.calls();
    await backend.stop();
    assert.deepEqual(calls, {}, 'a constructor called AWS');
  });

  for (const [option, values] of Object.entries(WRONG)) {
    it(`a wrong ${option} is refused by name`, () => {
      const [name, inner] = option.split('.') as [string, string?];
      const configs = values.map((value) => ({ [name]: inner === undefined ? value : { [inner]: value } }));
      assertRefused(name === 'local' ? configs : configs.map((config) => ({ ...backend.config, ...config })), option);
    });
  }

  for (const option of [
    'tablename',
    'ttl',
    'KeyCache',
    'kmsKeyARN',
    'credentials',
    'secretAccessKey',
    'constructor',
    'toString',
    'valueOf',
  ]) {
    it(`the unknown option ${option} is refused by name`, () => {
      assertRefused([{ ...backend.config, [option]: 'text' }], option);
    });
  }

  it('an unknown option called __proto__ is refused by name', () => {
    assertRefused([JSON.parse('{"__proto__": {"tableName": "sessions"}}')], '__proto__');
  });

  it('an unknown option called toJSON is refused by name and not called', () => {
    let called = false;
    const toJSON = () => {
      called = true;
      return {};
    };
    assertRefused([{ ...backend.config, toJSON }], 'toJSON');
    assert.equal(called, false);
  });

  it('an unknown option is refused whatever its value is', () => {
    const values = [null, false, 0, '', Number.NaN, () => {}, Symbol('x'), 10n, cyclic(), new KMSClient({ region: AWS_REGION })];
    assertRefused(
      values.map((hashSalt) => ({ ...backend.config, hashSalt })),
      'hashSalt',
    );
  });

  it('anything but an object with options is refused', () => {
    const others = [
      null,
      [],
      [{ tableName: 'sessions' }],
      'sessions',
      7,
      true,
      10n,
      Symbol('x'),
      () => ({}),
      new Map(),
      new Date(),
    ];
    assertRefused(others, 'configuration');
  });

  it('an empty array is refused as one', () => {
    const { detail } = refusal({ ...backend.config, kmsKeyArn: [] });
    assert.match(detail, /^kmsKeyArn must be .*, or an array of them, not an empty array$/);
  });

  it('an option that cannot be read is refused, with the cause', () => {
    const cause = new Error('cannot be read');
    const throwing = (name: string) =>
      Object.defineProperty({}, name, {
        enumerable: true,
        get() {
          throw cause;
        },
      });
    for (const config of [throwing('prefix'), { keyCache: throwing('maxEntries') }, { encryptionContext: throwing('app') }])
      assert.equal(refusal(config).cause, cause);
  });

  it('instances of classes are refused, and their names do not show', () => {
    class Config {
      get ttlSeconds() {
        return -1;
      }
    }
    const named = { [Symbol.toStringTag]: 'ada@example.org' };
    assertRefused([new Config(), Object.create({ ttlSeconds: 60 }), named], 'configuration');
    for (const value of [new Config(), Object.create({ maxEntries: 5 }), named]) {
      const { detail } = refusal({ ...backend.config, keyCache: value });
      assert.match(detail, /keyCache/);
      assert.doesNotMatch(detail, /ada@example/);
    }
  });

  it('an encryption context that only the name of the table makes too long is refused', () => {
    const encryptionContext = { app: 'x'.repeat(contextRoom(DEFAULT_TABLE) - 'app'.length) };
    assertRefused([{ tableName: `${DEFAULT_TABLE}2`, encryptionContext }], 'encryptionContext', '8193', '8192');
  });

  it('options at the ends of their ranges are taken', () => {
    const taken: SessionStoreConfig[] = [
      { ttlSeconds: 1 },
      { ttlSeconds: 315_360_000 },
      { ttlSeconds: () => 60 },
      { tableName: 'abc' },
      { tableName: `My_table-1.${'x'.repeat(244)}` },
      { prefix: '' },
      { prefix: 'ä'.repeat(512) },
      { prefix: `app:${':'.repeat(660)}` },
      { kmsKeyArn: `arn:aws:kms:us-east-1:232282424912:alias/${'s'.repeat(250)}` },
      { encryptionContext: { app: 'x'.repeat(contextRoom(DEFAULT_TABLE) - 'app'.length) } },
      { kmsKeyArn: 'arn:aws:kms:us-east-1:232282424912:alias/sessions/live' },
      { kmsKeyArn: 'arn:aws-cn:kms:cn-north-1:232282424912:key/mrk-0123456789abcdef0123456789abcdef' },
      { roleArn: 'arn:aws-us-gov:iam::232282424912:role/service/store' },
      { region: 'us-gov-west-1' },
      { profile: 'my profile' },
      { kmsKeyArn: [DEFAULT_KEY] },
      { kmsKeyArn: [DEFAULT_KEY, KEY_ABROAD, 'arn:aws:kms:us-east-1:232282424912:alias/sessions'] },
      { keyCache: false },
      { keyCache: true },
      { keyCache: 'strict' },
      { keyCache: {} },
      { timeouts: {} },
      { timeouts: { connectMillis: 1, attemptMillis: 1, callMillis: 1 } },
      { timeouts: { connectMillis: 60_000, attemptMillis: 60_000, callMillis: 60_000 } },
      { timeouts: { callMillis: 1 } },
      { timeouts: { attemptMillis: 1, callMillis: undefined } },
      { maxCallsInFlight: 1 },
      { keyCache: { maxEntries: 1, maxAgeSeconds: 1, maxSealsPerKey: 1, maxBytesPerKey: 1, revocationCheckSeconds: 1 } },
      { keyCache: { maxEntries: undefined, maxBytesPerKey: Number.MAX_SAFE_INTEGER } },
      { recordVersion: 1, acceptVersions: [1] },
      { recordVersion: 2, acceptVersions: [2] },
      { recordVersion: 2, acceptVersions: [2, 1] },
      { recordVersion: 1, acceptVersions: [0, 1] },
      { recordVersion: 2, acceptVersions: [2, 0, 0] },
      { encryptionContext: {} },
      { encryptionContext: { app: 'gateway', Purpose: 'mine', 'clé 🙂': 'ü' } },
      { hashSessionIds: false },
      { hashSessionIds: true },
      { hashSessionIds: { secret: 'sixteen bytes...' } },
      { hashSessionIds: { secret: 'ü'.repeat(8) } },
    ];
    for (const options of taken) {
      assert.ok(new DynamoDBSessionStore({ ...backend.config, ...options }), shown(options));
    }
    for (const url of ['http://127.0.0.1:8000', 'https://dynamodb.eu-west-1.amazonaws.com', 'http://[::1]:8000/path']) {
      assert.ok(new DynamoDBSessionStore({ endpoint: url, dynamodbEndpoint: url, kmsEndpoint: url }), url);
    }
  });

  it('a list of KMS keys is refused by name if one of them is no key', () => {
    const others = [...WRONG_STRINGS.kmsKeyArn!, ...NO_STRINGS, [DEFAULT_KEY], new String(DEFAULT_KEY)];
    assertRefused(
      others.flatMap((other) => [[other], [DEFAULT_KEY, other], [other, DEFAULT_KEY]]).map((kmsKeyArn) => ({ kmsKeyArn })),
      'kmsKeyArn',
    );
  });

  it('a store that could not read what it writes is refused, naming both options', () => {
    assertRefused([{ acceptVersions: [2] }, { recordVersion: 1, acceptVersions: [2] }], 'acceptVersions', 'recordVersion');
    assertRefused([{ recordVersion: 2, acceptVersions: [1] }], 'acceptVersions', 'recordVersion');
  });

  it('an option that is undefined counts as left out', () => {
    const names = Object.keys(WRONG).filter((name) => !name.includes('.'));
    const config = Object.fromEntries([...names, 'kmsClient', 'docClient'].map((name) => [name, undefined]));
    assert.ok(new DynamoDBSessionStore(config));
    assert.ok(new DynamoDBSessionStore(undefined));
    assert.ok(new DynamoDBSessionStore());
  });

  it('an object without a prototype will do', () => {
    assert.ok(new DynamoDBSessionStore(Object.assign(Object.create(null), backend.config)));
  });

  it('local mode checks the options about AWS but does not use them, so that one configuration serves both', () => {
    const local = { path: './never-made' };
    const aboutAws = {
      region: 'eu-west-1',
      endpoint: 'http://127.0.0.1:1',
      dynamodbEndpoint: 'http://127.0.0.1:1',
      kmsEndpoint: 'http://127.0.0.1:1',
      profile: 'not-there',
      roleArn: 'arn:aws:iam::232282424912:role/store',
      kmsKeyArn: DEFAULT_KEY,
    };
    assert.ok(new DynamoDBSessionStore({ local, ...aboutAws }));
    const faults = Object.keys(aboutAws).flatMap((option) => fault({ local, [option]: 7 }, [option]));
    assert.deepEqual(faults, []);
  });

  it("the caller's object is as it was, also after a refusal", () => {
    const ttlSeconds = () => 60;
    const logger = { warn() {}, debug() {} };
    const inner = {
      kmsKeyArn: [DEFAULT_KEY],
      keyCache: { maxEntries: 5 },
      acceptVersions: [1 as const],
      encryptionContext: { app: 'gateway' },
      hashSessionIds: { secret: 'a secret of the tests' },
    };
    const config = { ...backend.config, ttlSeconds, logger, ...inner };
    const [copy, innerCopy] = [{ ...config }, structuredClone(inner)];
    new DynamoDBSessionStore(config);
    assert.deepEqual(config, copy);
    assert.deepEqual(inner, innerCopy);
    assert.deepEqual(Object.keys(logger), ['warn', 'debug']);
    const handles = { kmsClient, docClient, local: undefined };
    new DynamoDBSessionStore(handles);
    assert.deepEqual(handles, { kmsClient, docClient, local: undefined });
    const wrong = { ...config, region: 7 };
    refusal(wrong);
    assert.deepEqual(wrong, { ...copy, region: 7 });
  });

  it('a frozen configuration is taken', () => {
    const local = Object.freeze({ path: './never-made' });
    assert.ok(new DynamoDBSessionStore(Object.freeze({ local, ttlSeconds: () => 60 })));
    assert.ok(new DynamoDBSessionStore(Object.freeze({ ...backend.config, logger: Object.freeze({ warn() {}, debug() {} }) })));
    assert.ok(new DynamoDBSessionStore(Object.freeze({ kmsClient, docClient })));
  });

  it('what the caller changes afterwards changes nothing', async () => {
    const config = { ...backend.config, prefix: 'a'.repeat(1000), logger: { warn() {}, debug() {} } };
    const store = new DynamoDBSessionStore(config);
    config.prefix = '';
    config.logger = null as any;
    const { detail } = await failing(store.get('b'.repeat(2048)), 'ERR_CONFIG');
    assert.match(detail, /1 to 1048 bytes/);
    await store.close();
  });

  it('a logger may have its methods from a class', async () => {
    class Logger {
      readonly lines: string[] = [];
      warn(...texts: string[]): void {
        this.lines.push(...texts);
      }
      debug(): void {}
    }
    const logger = new Logger();
    const store = backend.store({ logger });
    await store.close();
    await failing(store.get('a'), 'ERR_CLOSED');
    assert.equal(logger.lines.length, 1);
    assert.match(logger.lines[0]!, /get.*ERR_CLOSED/);
  });
});

describe('a logger', () => {
  it('whose methods cannot be read is refused, with the cause', () => {
    for (const name of ['warn', 'debug']) {
      const cause = new Error('no such method');
      const logger = Object.defineProperty({ warn() {}, debug() {} }, name, {
        get() {
          throw cause;
        },
      });
      assert.equal(refusal({ recordVersion: 2, local: { path: './never-made' }, logger }).cause, cause);
    }
  });

  it('may be async and fail: the call gets its own answer, and nothing else happens', async (t) => {
    const unhandled = t.mock.fn();
    process.on('unhandledRejection', unhandled);
    t.after(() => process.off('unhandledRejection', unhandled));
    let calls = 0;
    const fail = async () => {
      calls++;
      throw new Error('the log is full');
    };
    const logger = { warn: fail, debug: fail };
    const store = new DynamoDBSessionStore({ recordVersion: 2, local: { path: './never-made' }, logger });
    await store.close();
    await failing(store.get('a'), 'ERR_CLOSED');
    await new Promise(setImmediate);
    assert.equal(calls, 1);
    assert.equal(unhandled.mock.callCount(), 0);
  });
});

describe('the handles of the shared clients', () => {
  it('are opaque and cannot be changed', () => {
    assert.deepEqual({ ...kmsClient }, { service: 'kms' });
    assert.deepEqual({ ...docClient }, { service: 'dynamodb' });
    assert.ok(Object.isFrozen(kmsClient) && Object.isFrozen(docClient));
  });

  it('are taken in a configuration, each alone and both', () => {
    assert.ok(new DynamoDBSessionStore({ kmsClient, docClient }));
    assert.ok(new DynamoDBSessionStore({ kmsClient, region: undefined, dynamodbEndpoint: 'http://127.0.0.1:1' }));
    assert.ok(new DynamoDBSessionStore({ docClient, kmsEndpoint: 'http://127.0.0.1:1', kmsKeyArn: KEY_ABROAD }));
  });

  it('a client of the AWS SDK for JavaScript is refused by name, and so is anything else', () => {
    const kms = new KMSClient({ region: 'us-east-1' });
    const dynamodb = new DynamoDBClient({ region: 'us-east-1' });
    const documents = DynamoDBDocumentClient.from(dynamodb);
    const others = [
      kms,
      dynamodb,
      documents,
      null,
      true,
      {},
      [],
      'kms',
      { ...kmsClient },
      () => kmsClient,
      cyclic(),
      Number.NaN,
      10n,
    ];
    assertRefused(
      [...others, docClient].map((value) => ({ kmsClient: value })),
      'kmsClient',
    );
    assertRefused(
      [...others, kmsClient].map((value) => ({ docClient: value })),
      'docClient',
    );
  });

  it("have the environment's settings, so settings of one's own beside them are refused by name", () => {
    const settings = {
      region: 'us-east-1',
      endpoint: 'http://127.0.0.1:1',
      profile: 'default',
      roleArn: 'arn:aws:iam::232282424912:role/store',
    };
    for (const [option, value] of Object.entries({ ...settings, kmsEndpoint: 'http://127.0.0.1:1' })) {
      assertRefused([{ kmsClient, [option]: value }], 'kmsClient', option);
    }
    for (const [option, value] of Object.entries({ ...settings, dynamodbEndpoint: 'http://127.0.0.1:1' })) {
      assertRefused([{ docClient, [option]: value }], 'docClient', option);
    }
  });

  it("kmsClient is in the region of the default key, so another region's key beside it is refused by name", () => {
    assertRefused([{ kmsClient, kmsKeyArn: KEY_ABROAD }], 'kmsClient', 'kmsKeyArn');
    assertRefused([{ kmsClient, kmsKeyArn: [DEFAULT_KEY, KEY_ABROAD] }], 'kmsClient', 'kmsKeyArn');
    assert.ok(new DynamoDBSessionStore({ kmsClient, kmsKeyArn: DEFAULT_KEY }));
    assert.ok(new DynamoDBSessionStore({ kmsClient, kmsKeyArn: [DEFAULT_KEY] }));
  });
});

describe('SessionStoreError', () => {
  it('is an Error with a name, a code and whether to try again', () => {
    const error = refusal({ region: 7 });
    assert.ok(error instanceof SessionStoreError && error instanceof Error);
    assert.equal(Object.getPrototypeOf(SessionStoreError.prototype), Error.prototype);
    assert.equal(error.name, 'SessionStoreError');
    assert.equal(error.code, 'ERR_CONFIG');
    assert.equal(error.retryable, false);
    assert.equal(String(error), `SessionStoreError: ${error.message}`);
    assert.ok(error.stack!.startsWith(`${error}\n`));
    assert.match(error.stack!, /config\.spec/);
  });

  it('without an error below has no cause', () => {
    assert.equal('cause' in refusal({ region: 7 }), false);
  });
});

describe('the constants', { concurrency: true }, () => {
  it('have the documented defaults', async () => {
    const { constants } = await inProcess({ environment: {} });
    assert.deepEqual(constants, { KMS_KEY_ARN: DEFAULT_KEY, SESSIONS_TABLE: DEFAULT_TABLE, AWS_REGION: 'us-east-1' });
  });

  it('follow the environment', async () => {
    const environment = { KMS_KEY_ARN: KEY_ABROAD, SESSIONS_TABLE: 'from-environment', AWS_REGION: 'eu-west-1' };
    const { constants } = await inProcess({ environment });
    assert.deepEqual(constants, environment);
  });

  it('take an empty variable as unset', async () => {
    const { constants } = await inProcess({ environment: { KMS_KEY_ARN: '', SESSIONS_TABLE: '', AWS_REGION: '' } });
    assert.deepEqual(constants, { KMS_KEY_ARN: DEFAULT_KEY, SESSIONS_TABLE: DEFAULT_TABLE, AWS_REGION: 'us-east-1' });
  });

  it('are strings in this process', () => {
    for (const constant of [KMS_KEY_ARN, SESSIONS_TABLE, AWS_REGION]) assert.equal(typeof constant, 'string');
  });

  it('of an unusable environment fail at construction, naming the variable', async () => {
    for (const [variable, value] of Object.entries({ KMS_KEY_ARN: 'alias/sessions', SESSIONS_TABLE: 'my sessions' })) {
      const { results } = await inProcess({ environment: { [variable]: value } });
      assert.equal(results[0]?.error?.code, 'ERR_CONFIG', variable);
      assert.match(results[0].error.detail, new RegExp(variable));
    }
  });

  it('that an option replaces may be unusable', async () => {
    const environment = { KMS_KEY_ARN: 'alias/sessions', SESSIONS_TABLE: 'my sessions' };
    const { results } = await inProcess({ environment, config: { kmsKeyArn: DEFAULT_KEY, tableName: 'sessions' } });
    assert.deepEqual(results, []);
  });

  it('do not matter to local mode', async () => {
    const environment = { KMS_KEY_ARN: 'alias/sessions' };
    const { results } = await inProcess({ environment, config: { local: { path: './never-made' } } });
    assert.deepEqual(results, []);
  });
});
