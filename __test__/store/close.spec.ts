// close(): calls in flight end first, in their time; what has no deadline gets one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { startHttp } from '../support/http-server.ts';
import { hold } from '../support/lease-holder.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

/** A store that never closes would hold the tests up. */
const LIMIT = { timeout: 300_000 };
const WHOLE_TABLE = ['all', 'ids', 'length', 'clear'] as const;

/** A table whose Scan has one more page until it ends. */
async function startEndless(t: TestContext) {
  let pages = 0;
  let last = false;
  const server = await startHttp((request, response) => {
    request.resume().on('end', () => {
      const more = last ? {} : { LastEvaluatedKey: { sessionId: { S: `${++pages}` } } };
      const body = JSON.stringify({ Items: [], Count: 0, ScannedCount: 1, ...more });
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': `${pages}` }).end(body);
    });
  });
  t.after(() => server.close());
  return {
    url: server.url,
    end() {
      last = true;
    },
    goOn() {
      last = false;
    },
  };
}

describe('close()', LIMIT, () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  async function proxied(t: TestContext) {
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    return { proxy, store: backend.store({ dynamodbEndpoint: proxy.url }) };
  }

  for (const method of WHOLE_TABLE) {
    it(`ends a call of ${method} that goes on and on`, async (t) => {
      const { url } = await startEndless(t);
      const store = backend.store({ dynamodbEndpoint: url, timeouts: { callMillis: 500 } });
      const call = failing(store[method](), 'ERR_CLOSED');
      await store.close();
      await call;
    });
  }

  it('is what gives those calls a deadline', async (t) => {
    const callMillis = 1000; // for each page of a scan, if for anything
    const { url, end, goOn } = await startEndless(t);
    const store = backend.store({ dynamodbEndpoint: url, timeouts: { callMillis } });
    end();
    await store.length(); // makes the client
    goOn();
    const calls = WHOLE_TABLE.map((method) => store[method]());
    await new Promise((resolve) => setTimeout(resolve, 2 * callMillis));
    end();
    assert.deepEqual(await Promise.all(calls), [[], [], 0, undefined]);
  });

  for (const [operation, call] of [
    ['GetItem', 'get'],
    ['Scan', 'length'],
  ] as const) {
    it(`waits for ${call}, which has its time`, async (t) => {
      const { proxy, store } = await proxied(t);
      const other = backend.store();
      await other.set('sid', { user: 'Ada' });
      const answer = proxy.hold(operation, 'answer');
      const ended: string[] = [];
      const calling = call === 'get' ? store.get('sid') : store.length();
      await answer.reached;
      const closing = store.close().then(() => ended.push('closed'));
      await other.ping(); // three requests: longer than a close that waits for nobody
      ended.push('the answer comes');
      answer.pass();
      await Promise.all([calling, closing]);
      assert.equal(ended[0], 'the answer comes');
      assert.deepEqual(await calling, call === 'get' ? { user: 'Ada' } : 1);
    });
  }

  it('refuses a later call at once, although an earlier one of the same session has not ended', async (t) => {
    const { proxy, store } = await proxied(t);
    const answer = proxy.hold('PutItem', 'answer');
    const saving = store.set('sid', { user: 'Ada' });
    await answer.reached;
    const closing = store.close();
    const ended: string[] = [];
    const late = failing(store.get('sid'), 'ERR_CLOSED').then(() => ended.push('refused'));
    await backend.store().ping();
    ended.push('the answer comes');
    answer.pass();
    await Promise.all([saving, late, closing]);
    assert.deepEqual(ended, ['refused', 'the answer comes']);
  });

  it('lets update() write nothing that has read before', async (t) => {
    const { proxy, store } = await proxied(t);
    await backend.store().set('sid', { user: 'Ada' });
    const answer = proxy.hold('GetItem', 'answer');
    const updating = store.update('sid', (session) => ({ ...session, user: 'Bob' }));
    await answer.reached;
    const closing = store.close();
    answer.pass();
    await failing(updating, 'ERR_CLOSED');
    await closing;
    assert.deepEqual(await backend.store().get('sid'), { user: 'Ada' });
  });

  it('does not wait for the tasks of withLock, whose leases end by themselves', async () => {
    const lines: string[] = [];
    const store = backend.store({ logger: { warn: (line) => void lines.push(line), debug() {} } });
    const { signal, end } = await hold(store, 'sid', { leaseSeconds: 1 });
    await store.close();
    if (!signal.aborted) await once(signal, 'abort');
    assert.equal(signal.reason.code, 'ERR_LOCK_TIMEOUT');
    // Had before the holder has given it back.
    assert.equal(await backend.store().withLock('sid', () => 'mine'), 'mine');
    assert.equal(await end(), 'the result');
    assert.match(lines.join(), /could not be released \(ERR_CLOSED\)/);
  });
});
