// OpenTelemetry's SDK in this process, with its instrumentations of HTTP, Express and Fastify. Specs import it before the frameworks. What
// is recorded stays in memory.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { FastifyOtelInstrumentation } from '@fastify/otel';
import { SpanKind } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { ExpressInstrumentation } from '@opentelemetry/instrumentation-express';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { type DataPoint, type Histogram, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { type ObserveOptions, observe } from 'connect-dynamodb-kms/opentelemetry';

const SCOPE = 'connect-dynamodb-kms';

export const exporter = new InMemorySpanExporter();
export const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
tracerProvider.register();
registerInstrumentations({
  tracerProvider,
  instrumentations: [
    new HttpInstrumentation(),
    new ExpressInstrumentation(),
    new FastifyOtelInstrumentation({ registerOnInitialization: true }),
  ],
});
// The instrumentations change what `require` gives, for all who have it.
const require = createRequire(import.meta.url);
for (const name of ['node:http', 'express']) require(name);

/** Observes until the test ends. */
export function observing(t: TestContext, options?: ObserveOptions) {
  const observation = observe(options);
  t.after(() => observation.stop());
  return observation;
}

/** What spans and metrics of a store's call have in common. */
export const databaseAttributes = (operation: string) => ({
  'db.system.name': 'aws.dynamodb',
  'db.operation.name': operation,
  'db.collection.name': 'sessions',
  'connect_dynamodb_kms.component': 'session-store',
});

/** The spans of this package's calls that have ended, in the order of their ends. */
export function ours(): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.instrumentationScope.name === SCOPE);
}

/** The ended spans that enclose a span, the nearest first. */
export function enclosing(span: ReadableSpan): ReadableSpan[] {
  const parent = exporter.getFinishedSpans().find((other) => other.spanContext().spanId === span.parentSpanContext?.spanId);
  return parent ? [parent, ...enclosing(parent)] : [];
}

/** Waits until the servers' spans of so many requests have ended. */
export async function requestsEnded(count: number): Promise<ReadableSpan[]> {
  const servers = () => exporter.getFinishedSpans().filter(({ kind }) => kind === SpanKind.SERVER);
  while (servers().length < count) await turn();
  return servers();
}

class Reader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

/** A provider of metrics, and what they are now. */
export function meters() {
  const reader = new Reader();
  const meterProvider = new MeterProvider({ readers: [reader] });
  const metrics = async () => {
    const { resourceMetrics, errors } = await reader.collect();
    assert.deepEqual(errors, []);
    return resourceMetrics.scopeMetrics.filter(({ scope }) => scope.name === SCOPE).flatMap((scope) => scope.metrics);
  };
  const metric = async (name: string) => (await metrics()).find(({ descriptor }) => descriptor.name === name);
  return {
    meterProvider,
    metrics,
    metric,
    /** The values of a counter with their attributes. */
    async counts(name: string): Promise<Array<[Record<string, unknown>, number]>> {
      const points = ((await metric(name))?.dataPoints ?? []) as DataPoint<number>[];
      return points.map(({ attributes, value }) => [attributes, value]);
    },
    async histogram(name: string): Promise<Array<{ attributes: Record<string, any>; value: Histogram }>> {
      return ((await metric(name))?.dataPoints ?? []) as any;
    },
  };
}
