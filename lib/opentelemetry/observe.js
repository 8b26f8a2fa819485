'use strict';

const { channel } = require('node:diagnostics_channel');
const { metrics, trace } = require('@opentelemetry/api');
const { version } = require('../../package.json');
const { observeCalls } = require('./calls.js');
const { Instruments } = require('./instruments.js');

const PACKAGE = 'connect-dynamodb-kms';

/** The options, and the method that makes each a provider. */
const OPTIONS = { tracerProvider: 'getTracer', meterProvider: 'getMeter' };

/** @param {any} options */
function checkOptions(options) {
  for (const [name, value] of Object.entries(options)) {
    const method = /** @type {Record<string, string>} */ (OPTIONS)[name];
    if (method === undefined) throw new TypeError(`observe has no option ${name}`);
    if (value !== undefined && typeof value?.[method] !== 'function')
      throw new TypeError(`the option ${name} of observe must have a method ${method}`);
  }
}

/**
 * What is made of a provider, and made anew when another one has been registered: applications
 * often start the SDK after this package.
 * @template Provider, Made
 * @param {() => Provider} current
 * @param {(provider: Provider) => Made} make
 * @returns {() => Made}
 */
function following(current, make) {
  /** @type {Provider} */
  let provider;
  /** @type {Made} */
  let made;
  return () => {
    const now = current();
    if (now !== provider) {
      made = make(now);
      provider = now;
    }
    return made;
  };
}

/**
 * @param {import('../../opentelemetry.js').ObserveOptions} providers
 * @returns {() => void} stops.
 */
function begin({ tracerProvider, meterProvider }) {
  const tracer = following(
    () => tracerProvider ?? trace.getTracerProvider(),
    (provider) => provider.getTracer(PACKAGE, version),
  );
  const instruments = following(
    () => meterProvider ?? metrics.getMeterProvider(),
    (provider) => new Instruments(provider.getMeter(PACKAGE, version)),
  );

  const stopCalls = observeCalls(`${PACKAGE}:call`, tracer, instruments);
  const stopOthers = /** @type {const} */ (['request', 'conflict', 'lease', 'revocation']).map((event) => {
    const events = channel(`${PACKAGE}:${event}`);
    /** @param {any} message */
    const subscriber = (message) => instruments()[event](message);
    events.subscribe(subscriber);
    return () => events.unsubscribe(subscriber);
  });

  return () => {
    stopCalls();
    for (const stop of stopOthers) stop();
  };
}

/**
 * What is observed now, by the providers. An application and a library of its own may both begin it,
 * or a module that is loaded again: calls would count twice.
 * @typedef {object} Running
 * @property {import('../../opentelemetry.js').ObserveOptions} providers
 * @property {Set<object>} holders those who have not stopped it.
 * @property {() => void} stop
 */
/** @type {Set<Running>} */
const running = new Set();

/** @param {import('../../opentelemetry.js').ObserveOptions} [options] */
function observe(options = {}) {
  checkOptions(options);
  const { tracerProvider, meterProvider } = options;
  const same = [...running].find(
    ({ providers }) => providers.tracerProvider === tracerProvider && providers.meterProvider === meterProvider,
  );
  const providers = { tracerProvider, meterProvider };
  const observed = same ?? { providers, holders: new Set(), stop: begin(providers) };
  running.add(observed);
  const observation = {
    stop() {
      if (!observed.holders.delete(observation) || observed.holders.size > 0) return;
      running.delete(observed);
      observed.stop();
    },
  };
  observed.holders.add(observation);
  return observation;
}

exports.observe = observe;
