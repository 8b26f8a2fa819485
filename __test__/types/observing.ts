// The entry points for OpenTelemetry and Prometheus: what they take, and what the compiler must refuse.

import type { MeterProvider, TracerProvider } from '@opentelemetry/api';
import { createEnvelope, DynamoDBSessionStore, SealedStore } from 'connect-dynamodb-kms';
import { type Observation, type ObserveOptions, observe } from 'connect-dynamodb-kms/opentelemetry';
import { type Collection, type CollectOptions, collect } from 'connect-dynamodb-kms/prometheus';
import { type OpenMetricsContentType, Registry, register } from 'prom-client';

declare const tracerProvider: TracerProvider;
declare const meterProvider: MeterProvider;

const observation: Observation = observe();
observation.stop();
const observeOptions: Required<ObserveOptions> = { tracerProvider, meterProvider };
observe(observeOptions);
observe({ tracerProvider: undefined });
// @ts-expect-error: a provider of metrics makes no spans
observe({ tracerProvider: meterProvider });
// @ts-expect-error: no such option
observe({ tracer: tracerProvider });

const collection: Collection = collect(new DynamoDBSessionStore());
collection.stop();
const collectOptions: Required<CollectOptions> = { register, labels: { store: 'sessions', shard: 1 } };
collect(new SealedStore<number>({ prefix: 'code:' }), collectOptions);
collect(createEnvelope(), { register: new Registry() });
collect(createEnvelope(), { register: new Registry<OpenMetricsContentType>() });
// @ts-expect-error: no store
collect({});
// @ts-expect-error: a label is a text or a number
collect(createEnvelope(), { labels: { store: true } });
