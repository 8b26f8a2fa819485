// What spans and metrics show of errors that are not AWS's: those of the application, which may say anything.

import '../support/telemetry.ts';
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { SpanStatusCode } from '@opentelemetry/api';
import { type Backend, startLocal } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { exporter, meters, observing, ours } from '../support/telemetry.ts';

const SECRET = 'a_secret';

describe('OpenTelemetry, of an error of the application', () => {
  let backend: Backend;
  before(async () => {
    backend = await startLocal();
  });
  after(() => backend.stop());
  afterEach(() => exporter.reset());

  it('shows neither the name nor the request id if it is the cause of an ERR_CONFIG', async (t) => {
    observing(t);
    const ttlSeconds = () => {
      throw Object.assign(new Error(SECRET), { name: SECRET, requestId: SECRET });
    };
    const { cause } = await failing(backend.store({ ttlSeconds }).set('sid', { cookie: {} }), 'ERR_CONFIG');
    assert.equal(cause!.requestId, SECRET);
    const [{ attributes, status }] = ours() as any;
    assert.equal(attributes['error.type'], 'ERR_CONFIG');
    assert.equal(status.code, SpanStatusCode.ERROR);
    assert.doesNotMatch(JSON.stringify([attributes, status]), /a_secret/);
  });

  it('ends the span if the cause cannot even be asked for its name', async (t) => {
    const uncaught = t.mock.fn();
    process.on('uncaughtException', uncaught);
    t.after(() => process.off('uncaughtException', uncaught));
    observing(t);
    const cause = {
      get name(): string {
        throw new Error(SECRET);
      },
    };
    const ttlSeconds = () => {
      throw cause;
    };
    await backend
      .store({ ttlSeconds })
      .set('sid', { cookie: {} })
      .catch(() => {});
    await new Promise(setImmediate);
    assert.equal(uncaught.mock.callCount(), 0);
    assert.equal(ours().length, 1);
  });

  it('shows no name of what is no error, such as a user', async (t) => {
    const { meterProvider, metrics } = meters();
    observing(t, { meterProvider });
    const store = backend.store({ prefix: 'thrown:' });
    await store.set('sid', { cookie: {} });
    const user = { name: SECRET };
    const given = await store.update('sid', () => Promise.reject(user)).catch((error) => error);
    assert.equal(given, user);
    assert.equal(ours().at(-1)!.attributes['error.type'], '_OTHER');
    assert.doesNotMatch(
      JSON.stringify([ours().map(({ attributes, status }) => [attributes, status]), await metrics()]),
      /a_secret/,
    );
  });

  it("has the name of an error of the application's own, also of one that is no class of this realm", async (t) => {
    observing(t);
    const store = backend.store({ prefix: 'named:' });
    await store.set('sid', { cookie: {} });
    const { runInNewContext } = await import('node:vm');
    for (const [error, name] of [
      [new RangeError(SECRET), 'RangeError'],
      [runInNewContext('new RangeError("a_secret")'), 'RangeError'],
      [new DOMException(SECRET, 'AbortError'), 'AbortError'],
    ] as const) {
      await store.update('sid', () => Promise.reject(error)).catch(() => {});
      assert.equal(ours().at(-1)!.attributes['error.type'], name);
    }
  });
});
