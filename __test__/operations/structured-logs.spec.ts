// The fields of log lines: which loggers get them, how, and what they say.

import '../support/switched-timers.ts';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it, mock, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  createEnvelope,
  DynamoDBSessionStore,
  SealedStore,
  type SessionStoreConfig,
  SessionStoreError,
} from 'connect-dynamodb-kms';
import Fastify from 'fastify';
import { type AwsBackend, quiet, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { startAnswering } from '../support/http-server.ts';
import { turnKeys } from '../support/key-clock.ts';
import { bunyanLogger, linesOfStore, pinoLogger, winstonLogger } from '../support/log-lines.ts';

process.env.AWS_MAX_ATTEMPTS = '1';

/** What never comes would hold the tests up. */
const LIMIT = { timeout: 300_000 };
const SID = 'the-session-of-the-log';
const fingerprint = (sid: string) => createHash('sha256').update(sid).digest('hex').slice(0, 8);
const REQUEST_ID = 'F00DK3YR3QU3STID';

/** A store whose reads DynamoDB throttles, and the line and the fields of one of them. */
const TEXT = `connect-dynamodb-kms: get of session ${fingerprint(SID)} failed: ERR_DYNAMODB_THROTTLED: `;
const FIELDS = {
  operation: 'get',
  session: fingerprint(SID),
  code: 'ERR_DYNAMODB_THROTTLED',
  requestId: REQUEST_ID,
  retryAfterMillis: 250,
};

async function throttled(t: TestContext, options: SessionStoreConfig): Promise<DynamoDBSessionStore> {
  const headers = {
    'content-type': 'application/x-amz-json-1.0',
    'x-amzn-requestid': REQUEST_ID,
    'x-amz-retry-after': '250',
  };
  const body = { __type: 'com.amazonaws.dynamodb.v20120810#ThrottlingException', message: 'slow down' };
  const server = await startAnswering(400, headers, JSON.stringify(body));
  const store = new DynamoDBSessionStore({
    recordVersion: 2,
    tableName: 'sessions',
    dynamodbEndpoint: server.url,
    kmsEndpoint: server.url,
    ...options,
  });
  t.after(async () => {
    await store.close();
    await server.close();
  });
  return store;
}

/** Has a read fail. */
async function failedRead(t: TestContext, options: SessionStoreConfig): Promise<void> {
  const store = await throttled(t, options);
  await failing(store.get(SID), 'ERR_DYNAMODB_THROTTLED');
}

function assertLine(line: any, rest: object, message: string): void {
  const { [message]: text, ...others } = line;
  assert.ok(text.startsWith(TEXT), text);
  assert.deepEqual(others, rest);
}

describe('a line about a failed call', LIMIT, () => {
  it('has its fields beside the message in a pino logger', async (t) => {
    const { logger, lines } = pinoLogger();
    await failedRead(t, { logger });
    assert.equal(lines().length, 1);
    assertLine(lines()[0], { level: 40, ...FIELDS }, 'msg');
  });

  it('has them in a child of one, beside those that the child adds', async (t) => {
    const { logger, lines } = pinoLogger();
    await failedRead(t, { logger: logger.child({ part: 'sessions' }) });
    assertLine(lines()[0], { level: 40, part: 'sessions', ...FIELDS }, 'msg');
  });

  it("has them in Fastify's own log", async (t) => {
    const texts: string[] = [];
    const app = Fastify({ logger: { stream: { write: (text: string) => void texts.push(text) } } });
    const store = await throttled(t, { logger: app.log });
    app.get('/', async () => store.get(SID));
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    t.after(() => app.close());
    assert.equal((await fetch(url)).status, 503);
    const lines = texts.map((text) => JSON.parse(text));
    const own = lines.filter(({ msg }) => msg.startsWith('connect-dynamodb-kms'));
    assert.equal(own.length, 1);
    const { time, pid, hostname, ...line } = own[0];
    assertLine(line, { level: 40, ...FIELDS }, 'msg');
  });

  it('has none in a Fastify application without a log, and fails nothing', async (t) => {
    const app = Fastify();
    t.after(() => app.close());
    await failedRead(t, { logger: app.log });
  });

  it('has none in a pino logger with logFields: false', async (t) => {
    const { logger, lines } = pinoLogger();
    await failedRead(t, { logger, logFields: false });
    assertLine(lines()[0], { level: 40 }, 'msg');
  });

  it('is one string for winston, which has methods of the same names', async (t) => {
    const { logger, lines } = winstonLogger();
    await failedRead(t, { logger });
    assertLine(lines()[0], { level: 'warn' }, 'message');
  });

  it("has its fields in winston with logFields: 'last'", async (t) => {
    const { logger, lines } = winstonLogger();
    await failedRead(t, { logger, logFields: 'last' });
    assertLine(lines()[0], { level: 'warn', ...FIELDS }, 'message');
  });

  it("is one string for bunyan, and has its fields with logFields: 'first'", async (t) => {
    const { logger, lines } = bunyanLogger();
    await failedRead(t, { logger });
    await failedRead(t, { logger, logFields: 'first' });
    assertLine(lines()[0], { level: 40 }, 'msg');
    assertLine(lines()[1], { level: 40, ...FIELDS }, 'msg');
  });

  it('is one argument for console, and for any other object with the two methods', async (t) => {
    const warn = t.mock.method(console, 'warn', () => {});
    await failedRead(t, {});
    const own = { warn: t.mock.fn(), debug() {}, child() {}, bindings() {}, level: 'warn' };
    await failedRead(t, { logger: own });
    for (const { calls } of [warn.mock, own.warn.mock]) {
      assert.equal(calls.length, 1);
      assert.equal(calls[0]!.arguments.length, 1);
      assert.match(String(calls[0]!.arguments[0]), new RegExp(`^${TEXT}`));
    }
  });

  it('goes to the methods that the logger has then, such as those of a pino whose level has changed', async (t) => {
    const { logger, lines } = pinoLogger({ level: 'silent' });
    const store = await throttled(t, { logger });
    logger.level = 'warn';
    await failing(store.get(SID), 'ERR_DYNAMODB_THROTTLED');
    assert.equal(lines().length, 1);
  });
});

describe('the option logFields', () => {
  it('is refused if it is something else', () => {
    for (const logFields of ['middle', true, null, 1, {}, ['first']] as any[]) {
      for (const make of [
        () => new DynamoDBSessionStore({ recordVersion: 2, logFields }),
        () => new SealedStore({ logFields }),
        () => createEnvelope({ logFields }),
      ]) {
        assert.throws(make, (error: any) => error.code === 'ERR_CONFIG' && /^logFields must be/.test(error.detail));
      }
    }
  });
});

describe('the fields', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: Date.now() }));
  afterEach(async () => {
    mock.timers.reset();
    await backend.aws.clearFaults();
  });
  after(() => backend.stop());

  let count = 0;
  const newSid = () => `session-${count++}`;
  const refuse = (action: string) => backend.aws.fault({ action, status: 400, code: 'AccessDeniedException', message: 'no' });

  /** A store that keeps its lines, and the fields of those so far without the ids of AWS's requests. */
  function logging(options: SessionStoreConfig = {}) {
    const { lines, options: log } = linesOfStore();
    const store = backend.store({ ...options, ...log });
    const fields = () => lines.map(({ fields: { requestId, ...rest } }) => rest);
    return { store, lines, fields };
  }

  it('say how many failures had no line', async () => {
    const { store, lines, fields } = logging();
    await refuse('dynamodb:GetItem');
    const sid = newSid();
    for (let n = 0; n < 4; n++) await failing(store.get(sid), 'ERR_ACCESS_DENIED');
    mock.timers.tick(60_000);
    await failing(store.get(sid), 'ERR_ACCESS_DENIED');
    const own = { operation: 'get', session: fingerprint(sid), code: 'ERR_ACCESS_DENIED' };
    assert.deepEqual(fields(), [own, { ...own, omitted: 3 }]);
    assert.match(lines[1]!.message, /and 3 more since/);
  });

  it('name no session where the call is about none', async () => {
    const { store, fields } = logging();
    await refuse('dynamodb:Scan');
    await failing(store.length(), 'ERR_ACCESS_DENIED');
    assert.deepEqual(fields(), [{ operation: 'length', code: 'ERR_ACCESS_DENIED' }]);
  });

  it('name the method, whatever the line says failed of it', async () => {
    const { store, lines, fields } = logging({ touchAfter: 0 });
    const sid = newSid();
    await store.set(sid, { cookie: { expires: new Date(Date.now() + 3_600_000) } } as any);
    const session = (await store.get(sid))!;
    session.cookie!.expires = new Date(Date.now() + 7_200_000);
    await refuse('dynamodb:UpdateItem');
    await new Promise((resolve) => store.touch(sid, session, resolve));
    await quiet(store);
    assert.match(lines.at(-1)!.message, /touch after an answer of session/);
    assert.deepEqual(fields(), [{ operation: 'touch', session: fingerprint(sid), code: 'ERR_ACCESS_DENIED' }]);
  });

  it('name the method of a record that is answered as of no session', async () => {
    const { store, lines, fields } = logging({ onIntegrityFailure: 'missing', recordVersion: 2 });
    const [sid, other] = [newSid(), newSid()];
    await backend.store({ recordVersion: 2 }).set(other, { cookie: {} });
    const table = { TableName: 'sessions' };
    const { Item } = await backend.aws.dynamodbCall('GetItem', { ...table, Key: { sessionId: { S: other } } });
    await backend.aws.dynamodbCall('PutItem', { ...table, Item: { ...Item, sessionId: { S: sid } } });
    assert.equal(await store.get(sid), null);
    assert.match(lines.at(-1)!.message, /get, answered as of no session, of session/);
    assert.deepEqual(fields(), [{ operation: 'get', session: fingerprint(sid), code: 'ERR_INTEGRITY' }]);
  });

  it('have the code alone of the caller where the call failed with an error of its own', async () => {
    const { store, fields } = logging();
    const sid = newSid();
    const secret = Object.assign(new Error('secret'), { code: 'secret', requestId: 'secret', retryAfterMillis: 1 });
    await assert.rejects(
      store.withLock(sid, () => {
        throw secret;
      }),
    );
    assert.deepEqual(fields(), [{ operation: 'withLock', session: fingerprint(sid) }]);
  });

  it('have no request id that AWS did not give', async () => {
    const { store, lines } = logging();
    const cause = Object.assign(new Error('secret'), { requestId: 'secret' });
    await assert.rejects(
      store.withLock(newSid(), () => {
        throw new SessionStoreError({ code: 'ERR_CONFLICT', cause });
      }),
    );
    assert.equal(lines[0]!.fields.code, 'ERR_CONFLICT');
    assert.equal('requestId' in lines[0]!.fields, false);
  });

  it('of a session that has ended', async () => {
    const { store, lines, fields } = logging({ ttlSeconds: 60 });
    const sid = newSid();
    await store.set(sid, { cookie: {} });
    mock.timers.tick(61_000);
    assert.equal(await store.get(sid), null);
    assert.equal(lines[0]!.level, 'debug');
    assert.deepEqual(fields(), [{ event: 'expired', operation: 'get', session: fingerprint(sid) }]);
  });

  it('of a conflict', async () => {
    const { store, lines, fields } = logging();
    const sid = newSid();
    await store.set(sid, { cookie: {}, n: 0 });
    const session = (await store.get(sid))!;
    await backend.store().set(sid, { cookie: {}, n: 1 });
    session.n = 2;
    await store.set(sid, session);
    assert.equal(lines[0]!.level, 'debug');
    assert.deepEqual(fields(), [{ event: 'conflict', operation: 'set', session: fingerprint(sid), resolution: 'overwritten' }]);
  });

  it('of a lease', async () => {
    const { store, fields } = logging();
    const sid = newSid();
    await refuse('dynamodb:DeleteItem');
    await store.withLock(sid, () => 'done');
    const own = { operation: 'withLock', session: fingerprint(sid), code: 'ERR_ACCESS_DENIED' };
    assert.deepEqual(fields(), [{ event: 'leaseNotReleased', ...own }]);
  });

  it('of a refresh: one that failed early, and one whose token is not fresh', async () => {
    const { store, fields } = logging();
    const sid = newSid();
    await store.set(sid, { cookie: {}, expires: Date.now() + 10_000 });
    const expiresAt = (session: any) => session.expires;
    const failed = () => {
      throw new Error('the provider is down');
    };
    await store.refresh(sid, { expiresAt, refresh: failed });
    while (store.stats().tasksInFlight > 0) await turn();
    const stale = (session: any) => {
      session.expires = Date.now() + 20_000;
    };
    await store.refresh(sid, { expiresAt, refresh: stale });
    const own = { operation: 'refresh', session: fingerprint(sid) };
    assert.deepEqual(fields(), [own, { event: 'refreshedStale', ...own }]);
  });

  for (const [event, status, code, counter] of [
    ['keysRevoked', 400, 'DisabledException', 'checksRevoked'],
    ['revocationCheckUnanswered', 500, 'KMSInternalException', 'checksUnknown'],
  ] as const) {
    it(`of a revocation check: ${event}`, async () => {
      const { store, fields } = logging();
      const sid = newSid();
      await store.set(sid, { cookie: {} });
      await backend.aws.fault({ action: 'kms:*', status, code });
      mock.timers.tick(60_000);
      turnKeys(60);
      await store.get(sid);
      while (store.stats().keyCache[counter] === 0) await turn();
      mock.timers.tick(60_000);
      await store.length();
      assert.deepEqual(fields(), [{ event }]);
    });
  }

  it('of a SealedStore name an item; those of an envelope neither', async () => {
    const { lines, options } = linesOfStore();
    const { tableName, dynamodbEndpoint, kmsEndpoint } = backend.config;
    const store = new SealedStore({ tableName, dynamodbEndpoint, kmsEndpoint, ...options });
    await refuse('dynamodb:GetItem');
    await failing(store.get('a-code'), 'ERR_ACCESS_DENIED');
    await store.close();
    const envelope = createEnvelope({ kmsEndpoint: backend.aws.kms, ...options });
    await refuse('kms:GenerateDataKey');
    await failing(envelope.encrypt('text'), 'ERR_ACCESS_DENIED');
    await envelope.close();
    assert.deepEqual(
      lines.map(({ fields: { requestId, ...rest } }) => rest),
      [
        { operation: 'get', item: fingerprint('a-code'), code: 'ERR_ACCESS_DENIED' },
        { operation: 'encrypt', code: 'ERR_ACCESS_DENIED' },
      ],
    );
  });

  it('of a callback that answered a request twice', async () => {
    const { store, fields } = logging();
    await new Promise<void>((resolve) => {
      store.get(newSid(), () => {
        resolve();
        throw Object.assign(new Error('twice'), { code: 'ERR_HTTP_HEADERS_SENT' });
      });
    });
    await turn();
    assert.deepEqual(fields(), [{ event: 'answeredTwice' }]);
  });

  it('of users.idOf that has found nobody', async () => {
    const { store, fields } = logging({ users: { idOf: 'nobody.id', secret: 'a secret of the users' }, recordVersion: 2 });
    await store.set(newSid(), { cookie: {} });
    await store.sessionsOf('ada');
    assert.deepEqual(fields(), [{ event: 'noUserYet' }]);
  });
});
