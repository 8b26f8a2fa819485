'use strict';

/**
 * The upper bounds of the buckets, in milliseconds; what takes longer is in one more. From an answer
 * out of memory to the default deadline of a call. They never change: sums over a fleet and over
 * releases need the same ones.
 */
const LATENCY_BUCKETS = Object.freeze([1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000]);

/** @typedef {import('../index.js').OperationStats} OperationStats */

/** Counts the calls that have ended, by operation. */
class Latencies {
  /** @type {Map<string, OperationStats>} */
  #operations = new Map();

  /**
   * @param {string} operation
   * @param {number} milliseconds
   * @param {import('./call.js').Outcome | undefined} outcome `undefined` if the call failed.
   */
  count(operation, milliseconds, outcome) {
    const stats = this.#operations.get(operation) ?? this.#begin(operation);
    stats.count++;
    if (outcome === undefined) stats.errors++;
    else stats.outcomes[outcome] = (stats.outcomes[outcome] ?? 0) + 1;
    const { buckets } = stats.milliseconds;
    let bucket = 0;
    while (bucket < LATENCY_BUCKETS.length && milliseconds > /** @type {number} */ (LATENCY_BUCKETS[bucket])) bucket++;
    /** @type {number} */ (buckets[bucket])++;
    stats.milliseconds.sum += milliseconds;
  }

  /** A copy, for `stats()`. */
  get counts() {
    /** @param {OperationStats} stats */
    const copy = ({ outcomes, milliseconds: { sum, buckets }, ...rest }) => ({
      ...rest,
      outcomes: { ...outcomes },
      milliseconds: { sum, buckets: [...buckets] },
    });
    return Object.fromEntries([...this.#operations].map(([operation, stats]) => [operation, copy(stats)]));
  }

  /** @param {string} operation */
  #begin(operation) {
    const buckets = [...LATENCY_BUCKETS, Number.POSITIVE_INFINITY].map(() => 0);
    /** @type {OperationStats} */
    const stats = { count: 0, errors: 0, outcomes: {}, milliseconds: { sum: 0, buckets } };
    this.#operations.set(operation, stats);
    return stats;
  }
}

exports.LATENCY_BUCKETS = LATENCY_BUCKETS;
exports.Latencies = Latencies;
