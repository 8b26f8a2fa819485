// The channel on which calls are published: every public call, from its beginning until its caller is answered.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type CallMessage, createEnvelope, DynamoDBSessionStore, SealedStore } from 'connect-dynamodb-kms';
import { type Backend, quietLogger, startLocal } from '../support/backends.ts';
import { byCallback } from '../support/calls.ts';
import { callChannel, traced } from '../support/channels.ts';
import { assertFailure, assertNothingOf, failing } from '../support/failures.ts';
import { Program } from '../support/program.ts';
import { COMPONENTS, NO_CALLS, SECRET, SESSION_CALLS, SID, USER } from '../support/public-calls.ts';

const SHORT = createHash('sha256').update(SID).digest('hex').slice(0, 8);
const LIFE = ['start', 'end', 'asyncStart', 'asyncEnd'];

describe('the channel of calls', () => {
  let backend: Backend;
  before(async () => {
    backend = await startLocal();
  });
  after(() => backend.stop());

  for (const { component, calls, make, tableName } of COMPONENTS) {
    it(`has every call of a promise of the ${component}`, async (t) => {
      const store = make(await folder(t));
      const log = traced(t);
      for (const { method, args, outcome, hasSession } of calls) {
        log.length = 0;
        await store[method](...args);
        log.push({ event: 'answered', message: log[0]!.message, outcome: undefined, text: '' });
        assert.deepEqual(
          log.map(({ event }) => event),
          [...LIFE, 'answered'],
          method,
        );
        const { message } = log[0]!;
        for (const event of log) assert.equal(event.message, message, `${method}: another message`);
        const { requests, keyCacheHit, session, ...rest } = message;
        assert.deepEqual(rest, { operation: method, component, ...(tableName && { tableName }), outcome });
        assert.deepEqual(
          log.map((event) => event.outcome),
          [undefined, undefined, outcome, outcome, undefined],
          method,
        );
        if (args[0] === SID) assert.equal(session, SHORT);
        assert.equal(session !== undefined, hasSession === true, method);
        assert.deepEqual(requests, { dynamodb: 0, kms: 0 }); // of local mode
        for (const { text } of log) assertNothingOf([SID, SECRET, USER], text);
      }
    });
  }

  it('has every call of a callback', async (t) => {
    const { make } = COMPONENTS[0]!;
    const store = make(await folder(t));
    const log = traced(t);
    for (const { method, args, outcome } of SESSION_CALLS) {
      log.length = 0;
      await byCallback((done) =>
        store[method](...args, (...answer: unknown[]) => {
          log.push({ event: 'answered', message: log[0]!.message, outcome: undefined, text: '' });
          done(...answer);
        }),
      );
      assert.deepEqual(
        log.map(({ event }) => event),
        ['start', 'end', 'asyncStart', 'answered', 'asyncEnd'],
        method,
      );
      assert.equal(log[4]!.outcome, outcome, method);
      for (const { text } of log) assertNothingOf([SID, SECRET, USER], text);
    }
  });

  it('leaves no public method out', () => {
    const envelope = createEnvelope({ local: { path: backend.config.local!.path }, logger: quietLogger() });
    const prototypes = [DynamoDBSessionStore.prototype, SealedStore.prototype, Object.getPrototypeOf(envelope)];
    for (const [index, prototype] of prototypes.entries()) {
      const called = new Set(COMPONENTS[index]!.calls.map(({ method }) => method));
      for (const name of Object.getOwnPropertyNames(prototype))
        assert.ok(called.has(name) || NO_CALLS.includes(name), `${name} is not called here`);
    }
  });

  it('has what is opened by an envelope', async (t) => {
    const envelope = createEnvelope({ local: { path: await folder(t) }, logger: quietLogger() });
    const sealed = await envelope.encrypt(SECRET);
    const log = traced(t);
    assert.equal(await envelope.decrypt(sealed), SECRET);
    assert.deepEqual(
      log.map(({ event, message }) => [event, message.operation, message.outcome]),
      LIFE.map((event) => [event, 'decrypt', 'done']),
    );
    for (const { text } of log) assertNothingOf([SECRET, sealed.encryptedKey], text);
  });

  it('has calls that are answered before they return', async (t) => {
    const store = backend.store({ touchAfter: 0 });
    const session = { cookie: {}, n: 1 };
    await store.set('at once', session);
    const log = traced(t);
    for (const method of ['set', 'touch'] as const) {
      log.length = 0;
      let answered = false;
      store[method]('at once', session, () => {
        answered = true;
        log.push({ event: 'answered', message: log[0]!.message, outcome: undefined, text: '' });
      });
      assert.equal(answered, true);
      assert.deepEqual(
        log.map(({ event }) => event),
        ['start', 'end', 'asyncStart', 'answered', 'asyncEnd'],
      );
      assert.match(log.at(-1)!.outcome!, /^(extended|unchanged)$/);
    }
  });

  it('has one call a page of sessions()', async (t) => {
    const store = backend.store({ prefix: 'pages:' });
    await store.set('one', { cookie: {} });
    const log = traced(t);
    for await (const _ of store.sessions());
    assert.deepEqual(
      log.map(({ event, message }) => [event, message.operation, message.outcome]),
      LIFE.map((event) => [event, 'sessions', 'done']),
    );
  });

  it('has the calls that regenerate and load make', async (t) => {
    const store = backend.store({ prefix: 'express:' });
    const log = traced(t);
    await promisify(store.load.bind(store))('missing');
    Object.assign(store, { generate() {} });
    await promisify(store.regenerate.bind(store))({ sessionID: 'missing' });
    assert.deepEqual([...new Set(log.map(({ message }) => message.operation))], ['get', 'destroy']);
  });

  it('tells the error of a call that fails before it ends', async (t) => {
    const store = backend.store({ prefix: 'failing:', maxCallsInFlight: 1, users: undefined });
    await store.set('sid', { cookie: {} });
    const log = traced(t);
    const mine = new Error('of the application');
    const failures: Array<[string, () => Promise<unknown>, string | undefined]> = [
      ['get', () => store.get(7 as any), 'ERR_CONFIG'],
      ['set', () => store.set('sid', (() => {}) as any), 'ERR_SERIALIZATION'],
      ['sessionsOf', () => store.sessionsOf('ada'), 'ERR_CONFIG'],
      ['get', () => store.get('sid', { signal: AbortSignal.abort(mine) }), undefined],
      ['get', () => store.get('sid', { signal: 7 as any }), 'ERR_CONFIG'],
      ['update', () => store.update('sid', () => Promise.reject(mine)), undefined],
      ['withLock', () => store.withLock('sid', () => Promise.reject(mine)), undefined],
    ];
    for (const [operation, call, code] of failures) {
      log.length = 0;
      const error = await call().then(
        () => assert.fail(`${operation} did not fail`),
        (reason) => reason,
      );
      if (code) assertFailure(error, code as any);
      else assert.equal(error, mine);
      assert.deepEqual(
        log.map(({ event }) => event),
        ['start', 'end', 'error', 'asyncStart', 'asyncEnd'],
      );
      const { message } = log[0]!;
      assert.equal(message.operation, operation);
      assert.equal(message.error, error);
      assert.equal(message.code, code);
      assert.equal(message.outcome, undefined);
    }
    // By a callback, also with what is no error.
    log.length = 0;
    const [given] = await byCallback((done) => (store.update as any)('sid', () => Promise.reject(undefined), done));
    assertFailure(given, 'ERR_CONFIG');
    assert.deepEqual(
      log.map(({ event }) => event),
      ['start', 'end', 'error', 'asyncStart', 'asyncEnd'],
    );
    // Overloaded, and closed.
    log.length = 0;
    const first = store.get('sid');
    await failing(store.get('sid'), 'ERR_OVERLOADED');
    await first;
    await store.close();
    await failing(store.get('sid'), 'ERR_CLOSED');
    assert.deepEqual(
      log.filter(({ event }) => event === 'error').map(({ message }) => message.code),
      ['ERR_OVERLOADED', 'ERR_CLOSED'],
    );
  });

  it('ends a call whose caller has gone when it goes', async (t) => {
    const store = backend.store({ prefix: 'gone:' });
    await store.set('sid', { cookie: {} });
    const log = traced(t);
    const controller = new AbortController();
    const reading = store.get('sid', { signal: controller.signal });
    controller.abort();
    await assert.rejects(reading, { name: 'AbortError' });
    await store.close(); // waits for the read
    assert.deepEqual(
      log.filter(({ message }) => message.operation === 'get').map(({ event }) => event),
      ['start', 'end', 'error', 'asyncStart', 'asyncEnd'],
    );
  });

  it('keeps the context of callers in callbacks and promises', async (t) => {
    const store = backend.store({ prefix: 'context:', touchAfter: 0 });
    const session = { cookie: {} };
    await store.set('sid', session);
    const own = new AsyncLocalStorage<string>();
    const span = new AsyncLocalStorage<CallMessage>();
    callChannel.start.bindStore(span, (message) => message);
    t.after(() => callChannel.start.unbindStore(span));
    const inside: unknown[] = [];
    const look = () => void inside.push(own.getStore(), span.getStore()?.operation);
    await own.run('a request', async () => {
      await store.get('sid');
      look();
      await new Promise<void>((resolve) =>
        store.get('sid', () => {
          look();
          resolve();
        }),
      );
      store.touch('sid', session, look); // at once
      await store.update('sid', look);
      await store.withLock('sid', look);
      await turn();
      look();
    });
    const outside = ['a request', undefined];
    const [ofUpdate, ofLock] = ['update', 'withLock'].map((operation) => ['a request', operation]);
    assert.deepEqual(inside, [outside, outside, outside, ofUpdate, ofLock, outside].flat());
  });

  it('gives callbacks the context that is bound to asyncStart', async (t) => {
    const store = backend.store({ prefix: 'bound:', touchAfter: 0 });
    const session = { cookie: {} };
    await store.set('sid', session);
    const span = new AsyncLocalStorage<CallMessage>();
    callChannel.asyncStart.bindStore(span, (message) => message);
    t.after(() => callChannel.asyncStart.unbindStore(span));
    const inside: unknown[] = [];
    const look = () => void inside.push(span.getStore()?.operation);
    await new Promise<void>((resolve) =>
      store.get('sid', () => {
        look();
        setImmediate(() => {
          look();
          resolve();
        });
      }),
    );
    store.touch('sid', session, look);
    await store.get('sid').then(look);
    assert.deepEqual(inside, ['get', 'get', 'touch', undefined]);
  });

  it('says nothing to subscribers that have left, nor of calls that began before they came', async (t) => {
    const store = backend.store({ prefix: 'left:' });
    const before = store.get('sid');
    const log = traced(t);
    await before;
    assert.deepEqual(log, []);
    await store.get('sid');
    assert.equal(log.length, 4);
    log.stop();
    await store.get('sid');
    assert.equal(log.length, 4);
  });

  it('answers a call whose subscriber throws; Node.js reports that as an uncaught exception', async (t) => {
    const { code, lines, stderr } = await new Program('throwing-subscriber-program', await folder(t)).end();
    assert.equal(code, 0, stderr);
    const { answers, uncaught } = JSON.parse(lines[0]!);
    assert.deepEqual(answers, [null, null]);
    assert.deepEqual(
      uncaught,
      [...LIFE, 'bound', ...LIFE, 'bound'].sort().map((event) => `thrown at ${event}`),
    );
  });
});

async function folder(t: TestContext): Promise<string> {
  const own = await startLocal();
  t.after(() => own.stop());
  return own.config.local!.path;
}
