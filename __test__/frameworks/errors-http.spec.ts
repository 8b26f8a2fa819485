// What a visitor's browser gets of a failure, by code and framework, in development: a status, a code and a fixed text; nothing of the operator's.

import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, mock, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { DynamoDBSessionStore, type SessionStoreErrorCode } from 'connect-dynamodb-kms';
import { type ErrorApp, type FrameworkName, frameworkNames, signed, startErrorApp } from '../support/error-apps.ts';
import { RETRYABLE } from '../support/failures.ts';
import { REFUSING_URL, startSilent } from '../support/http-server.ts';
import { Stage } from '../support/stage.ts';

const MESSAGES: Record<SessionStoreErrorCode, string> = {
  ERR_CONFIG: 'the session store is misconfigured, or was given an argument that it cannot use; see detail',
  ERR_KMS_UNAVAILABLE: "the session store's key service is not available; try again later",
  ERR_KMS_THROTTLED: "the session store's key service is busy; try again later",
  ERR_KMS_KEY_UNUSABLE: "the session store's encryption key cannot be used; see detail",
  ERR_DYNAMODB_UNAVAILABLE: "the session store's database is not available; try again later",
  ERR_DYNAMODB_THROTTLED: "the session store's database is busy; try again later",
  ERR_TABLE_NOT_FOUND: "the session store's table does not exist; see detail",
  ERR_TABLE_SCHEMA: "the session store's table cannot hold sessions; see detail",
  ERR_ACCESS_DENIED: 'the session store lacks a permission; see detail',
  ERR_CREDENTIALS: 'the session store has no usable credentials; see detail',
  ERR_INTEGRITY: 'the stored session failed its integrity check; see detail',
  ERR_VERSION: 'the stored session has a version that is not accepted; see detail',
  ERR_SESSION_TOO_LARGE: 'the session is too large to be stored; see detail',
  ERR_SERIALIZATION: 'the session cannot be written as JSON, or read from it; see detail',
  ERR_CONFLICT: 'the session was changed in two places at the same time; see detail',
  ERR_NOT_SAVED: 'the session has not been saved yet; see detail',
  ERR_LOCK_TIMEOUT: 'the lock of the session could not be taken or kept; try again later',
  ERR_OVERLOADED: 'the session store has too many calls to answer; try again later',
  ERR_INTERNAL: 'the session store failed because of a defect; see detail',
  ERR_CLOSED: 'the session store is closed; see detail',
};

const [TABLE, REGION, ACCOUNT] = ['payroll-table', 'eu-central-1', '232282424912'];
const KEY = `arn:aws:kms:${REGION}:${ACCOUNT}:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a`;
const ROLE = `arn:aws:sts::${ACCOUNT}:assumed-role/payroll-gateway/i-0abc`;

/** What no browser may read, whatever failed. */
const OF_THE_OPERATOR = [
  ...[TABLE, REGION, ACCOUNT, 'arn:', 'payroll', 'dynamodb:', 'kms:', '127.0.0.1', 'folder', 'request id', 'Exception'],
  ...['tableName', 'kmsKeyArn', 'acceptVersions', 'maxCallsInFlight', 'waitSeconds', 'local.path', 'prefix', 'chmod', 'bytes'],
];

interface Failing {
  code: SessionStoreErrorCode;
  what: string;
  /** Parts of what the operator is told, which the visitor is not. */
  detail: string[];
  store: (t: TestContext) => DynamoDBSessionStore | Promise<DynamoDBSessionStore>;
  /** The session that the visitor's cookie names; by default that of a login. */
  sid?: string;
  /** What the visitor asks for; by default a page whose session cannot be read. */
  path?: string;
}

