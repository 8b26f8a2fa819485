'use strict';

const { IS_CLOSED } = require('../closed.js');
const { LABELS, METRICS } = require('./metrics.js');
const { StatsMetric } = require('./stats-metric.js');

/**
 * @typedef {{ stats(): any, [IS_CLOSED]?: boolean }} Store
 * @typedef {Record<string, string | number>} Labels
 */

/**
 * What tells the series of a store from those of others, as Prometheus does: values are text, and an
 * empty label is none.
 * @param {Labels} labels
 */
function keyOf(labels) {
  const texts = Object.entries(labels).map(([name, value]) => [name, String(value)]);
  return JSON.stringify(texts.filter(([, value]) => value !== '').sort());
}

/**
 * The stores whose counters one registry has, each until it is stopped or closed: a scrape must not
 * lose a store because the garbage was collected.
 */
class Collection {
  /** @type {Set<{ store: Store, labels: Labels, key: string }>} */
  #stores = new Set();
  /** @type {{ labels: Labels, stats: any }[] | undefined} */
  #snapshot;
  #metrics = METRICS.map((metric) => new StatsMetric(metric, () => this.#read()));

  /**
   * Registers the metrics that the registry does not have, for instance since it was cleared.
   * @param {import('prom-client').Registry} register
   */
  register(register) {
    for (const metric of this.#metrics) if (!metric.isIn(register)) register.registerMetric(/** @type {any} */ (metric));
  }

  /**
   * @param {Store} store
   * @param {Labels} labels
   * @param {import('prom-client').Registry} register
   */
  add(store, labels, register) {
    this.#forgetClosed();
    const key = keyOf(labels);
    const same = [...this.#stores].find((other) => other.key === key);
    // A registry that was cleared has it no more, and tests clear it without stopping anything.
    if (same && this.#metrics.some((metric) => metric.isIn(register)))
      throw new Error('the registry has a store with the same labels; give each store labels of its own, or stop the other one');
    if (same) this.remove(same);
    const entry = { store, labels: { ...labels }, key };
    this.#stores.add(entry);
    return entry;
  }

  /** @param {any} entry that `add` gave. */
  remove(entry) {
    this.#stores.delete(entry);
  }

  get isEmpty() {
    return this.#stores.size === 0;
  }

  /** @param {import('prom-client').Registry} register */
  unregister(register) {
    for (const metric of this.#metrics) if (metric.isIn(register)) register.removeSingleMetric(metric.key);
  }

  #forgetClosed() {
    for (const entry of this.#stores) if (entry.store[IS_CLOSED]) this.#stores.delete(entry);
  }

  /** The counters of all stores, read once for all metrics of a scrape: they are of one moment. */
  #read() {
    if (this.#snapshot === undefined) {
      this.#forgetClosed();
      this.#snapshot = [...this.#stores].map(({ store, labels }) => ({ labels, stats: store.stats() }));
      // prom-client asks all metrics for their values in one go. A fake of `queueMicrotask`, such as
      // Jest's, might never run this.
      Promise.resolve().then(() => {
        this.#snapshot = undefined;
      });
    }
    return this.#snapshot;
  }
}

/** @type {WeakMap<import('prom-client').Registry, Collection>} */
const collections = new WeakMap();

/** @param {any} given */
function checkLabels(given) {
  if (given === null || typeof given !== 'object') throw new TypeError('the option labels of collect must be an object');
  for (const [name, value] of Object.entries(given)) {
    if (!/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) throw new TypeError(`Prometheus has no labels such as ${name}`);
    if (LABELS.includes(name)) throw new TypeError(`the metrics have a label ${name} of their own`);
    if (typeof value !== 'string' && typeof value !== 'number')
      throw new TypeError(`the label ${name} must be a string or a number`);
  }
}

/**
 * @param {any} store
 * @param {import('../../prometheus.js').CollectOptions} [options]
 */
function collect(store, options = {}) {
  // A bundle may hold the application's prom-client, with nothing to be found beside this package.
  const { register = require('prom-client').register, labels = {}, ...unknown } = options;
  for (const name of Object.keys(unknown)) throw new TypeError(`collect has no option ${name}`);
  if (typeof store?.stats !== 'function' || typeof store[IS_CLOSED] !== 'boolean')
    throw new TypeError('collect needs a store or an envelope of connect-dynamodb-kms');
  if (typeof register?.registerMetric !== 'function')
    throw new TypeError('the option register of collect must be a Registry of prom-client');
  checkLabels(labels);

  const collection = collections.get(register) ?? new Collection();
  const entry = collection.add(store, labels, register);
  try {
    collection.register(register);
  } catch (error) {
    collection.remove(entry);
    if (collection.isEmpty) collection.unregister(register);
    throw error;
  }
  collections.set(register, collection);
  return {
    stop() {
      collection.remove(entry);
      if (collection.isEmpty) collection.unregister(register);
    },
  };
}

exports.collect = collect;
