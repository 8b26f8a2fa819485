// The channels beside that of the calls: requests to AWS, conflicts, leases and revocation checks; and what the calls say of their requests and keys.

import '../support/switched-timers.ts';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, afterEach, before, describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type CallMessage,
  type ConflictMessage,
  createEnvelope,
  type LeaseMessage,
  type RequestMessage,
  type RevocationMessage,
} from 'connect-dynamodb-kms';
import { type AwsBackend, quietLogger, startAws } from '../support/backends.ts';
import { published, traced } from '../support/channels.ts';
import { assertNothingOf, failing, shown } from '../support/failures.ts';
import { turnKeys } from '../support/key-clock.ts';
import { hold } from '../support/lease-holder.ts';
import { SID as LEASED, LeaseScene } from '../support/lease-scene.ts';
import { calls } from '../support/outcomes.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';
import { TurnedClock } from '../support/turned-clock.ts';

const require = createRequire(import.meta.url);
const { NativeStore } = require(join(dirname(require.resolve('connect-dynamodb-kms')), 'binding.js'));
const SID = 'an-id-that-nobody-may-see';
const SECRET = 'a-secret-that-nobody-may-see';
const SHORT = createHash('sha256').update(SID).digest('hex').slice(0, 8);
const THROTTLED = { status: 400, code: 'ProvisionedThroughputExceededException' };
const LENGTH = 12_600;
const RENEWAL = 4200;

