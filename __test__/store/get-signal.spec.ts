// get() with an AbortSignal: a caller who gives up does not wait, and nothing else changes.

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { type AwsBackend, quietLogger, startAws } from '../support/backends.ts';
import { byCallback } from '../support/calls.ts';
import { failing } from '../support/failures.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

describe('get with a signal', () => {
  let backend: AwsBackend;
  let proxy: StoppingProxy;
  before(async () => {
    backend = await startAws();
    proxy = await StoppingProxy.start(backend.aws.dynamodb);
    await backend.store().set('sid', { cookie: {}, n: 1 });
  });
  after(async () => {
    await proxy.close();
    await backend.stop();
  });

  it('gives what get gives, and leaves no listener behind', async () => {
    const { signal } = new AbortController();
    const store = backend.store();
    assert.deepEqual(await store.get('sid', { signal }), { cookie: {}, n: 1 });
    assert.equal(await store.get('missing', { signal }), null);
    assert.deepEqual(await store.get('sid', {}), { cookie: {}, n: 1 });
    assert.deepEqual(await store.get('sid', { signal: undefined }), { cookie: {}, n: 1 });
    assert.deepEqual(getEventListeners(signal, 'abort'), []);
  });

  it('rejects with the reason of a signal that has aborted, and asks nobody', async () => {
    await backend.aws.reset();
    const reason = new Error('the client is gone');
    await assert.rejects(backend.store().get('sid', { signal: AbortSignal.abort(reason) }), (error) => error === reason);
    assert.deepEqual(await backend.aws.calls(), {});
  });

  it('rejects with the reason of a signal that aborts while it waits, without a failure in the log', async () => {
    const logger = quietLogger();
    const store = backend.store({ dynamodbEndpoint: proxy.url, logger });
    const held = proxy.hold('GetItem', 'answer');
    const controller = new AbortController();
    const reading = store.get('sid', { signal: controller.signal });
    await held.reached;
    assert.equal(store.stats().callsInFlight, 1);
    controller.abort();
    await assert.rejects(reading, { name: 'AbortError' }); // though the answer is still held back
    assert.deepEqual(getEventListeners(controller.signal, 'abort'), []);
    held.pass();
    await store.close(); // waits for the read
    assert.equal(store.stats().callsInFlight, 0);
    assert.deepEqual(logger.lines, []);
    assert.deepEqual(store.stats().errors, {});
  });

  it('fails as get fails', async () => {
    const store = backend.store({ tableName: 'not-there' });
    await failing(store.get('sid', { signal: new AbortController().signal }), 'ERR_TABLE_NOT_FOUND');
  });

  it('refuses what is no signal, and options that there are not', async () => {
    const store = backend.store();
    for (const signal of [7, 'abort', {}, new EventTarget()]) {
      const error = await failing(store.get('sid', { signal } as object), 'ERR_CONFIG');
      assert.match(error.detail, /signal.*AbortSignal/);
    }
    assert.match((await failing(store.get('sid', { timeout: 5 } as object), 'ERR_CONFIG')).detail, /get.*timeout.*signal/);
  });

  it('changes nothing for callbacks, also beside a signal', async () => {
    const store = backend.store();
    assert.deepEqual(await byCallback((done) => store.get('sid', done)), [null, { cookie: {}, n: 1 }]);
    const { signal } = new AbortController();
    assert.deepEqual(await byCallback((done) => (store.get as any)('sid', { signal }, done)), [null, { cookie: {}, n: 1 }]);
    const [error] = await byCallback((done) => (store.get as any)('sid', { signal: AbortSignal.abort() }, done));
    assert.equal(error.name, 'AbortError');
  });
});
