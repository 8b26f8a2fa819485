/**
 * connect-dynamodb-kms/opentelemetry: spans and metrics of every call, for OpenTelemetry. It needs
 * the package `@opentelemetry/api`. docs/observing.md lists the names.
 */

import type { MeterProvider, TracerProvider } from '@opentelemetry/api';

/** The options of {@link observe}. */
export interface ObserveOptions {
  /** Who makes the spans. Default: the provider that is registered globally, also if it is registered later. */
  tracerProvider?: TracerProvider | undefined;
  /** Who makes the metrics. Default: the provider that is registered globally, also if it is registered later. */
  meterProvider?: MeterProvider | undefined;
}

/** What {@link observe} returns. */
export interface Observation {
  /**
   * Makes no further spans and metrics, once all who called `observe` with these providers have
   * stopped. Calls that run now still end their spans. Can be called again.
   */
  stop(): void;
}

/**
 * Makes a span and metrics of every call of every store and envelope of this process, until it is
 * stopped. Call it once, at the start; a second call with the same providers changes nothing. A
 * call's span is a child of the span that is active where the call is made, and is active itself
 * while a function that was given to `update`, `refresh` or `withLock` runs.
 * @throws {TypeError} if an option is unknown or is no provider.
 */
export function observe(options?: ObserveOptions): Observation;
