// What is a child of what, with OpenTelemetry's own SDK: calls, what they are given, and what follows them.

import '../support/telemetry.ts';
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { trace } from '@opentelemetry/api';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { enclosing, exporter, observing, ours } from '../support/telemetry.ts';

const SID = 'a session id that must not show anywhere';
const TABLE = 'sessions';
const tracer = trace.getTracer('the application');

describe('OpenTelemetry, its context', () => {
  let backend: AwsBackend;
  let store: DynamoDBSessionStore;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  beforeEach(() => {
    store = backend.store();
  });
  afterEach(async () => {
    await backend.aws.clearFaults();
    exporter.reset();
  });

  it('makes calls children of the active span', async (t) => {
    observing(t);
    await tracer.startActiveSpan('outer', async (outer) => {
      await store.get(SID);
      assert.equal(trace.getActiveSpan(), outer);
      outer.end();
    });
    const [get] = ours();
    assert.deepEqual(
      enclosing(get!).map(({ name }) => name),
      ['outer'],
    );
  });

  for (const [method, call] of Object.entries({
    update: (work: () => Promise<void>) => store.update(SID, work),
    withLock: (work: () => Promise<void>) => store.withLock(SID, work),
    refresh: (work: () => Promise<void>) => store.refresh(SID, { isFresh: () => false, refresh: work }),
  }))
    it(`makes what the function given to ${method} does a child of that call`, async (t) => {
      observing(t);
      await store.set(SID, { cookie: {} });
      await tracer.startActiveSpan('outer', async (outer) => {
        const running = call(async () => {
          tracer.startSpan('before').end();
          await store.get('another');
          await new Promise((resolve) => setTimeout(resolve, 1));
          tracer.startSpan('after').end();
        });
        assert.equal(trace.getActiveSpan(), outer, 'while it runs');
        await running.catch(() => {});
        assert.equal(trace.getActiveSpan(), outer, 'after it');
        outer.end();
      });
      const path = (name: string) =>
        enclosing(exporter.getFinishedSpans().find((span) => span.name === name)!).map((s) => s.name);
      for (const name of ['before', 'after', `get ${TABLE}`]) assert.deepEqual(path(name), [`${method} ${TABLE}`, 'outer'], name);
    });

  it('in callbacks is that of the caller', async (t) => {
    observing(t);
    await store.set(SID, { cookie: {}, user: 'ada' });
    const session = await store.get(SID);
    const callers = new Map<string, unknown>();
    await tracer.startActiveSpan('outer', async (outer) => {
      await new Promise<void>((resolve) => {
        store.get(SID, () => {
          callers.set('get', trace.getActiveSpan());
          store.get(SID, () => {
            callers.set('nested get', trace.getActiveSpan());
            store.touch(SID, session!, () => {
              callers.set('touch at once', trace.getActiveSpan());
              store.update(
                SID,
                () => {
                  throw new Error('no change');
                },
                () => {
                  callers.set('update that fails', trace.getActiveSpan());
                  resolve();
                },
              );
            });
          });
        });
      });
      for (const [name, span] of callers) assert.equal(span, outer, name);
      assert.equal(callers.size, 4);
      outer.end();
    });
  });

  it('of concurrent calls does not mix', async (t) => {
    observing(t);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        tracer.startActiveSpan(`outer ${index}`, async (outer) => {
          await store.set(`${SID} ${index}`, { cookie: {} });
          await store.update(`${SID} ${index}`, async () => {
            await store.get(`${SID} ${index}`);
            tracer.startSpan(`inner ${index}`).end();
          });
          outer.end();
        }),
      ),
    );
    const inner = exporter.getFinishedSpans().filter(({ name }) => name.startsWith('inner'));
    assert.equal(inner.length, 20);
    for (const span of inner) {
      const index = span.name.split(' ')[1];
      assert.deepEqual(
        enclosing(span).map(({ name }) => name),
        [`update ${TABLE}`, `outer ${index}`],
      );
    }
    assert.equal(ours().filter((span) => enclosing(span).at(-1)?.name.startsWith('outer')).length, 60);
  });
});