describe('what happens inside calls', { timeout: 300_000 }, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  afterEach(() => backend.aws.clearFaults());

  /** The actions of the requests, as the servers count them. */
  function counted(requests: RequestMessage[]): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { service, operation } of requests)
      counts[`${service}:${operation}`] = (counts[`${service}:${operation}`] ?? 0) + 1;
    return counts;
  }

  /** The requests of some calls by their own messages. */
  function ofCalls(log: Array<{ message: CallMessage }>) {
    const messages = [...new Set(log.map(({ message }) => message))];
    const sum = (service: 'dynamodb' | 'kms') => messages.reduce((all, { requests }) => all + requests[service], 0);
    return { dynamodb: sum('dynamodb'), kms: sum('kms') };
  }

  it('is every attempt of every request, as the servers count them', async (t) => {
    const store = backend.store({ touchAfter: 0 });
    const log = traced(t);
    const requests = published<RequestMessage>(t, 'request');
    const served = await calls(backend, async () => {
      await backend.aws.fault({ action: 'dynamodb:GetItem', times: 2, ...THROTTLED });
      await backend.aws.fault({ action: 'kms:GenerateDataKey', times: 1, status: 400, code: 'ThrottlingException' });
      const session = { cookie: {}, secret: SECRET };
      await store.get(SID);
      await store.set(SID, session);
      await store.get(SID);
      await store.update(SID, (found) => ({ ...found, n: 1 }));
      await store.withLock(SID, () => store.record(SID));
      await store.touch(SID, session);
      await store.ids();
      await store.ping();
      await store.destroy(SID);
      await store.clear();
    });
    assert.deepEqual(counted(requests), served);
    const all = Object.entries(served);
    const sum = (service: string) => all.reduce((sum, [action, n]) => sum + (action.startsWith(service) ? n : 0), 0);
    assert.deepEqual(ofCalls(log), { dynamodb: sum('dynamodb:'), kms: sum('kms:') });
    const [first, second, third] = requests;
    for (const [index, message] of [first!, second!, third!].entries()) {
      const { milliseconds, call, ...rest } = message;
      assert.deepEqual(rest, {
        component: 'session-store',
        tableName: 'sessions',
        service: 'dynamodb',
        operation: 'GetItem',
        attempt: index + 1,
        status: index < 2 ? 400 : 200,
      });
      assert.ok(milliseconds > 0 && milliseconds < 60_000, `${milliseconds}`);
      assert.equal(call, log[0]!.message);
    }
    assert.deepEqual(log[0]!.message.requests, { dynamodb: 3, kms: 0 });
    const tried = (name: string) => requests.filter(({ operation }) => operation === name).map(({ attempt }) => attempt);
    assert.deepEqual(tried('GenerateDataKey').slice(0, 2), [1, 2]);
    // Requests of a task's own calls are theirs.
    const ofLock = requests.filter(({ call }) => call?.operation === 'withLock').map(({ operation }) => operation);
    assert.deepEqual(ofLock, ['PutItem', 'DeleteItem']);
    for (const message of requests) assertNothingOf([SID, SECRET], shown(message));
    for (const { text } of log) assertNothingOf([SID, SECRET], text);
  });

  it('is told before the call ends', async (t) => {
    const store = backend.store();
    const log = traced(t);
    const lines: string[] = [];
    const requests = published<RequestMessage>(t, 'request');
    const push = requests.push.bind(requests);
    requests.push = (...messages) => {
      lines.push(...messages.map(({ operation }) => `${operation} after ${log.at(-1)!.event}`));
      return push(...messages);
    };
    await store.get('told');
    assert.deepEqual(lines, ['GetItem after end']);
  });

  it('has the requests of reads that travel together in the call that sends them', async (t) => {
    const store = backend.store();
    const sids = Array.from({ length: 20 }, (_, n) => `together ${n}`);
    for (const sid of sids) await store.set(sid, { cookie: {} });
    const log = traced(t);
    const requests = published<RequestMessage>(t, 'request');
    const served = await calls(backend, async () => {
      const before = store.stats().batchReads.requests;
      while (store.stats().batchReads.requests === before) await Promise.all(sids.map((sid) => store.get(sid)));
    });
    assert.deepEqual(counted(requests), served);
    assert.ok(served['dynamodb:BatchGetItem']! > 0, 'no reads have met');
    assert.equal(ofCalls(log).dynamodb, requests.length);
    for (const { call, operation } of requests) assert.ok(call && call.requests.dynamodb > 0, `${operation} belongs to no call`);
    const joined = log.some(({ message, event }) => event === 'asyncEnd' && message.requests.dynamodb === 0);
    assert.ok(joined, 'no call has joined another one');
  });

  it('has the load of a data key in the call that began it', async (t) => {
    const writer = backend.store();
    await writer.set('one key', { cookie: {} });
    const store = backend.store({ batchReads: false });
    await store.length(); // has credentials
    const log = traced(t);
    const requests = published<RequestMessage>(t, 'request');
    await Promise.all([store.get('one key'), store.get('one key')]);
    const ofKms = requests.filter(({ service }) => service === 'kms');
    assert.equal(ofKms.length, 1);
    assert.equal(ofKms[0]!.operation, 'Decrypt');
    assert.deepEqual(ofCalls(log), { dynamodb: 2, kms: 1 });
    assert.equal(ofKms[0]!.call!.requests.kms, 1);
  });

  it('is an attempt without a status if nobody answers in time, and the call ends after it', async (t) => {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const store = backend.store({ dynamodbEndpoint: proxy.url, timeouts: { callMillis: 1500 } });
    await store.get('in time');
    const log = traced(t);
    const requests = published<RequestMessage>(t, 'request');
    const held = proxy.hold('GetItem', 'answer');
    await failing(store.get('late'), 'ERR_DYNAMODB_UNAVAILABLE');
    held.pass();
    assert.equal(requests.length, 1);
    const { status, operation, attempt, milliseconds, call } = requests[0]!;
    assert.deepEqual([status, operation, attempt], [undefined, 'GetItem', 1]);
    assert.ok(milliseconds >= 1200, `${milliseconds}`);
    assert.equal(call, log[0]!.message);
    assert.deepEqual(call!.requests, { dynamodb: 1, kms: 0 });
    assert.equal(call!.code, 'ERR_DYNAMODB_UNAVAILABLE');
  });

  it('is whether the data key was cached', async (t) => {
    const writer = backend.store();
    await writer.set('keys', { cookie: {} });
    await writer.set('keys too', { cookie: {} });
    const store = backend.store();
    const log = traced(t);
    const hits = async (call: () => Promise<unknown>) => {
      log.length = 0;
      await call();
      return log[0]!.message.keyCacheHit;
    };
    assert.equal(await hits(() => store.get('missing')), undefined);
    assert.equal(await hits(() => store.length()), undefined);
    assert.equal(await hits(() => store.get('keys')), false);
    assert.equal(await hits(() => store.get('keys')), true);
    assert.equal(await hits(() => store.update('keys', (found) => ({ ...found, n: 1 }))), true);
    assert.equal(await hits(() => store.set('keys anew', { cookie: {} })), false);
    // Its read needs a key that is not cached, and its write one that is.
    assert.equal(await hits(() => store.update('keys too', (found) => ({ ...found, n: 1 }))), false);
    await writer.set('keys three', { cookie: {} });
    assert.equal(await hits(() => store.all()), false); // of one session
    assert.equal(await hits(() => store.all()), true);
    const without = backend.store({ keyCache: false });
    assert.equal(await hits(() => without.get('keys')), false);
    assert.equal(await hits(() => without.get('keys')), false);
  });

  it('is what envelopes ask KMS for', async (t) => {
    const envelope = createEnvelope({ kmsEndpoint: backend.aws.kms, logger: quietLogger() });
    t.after(() => envelope.close());
    const log = traced(t);
    const requests = published<RequestMessage>(t, 'request');
    const sealed = await envelope.encrypt(SECRET);
    await envelope.decrypt(sealed);
    assert.deepEqual(
      requests.map(({ component, tableName, operation, call }) => [component, tableName, operation, call!.operation]),
      [['envelope', undefined, 'GenerateDataKey', 'encrypt']],
    );
    const ends = log.filter(({ event }) => event === 'asyncEnd');
    assert.deepEqual(
      ends.map(({ message }) => [message.keyCacheHit, message.requests.kms]),
      [
        [false, 1],
        [true, 0],
      ],
    );
  });

  it('is told to subscribers of requests alone, without the call, and not when they have left', async (t: TestContext) => {
    const store = backend.store();
    await store.get('alone');
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel');
    const messages: RequestMessage[] = [];
    const listener = (message: unknown) => void messages.push(message as RequestMessage);
    subscribe('connect-dynamodb-kms:request', listener);
    await store.get('alone');
    assert.equal(messages.length, 1);
    assert.equal('call' in messages[0]!, false);
    unsubscribe('connect-dynamodb-kms:request', listener);
    await store.get('alone');
    assert.equal(messages.length, 1);
    const again = published<RequestMessage>(t, 'request');
    await store.get('alone');
    assert.equal(again.length, 1); // and none of before
  });

  it('is noted by the native side only while somebody looks', async (t) => {
    const observe = t.mock.method(NativeStore.prototype, 'observe');
    const store = backend.store();
    await store.get('noted');
    const log = traced(t);
    await store.get('noted');
    await store.get('noted');
    log.stop();
    await store.get('noted');
    await store.get('noted');
    assert.deepEqual(
      observe.mock.calls.map((call: any) => call.arguments),
      [[true], [false]],
    );
  });

  it('goes on counting for a call that was answered at once', async (t) => {
    const store = backend.store({ touchAfter: 0 });
    const session = { cookie: {} };
    await store.set('at once', session);
    turnDate(t, 60_000);
    const log = traced(t);
    const requests = published<RequestMessage>(t, 'request');
    store.touch('at once', session, () => {});
    assert.equal(log.at(-1)!.event, 'asyncEnd');
    assert.equal(log.at(-1)!.outcome, 'extended');
    await store.get('at once'); // waits for it
    const [moved] = requests;
    assert.deepEqual([moved!.operation, moved!.call], ['UpdateItem', log[0]!.message]);
    assert.deepEqual(log[0]!.message.requests, { dynamodb: 1, kms: 0 });
  });

  it('is a revocation check, with its outcome', async (t) => {
    const own = await startAws();
    t.after(() => own.stop());
    const store = own.store();
    await store.set('revoked', { cookie: {} });
    const requests = published<RequestMessage>(t, 'request');
    const checks = published<RevocationMessage>(t, 'revocation');
    const log = traced(t);
    const check = async () => {
      const { length } = checks;
      turnKeys(70);
      await store.get('revoked');
      while (checks.length === length) await turn();
      return checks.at(-1);
    };
    const source = { component: 'session-store', tableName: 'sessions' };
    assert.deepEqual(await check(), { ...source, outcome: 'usable' });
    await own.aws.fault({ action: 'kms:Decrypt', status: 500, code: 'KMSInternalException' });
    assert.deepEqual(await check(), { ...source, outcome: 'unknown' });
    await own.aws.clearFaults();
    await own.aws.fault({ action: 'kms:Decrypt', status: 400, code: 'DisabledException' });
    assert.deepEqual(await check(), { ...source, outcome: 'revoked' });
    const ofKms = requests.filter(({ service }) => service === 'kms');
    assert.ok(ofKms.length >= 3, `${ofKms.length}`);
    for (const { call } of ofKms) assert.equal(call, undefined);
    for (const { message } of log) assert.equal(message.requests.kms, 0);
    const { checksUsable, checksUnknown, checksRevoked } = store.stats().keyCache;
    assert.deepEqual([checksUsable, checksUnknown, checksRevoked], [1, 1, 1]);
  });

  it('is a conflict, with what became of it', async (t) => {
    const conflicts = published<ConflictMessage>(t, 'conflict');
    for (const [onConflict, resolution] of [
      ['overwrite', 'overwritten'],
      ['drop', 'dropped'],
      ['error', 'refused'],
    ] as const) {
      const [mine, other] = [backend.store({ onConflict }), backend.store()];
      await other.set(SID, { cookie: {} });
      const session = (await mine.get(SID))!;
      await other.set(SID, { cookie: {}, secret: SECRET });
      session.secret = SECRET;
      conflicts.length = 0;
      await mine.set(SID, session).catch(() => {});
      assert.deepEqual(conflicts, [
        { operation: 'set', component: 'session-store', tableName: 'sessions', session: SHORT, resolution },
      ]);
      assertNothingOf([SID, SECRET], shown(conflicts));
    }
    const [mine, other] = [backend.store(), backend.store()];
    let times = 0;
    conflicts.length = 0;
    await mine.update(SID, async (found) => {
      if (times++ === 0) await other.update(SID, (theirs) => ({ ...theirs, n: 1 }));
      found.m = 1;
    });
    assert.deepEqual(
      conflicts.map(({ operation, resolution }) => [operation, resolution]),
      [['update', 'retried']],
    );
  });

  it('is a lease, from its beginning to its end', async (t) => {
    const leases = published<LeaseMessage>(t, 'lease');
    const store = backend.store();
    await store.withLock(SID, () => {});
    await store.set(SID, { cookie: {} });
    await store.refresh(SID, { isFresh: (s) => !!s.fresh, refresh: (s) => ({ ...s, fresh: true }) });
    while (leases.length < 4) await turn(); // nobody waits until the lease is given back
    const about = { component: 'session-store', tableName: 'sessions', session: SHORT };
    assert.deepEqual(leases, [
      { operation: 'withLock', ...about, event: 'acquired' },
      { operation: 'withLock', ...about, event: 'released' },
      { operation: 'refresh', ...about, event: 'acquired' },
      { operation: 'refresh', ...about, event: 'released' },
    ]);
    assertNothingOf([SID], shown(leases));
  });

  it('is the trouble of a lease, with the code of what failed', async (t) => {
    const scene = await LeaseScene.start();
    t.after(() => scene.stop());
    const leases = published<LeaseMessage>(t, 'lease');
    const clock = new TurnedClock(t);
    const { end } = await hold(scene.backend.store(), LEASED, { leaseSeconds: LENGTH / 1000 });
    await scene.backend.aws.fault({ action: 'dynamodb:*', status: 400, code: 'AccessDeniedException' });
    for (let renewal = 1; renewal <= 3; renewal++) {
      await clock.timer(RENEWAL);
      clock.tick(RENEWAL);
    }
    await end();
    assert.deepEqual(
      leases.map(({ event, code }) => [event, code]),
      [
        ['acquired', undefined],
        ['notRenewed', 'ERR_ACCESS_DENIED'],
        ['notRenewed', 'ERR_ACCESS_DENIED'],
        ['lost', undefined],
        ['notReleased', 'ERR_ACCESS_DENIED'],
      ],
    );
  });

  it('is no end of a lease that was lost', async (t) => {
    const scene = await LeaseScene.start();
    t.after(() => scene.stop());
    const leases = published<LeaseMessage>(t, 'lease');
    const clock = new TurnedClock(t);
    const { signal, end } = await hold(scene.backend.store(), LEASED, { leaseSeconds: LENGTH / 1000 });
    await scene.takeAway(3_600_000);
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    await clock.timer(RENEWAL);
    clock.tick(RENEWAL);
    await aborted;
    await end();
    assert.deepEqual(
      leases.map(({ event }) => event),
      ['acquired', 'lost'],
    );
  });
});

/** Lets this process's `Date` be so much later until the end of the test. */
function turnDate(t: TestContext, milliseconds: number): void {
  const { now } = Date;
  t.mock.method(Date, 'now', () => now() + milliseconds);
}