describe('what a visitor gets', { timeout: 300_000 }, () => {
  let stage: Stage;
  let root: string;
  const login = new Map<FrameworkName, Map<string, string>>();
  /** What Express prints of errors. */
  const printed: string[] = [];

  before(async () => {
    mock.method(console, 'error', (...args: unknown[]) => void printed.push(inspect(args)));
    stage = await Stage.start(['--table', TABLE, '--key-arn', KEY]);
    root = await mkdtemp(join(tmpdir(), 'payroll-'));
    for (const framework of frameworkNames) {
      const app = await startErrorApp(framework, working());
      assert.equal((await app.browser.post('/login')).status, 200);
      login.set(framework, app.browser.cookies);
      await app.close();
    }
  });
  after(async () => {
    mock.restoreAll();
    await stage.stop();
    await rm(root, { recursive: true });
  });

  const working = (options = {}) => stage.store({ tableName: TABLE, region: REGION, kmsKeyArn: KEY, ...options });

  /** A store whose requests of `action` are refused as AWS does it: its messages name everything. */
  const refused = (action: string, status: number, code: string) => async (t: TestContext) => {
    const resource = action.startsWith('kms') ? KEY : `arn:aws:dynamodb:${REGION}:${ACCOUNT}:table/${TABLE}`;
    await stage.backend.aws.fault({ action, status, code, message: `User: ${ROLE} may not perform: ${action} on: ${resource}` });
    t.after(() => stage.backend.aws.clearFaults());
    return working();
  };
  const local = (folder: string) =>
    new DynamoDBSessionStore({
      recordVersion: 1,
      local: { path: folder },
      logger: { warn: (line) => void stage.lines.push(line), debug() {} },
    });
  const newFolder = () => mkdtemp(join(root, 'folder-'));

  const failures: Failing[] = [
    {
      code: 'ERR_ACCESS_DENIED',
      what: 'a permission of the table is missing',
      detail: ['dynamodb:GetItem', TABLE],
      store: refused('dynamodb:GetItem', 400, 'AccessDeniedException'),
    },
    {
      code: 'ERR_ACCESS_DENIED',
      what: 'a permission of the key is missing',
      detail: ['kms:Decrypt', KEY],
      store: refused('kms:Decrypt', 400, 'AccessDeniedException'),
    },
    {
      code: 'ERR_TABLE_NOT_FOUND',
      what: 'the table is missing',
      detail: ['payroll-archive', REGION, 'tableName'],
      store: () => working({ tableName: 'payroll-archive' }),
    },
    {
      code: 'ERR_TABLE_SCHEMA',
      what: 'the table has another key',
      detail: [TABLE, 'sessionId'],
      store: refused('dynamodb:GetItem', 400, 'ValidationException'),
    },
    {
      code: 'ERR_KMS_KEY_UNUSABLE',
      what: 'the key is disabled',
      detail: [KEY, 'kms:Decrypt', 'kmsKeyArn'],
      store: refused('kms:Decrypt', 400, 'DisabledException'),
    },
    {
      code: 'ERR_CREDENTIALS',
      what: 'the credentials are refused',
      detail: ['dynamodb:GetItem', 'profile'],
      store: refused('dynamodb:GetItem', 400, 'UnrecognizedClientException'),
    },
    {
      code: 'ERR_DYNAMODB_THROTTLED',
      what: 'the table is throttled',
      detail: ['dynamodb:GetItem'],
      store: refused('dynamodb:GetItem', 400, 'ThrottlingException'),
    },
    {
      code: 'ERR_KMS_THROTTLED',
      what: 'the key is throttled',
      detail: ['kms:Decrypt'],
      store: refused('kms:Decrypt', 400, 'ThrottlingException'),
    },
    {
      code: 'ERR_DYNAMODB_UNAVAILABLE',
      what: 'DynamoDB cannot be reached',
      detail: ['dynamodb:GetItem'],
      store: async () => working({ dynamodbEndpoint: REFUSING_URL }),
    },
    {
      code: 'ERR_KMS_UNAVAILABLE',
      what: 'KMS cannot be reached',
      detail: ['kms:Decrypt'],
      store: async () => working({ kmsEndpoint: REFUSING_URL }),
    },
    {
      code: 'ERR_INTEGRITY',
      what: 'another key sealed the session',
      detail: ['nothing was deleted'],
      store: refused('kms:Decrypt', 400, 'InvalidCiphertextException'),
    },
    {
      code: 'ERR_VERSION',
      what: 'the version is not accepted',
      detail: ['acceptVersions'],
      store: () => working({ recordVersion: 2, acceptVersions: [2] }),
    },
    {
      code: 'ERR_CONFIG',
      what: 'the session id is too long behind the prefix',
      detail: ['an id must', 'bytes'],
      sid: 'x'.repeat(3000),
      store: () => working({ prefix: 'payroll-' }),
    },
    {
      code: 'ERR_CONFIG',
      what: 'the function ttlSeconds throws',
      detail: ['ttlSeconds'],
      path: '/visit',
      store: () =>
        working({
          ttlSeconds() {
            throw new Error(`no plan of ${ROLE}`);
          },
        }),
    },
    {
      code: 'ERR_CONFIG',
      what: 'withLock has no such option',
      detail: ['seconds', 'waitSeconds'],
      path: '/wrong-option',
      store: () => working(),
    },
    {
      code: 'ERR_SESSION_TOO_LARGE',
      what: 'the session is too large',
      detail: ['409600'],
      path: '/large',
      store: () => working(),
    },
    { code: 'ERR_SERIALIZATION', what: 'the session is no JSON', detail: ['toJSON'], path: '/text', store: () => working() },
    {
      code: 'ERR_CONFLICT',
      what: 'the session has unsaved changes',
      detail: ['not saved'],
      path: '/update',
      store: () => working(),
    },
    {
      code: 'ERR_NOT_SAVED',
      what: 'the session was never saved',
      detail: ['save it first'],
      path: '/update-new',
      store: () => working(),
    },
    {
      code: 'ERR_LOCK_TIMEOUT',
      what: 'somebody has the lease',
      detail: ['waitSeconds'],
      path: '/locked',
      store: () => working(),
    },
    {
      code: 'ERR_OVERLOADED',
      what: 'too many calls wait',
      detail: ['maxCallsInFlight'],
      async store(t) {
        const silent = await startSilent();
        t.after(() => silent.close());
        const store = working({ dynamodbEndpoint: silent.url, maxCallsInFlight: 1, timeouts: { callMillis: 5000 } });
        store.get('another').catch(() => {});
        return store;
      },
    },
    {
      code: 'ERR_CLOSED',
      what: 'the store is closed',
      detail: ['make a new one'],
      async store() {
        const store = working();
        await store.close();
        return store;
      },
    },
    {
      code: 'ERR_CONFIG',
      what: 'the folder of the local mode is a file',
      detail: ['local.path', 'SESSIONS_LOCAL', 'payroll-'],
      async store() {
        const file = join(await newFolder(), 'file');
        await writeFile(file, 'no folder');
        return local(file);
      },
    },
    {
      code: 'ERR_CONFIG',
      what: 'the key file of the local mode is open to others',
      detail: ['chmod 600', 'payroll-'],
      async store() {
        const folder = await newFolder();
        const first = local(folder);
        await first.set('sid', { cookie: {} });
        await first.close();
        await chmod(join(folder, 'key'), 0o644);
        return local(folder);
      },
    },
    {
      code: 'ERR_CONFIG',
      what: 'the file of the local mode is broken',
      detail: ['payroll-'],
      async store() {
        const folder = await newFolder();
        await writeFile(join(folder, 'sessions.redb'), 'somebody else wrote this'.repeat(100));
        return local(folder);
      },
    },
  ];

  /** Lets a visitor who is logged in meet the failure. */
  async function meet(t: TestContext, framework: FrameworkName, { store, sid, path = '/me' }: Failing, way?: string) {
    stage.lines.length = printed.length = 0;
    const failingStore = await store(t);
    const app: ErrorApp = await startErrorApp(framework, failingStore, way);
    t.after(() => app.close());
    for (const [name, value] of login.get(framework)!) app.browser.cookies.set(name, sid ? signed(framework, sid) : value);
    const answer = await app.browser.get(path);
    assert.ok(app.errors.length > 0, 'the application met no error');
    const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
    return {
      ...answer,
      text: text.replaceAll('&#39;', "'").replaceAll('&quot;', '"'),
      error: app.errors[0]!,
      logged: app.logged,
    };
  }

  for (const framework of frameworkNames) {
    describe(`from ${framework}'s own error handler, when`, () => {
      for (const failing of failures) {
        const { code, what, detail } = failing;
        it(`${what}, is ${code} and no more`, async (t) => {
          const { status, body, text, error, logged } = await meet(t, framework, failing);
          assert.equal(error.code, code);
          const expected = RETRYABLE[code] ? 503 : 500;
          assert.equal(status, expected);
          const phrase = expected === 503 ? 'Service Unavailable' : 'Internal Server Error';
          if (framework === 'Fastify') {
            assert.deepEqual(body, { statusCode: expected, code, error: phrase, message: MESSAGES[code] });
          } else {
            assert.ok(text.includes(`SessionStoreError: ${MESSAGES[code]}<br>`), text);
          }
          // The operator learns it, and so there was something to keep from the visitor.
          for (const part of detail) assert.ok(error.detail.includes(part), `"${error.detail}" does not say ${part}`);
          assert.ok(
            stage.lines.some((line) => line.includes(`${code}: ${error.detail}`)),
            'the log of the store has no detail',
          );
          const shown = framework === 'Fastify' ? JSON.stringify(error.detail) : inspect(error.detail);
          const seen = framework === 'Fastify' ? logged : printed;
          const deadline = performance.now() + 5000; // a framework may log after it has answered
          while (!seen.some((line) => line.includes(shown))) {
            assert.ok(performance.now() < deadline, `the log of ${framework} has no detail`);
            await new Promise(setImmediate);
          }
          const { message: cause } = (error.cause ?? { message: error.detail }) as Error;
          for (const hidden of [...OF_THE_OPERATOR, error.detail, cause, root]) {
            assert.ok(!text.includes(hidden), `"${hidden}" is in: ${text}`);
          }
        });
      }
    });
  }

  it('covers every code', () => {
    const { ERR_INTERNAL: _, ...met } = MESSAGES; // no request is known that leads to a defect
    assert.deepEqual([...new Set(failures.map(({ code }) => code))].sort(), Object.keys(met).sort());
  });

  const [denied] = failures as [Failing];
  for (const [framework, way, expected] of [
    ['Fastify', 'reply.send(error)', ['code', 'error', 'message', 'statusCode']],
    ['Fastify', 'reply.send({ error })', ['code', 'message', 'retryable', 'statusCode']],
    ['Fastify', 'a response schema', ['code', 'error', 'message', 'statusCode']],
    ['Fastify', 'an open response schema', ['code', 'error', 'message', 'retryable', 'statusCode']],
    ['Express', 'res.json(error)', ['code', 'message', 'retryable', 'statusCode']],
    ['Express', 'res.json({ error })', ['code', 'message', 'retryable', 'statusCode']],
    ['Express', 'production', undefined],
  ] as const) {
    it(`from ${framework} with ${way} is nothing of the operator's`, async (t) => {
      const { status, body, text } = await meet(t, framework, denied, way);
      assert.equal(status, 500);
      if (expected) {
        const sent = way.endsWith('({ error })') ? body.error : body;
        assert.deepEqual(Object.keys(sent).sort(), expected);
        assert.equal(sent.message, MESSAGES.ERR_ACCESS_DENIED);
        assert.ok(sent.error === undefined || sent.error === 'Internal Server Error');
      } else {
        assert.match(text, /<pre>Internal Server Error<\/pre>/);
      }
      for (const hidden of OF_THE_OPERATOR) assert.ok(!text.includes(hidden), `"${hidden}" is in: ${text}`);
    });
  }
});
