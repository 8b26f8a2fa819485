// Traces of requests to a real Express and a real Fastify application, with OpenTelemetry's own instrumentations.

import '../support/telemetry.ts';
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { SpanKind, trace } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { observe } from 'connect-dynamodb-kms/opentelemetry';
import { type AwsBackend, quiet, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import * as onExpress from '../support/express-app.ts';
import * as onFastify from '../support/fastify-app.ts';
import { enclosing, exporter, ours, requestsEnded } from '../support/telemetry.ts';

const tracer = trace.getTracer('the application');

/** What a route does. */
type Work = (sid: string) => Promise<void>;

const frameworks = {
  async express(store: DynamoDBSessionStore, work: Work) {
    const app = onExpress.expressApp(store);
    // After the application's error handler, which only errors reach.
    app.post('/work', (req, res, next) => {
      tracer.startSpan('in the handler').end();
      work(req.sessionID).then(() => res.json({}), next);
    });
    return onExpress.listen(app);
  },
  async fastify(store: DynamoDBSessionStore, work: Work) {
    const app = await onFastify.fastifyApp(store);
    app.post('/work', async (request) => {
      tracer.startSpan('in the handler').end();
      await work(request.session.sessionId);
      return {};
    });
    const origin = await onFastify.listen(app);
    return { origin, close: () => app.close() };
  },
};

for (const [framework, start] of Object.entries(frameworks)) {
  describe(`OpenTelemetry in an application of ${framework}`, () => {
    let backend: AwsBackend;
    let store: DynamoDBSessionStore;
    let app: Awaited<ReturnType<typeof start>>;
    let work: Work = async () => {};
    let observation: ReturnType<typeof observe>;
    before(async () => {
      backend = await startAws();
      store = backend.store();
      app = await start(store, (sid) => work(sid));
      observation = observe();
    });
    beforeEach(() => exporter.reset());
    afterEach(() => quiet(store));
    after(async () => {
      observation.stop();
      await app.close();
      await backend.stop();
    });

    /** The spans of this package that belong to the request of a server's span. */
    const within = (server: ReadableSpan) => ours().filter((span) => enclosing(span).at(-1) === server);
    const names = (spans: ReadableSpan[]) => spans.map(({ name }) => name.split(' ')[0]);

    it("makes the session's calls descendants of the request's span", async () => {
      const browser = new Browser(app.origin);
      await browser.post('/login/ada');
      await browser.get('/me');
      const [login, me] = await requestsEnded(2);
      assert.equal(login!.kind, SpanKind.SERVER);
      assert.deepEqual(names(within(login!)), ['set']);
      assert.deepEqual(names(within(me!)).sort(), ['get', framework === 'express' ? 'touch' : 'set']);
      assert.equal(within(login!).length + within(me!).length, ours().length, 'no call is outside of a request');
      assert.notEqual(login!.spanContext().traceId, me!.spanContext().traceId);
    });

    it('does not make the handler a child of the call that read the session', async () => {
      const browser = new Browser(app.origin);
      await browser.post('/login/ada');
      exporter.reset();
      await browser.post('/work');
      const [request] = await requestsEnded(1);
      const inHandler = exporter.getFinishedSpans().find(({ name }) => name === 'in the handler')!;
      const outside = enclosing(inHandler);
      assert.equal(outside.at(-1), request);
      assert.deepEqual(
        outside.filter((span) => ours().includes(span)),
        [],
      );
    });

    it("makes the application's work in update and withLock part of the request, below those calls", async () => {
      const browser = new Browser(app.origin);
      await browser.post('/login/ada');
      exporter.reset();
      work = async (sid) => {
        await store.withLock(sid, async () => {
          tracer.startSpan('in the lock').end();
          await store.update(sid, async (session) => {
            await Promise.resolve();
            tracer.startSpan('in the update').end();
            session.note = 'changed';
          });
        });
      };
      await browser.post('/work');
      const [request] = await requestsEnded(1);
      const path = (name: string) => enclosing(exporter.getFinishedSpans().find((span) => span.name === name)!);
      assert.deepEqual(names(path('in the lock').slice(0, 1)), ['withLock']);
      assert.deepEqual(names(path('in the update').slice(0, 2)), ['update', 'withLock']);
      assert.equal(path('in the update').at(-1), request);
      assert.deepEqual(
        names(within(request!)).filter((name) => name === 'update' || name === 'withLock'),
        ['update', 'withLock'],
      );
    });

    it('keeps requests apart that run at the same time', async () => {
      const browsers = Array.from({ length: 8 }, () => new Browser(app.origin));
      await Promise.all(browsers.map((browser, index) => browser.post(`/login/user${index}`)));
      exporter.reset();
      work = async (sid) => {
        await store.update(sid, (session) => {
          session.note = sid;
        });
      };
      await Promise.all(browsers.map((browser) => browser.post('/work')));
      const requests = await requestsEnded(8);
      for (const request of requests) {
        const spans = within(request);
        assert.ok(names(spans).includes('get') && names(spans).includes('update'));
        assert.equal(new Set(spans.map(({ attributes }) => attributes['connect_dynamodb_kms.session'])).size, 1);
      }
    });
  });
}
