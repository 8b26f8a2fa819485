/**
 * connect-dynamodb-kms/prometheus: the counters of stores and envelopes as metrics of `prom-client`,
 * which must be installed unless `collect` is given a registry. docs/observing.md lists the names.
 */

import type { Registry } from 'prom-client';
import type { DynamoDBSessionStore, Envelope, SealedStore } from './index.js';

/** The options of {@link collect}. */
export interface CollectOptions {
  /** Where the metrics are registered. Default: the global `register` of `prom-client`. */
  register?: Registry<any> | undefined;
  /**
   * Labels of all metrics of this store, such as `{ store: 'sessions' }`. Stores in one registry need
   * different ones. Default `{}`.
   */
  labels?: Record<string, string | number> | undefined;
}

/** What {@link collect} returns. */
export interface Collection {
  /** Takes the store out of the registry. Can be called again. */
  stop(): void;
}

/**
 * Adds a store's counters to a registry: every scrape reads its `stats()`. The registry keeps the
 * store until it is closed, or taken out with `stop()`.
 * @throws {TypeError} if `store` is no store or envelope of this package, an option is unknown or
 *   unusable, or a label has the name of a label of these metrics.
 * @throws {Error} if the registry has a store with the same labels, or other metrics with these names.
 */
export function collect(store: DynamoDBSessionStore | SealedStore<any> | Envelope, options?: CollectOptions): Collection;
