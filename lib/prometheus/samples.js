'use strict';

const { LATENCY_BUCKETS } = require('../latencies.js');

/**
 * Samples of metrics, made of the counters in `stats()`.
 * @typedef {Record<string, string | number>} Labels
 * @typedef {{ labels: Labels, value: number, suffix?: string }} Sample
 */

/**
 * One sample, or none if it is not counted.
 * @param {number | undefined} value
 * @param {Labels} [labels]
 * @returns {Sample[]}
 */
const one = (value, labels = {}) => (value === undefined ? [] : [{ labels, value }]);

/**
 * A sample for each of the given numbers.
 * @param {string} label
 * @param {Record<string, number> | undefined} values by the label's value.
 */
const by = (label, values = {}) => Object.entries(values).flatMap(([name, value]) => one(value, { [label]: name }));

/**
 * @param {any} stats
 * @param {(operation: string, counts: any) => Sample[]} samples
 */
const byOperation = ({ operations = {} }, samples) =>
  Object.entries(operations).flatMap(([operation, counts]) => samples(operation, counts));

/**
 * The samples of a histogram. Its buckets are cumulative; those of `stats()` are not.
 * @param {Labels} labels
 * @param {{ sum: number, buckets: number[] }} milliseconds
 * @returns {Sample[]}
 */
function histogram(labels, { sum, buckets }) {
  let count = 0;
  const samples = buckets.map((inBucket, index) => {
    count += inBucket;
    const bound = LATENCY_BUCKETS[index];
    return { labels: { ...labels, le: bound === undefined ? '+Inf' : bound / 1000 }, value: count, suffix: '_bucket' };
  });
  return [...samples, { labels, value: sum / 1000, suffix: '_sum' }, { labels, value: count, suffix: '_count' }];
}

module.exports = { by, byOperation, histogram, one };
