'use strict';

const PREFIX = 'connect_dynamodb_kms_';

/** A metric of a registry whose values are read from counters at scrape time. */
class StatsMetric {
  aggregator = /** @type {const} */ ('sum');
  #metric;
  #read;

  /**
   * @param {import('./metrics.js').Metric} metric
   * @param {() => { labels: import('./samples.js').Labels, stats: any }[]} read the counters of all stores.
   */
  constructor(metric, read) {
    this.key = PREFIX + metric.name;
    /** In a registry of the content type of OpenMetrics, prom-client takes `_total` off. */
    this.name = this.key;
    this.help = metric.help;
    this.type = metric.type;
    this.#metric = metric;
    this.#read = read;
  }

  /** @param {import('prom-client').Registry} register */
  isIn(register) {
    return register.getSingleMetric(this.key) === /** @type {any} */ (this);
  }

  /** As the metrics of prom-client have it. */
  async get() {
    const { name, help, type, aggregator } = this;
    const values = this.#read().flatMap(({ labels: ofStore, stats }) =>
      this.#metric.samples(stats).map(({ labels, value, suffix = '' }) => ({
        metricName: name + suffix,
        labels: { ...ofStore, ...labels },
        value,
      })),
    );
    return { name, help, type, aggregator, values };
  }

  /** For `Registry.resetMetrics`: the counters are the store's. */
  reset() {}
}

exports.StatsMetric = StatsMetric;
