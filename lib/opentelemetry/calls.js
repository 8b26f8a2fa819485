'use strict';

const { tracingChannel } = require('node:diagnostics_channel');
const { context, trace } = require('@opentelemetry/api');
const { monotonic } = require('../real-time.js');
const { ActiveContext } = require('./active-context.js');
const { beginSpan, endSpan } = require('./spans.js');

/**
 * @typedef {import('../../index.js').CallMessage} CallMessage
 * @typedef {import('@opentelemetry/api').Context} Context
 */

/**
 * A call that runs. Times are those of `performance.now()`, which OpenTelemetry takes, too.
 * @typedef {object} Running
 * @property {import('@opentelemetry/api').Span} span
 * @property {Context} within its span.
 * @property {number} began
 * @property {number} [answered]
 */

/**
 * Makes a span of every call, and measures it.
 * @param {string} name of the tracing channel.
 * @param {() => import('@opentelemetry/api').Tracer} tracer
 * @param {() => import('./instruments.js').Instruments} instruments
 * @returns {() => void} stops. Calls that run then still end their spans.
 */
function observeCalls(name, tracer, instruments) {
  /** @type {WeakMap<CallMessage, Running>} */
  const running = new WeakMap();
  let count = 0;
  let stopped = false;
  const calls = tracingChannel(name);
  const activeContext = /** @type {any} */ (new ActiveContext());

  /** @param {any} call @returns {Context} for the call, and for the functions that it was given. */
  const begin = (call) => {
    const span = beginSpan(tracer(), call);
    const within = trace.setSpan(context.active(), span);
    running.set(call, { span, within, began: monotonic() });
    count++;
    return within;
  };

  /** @param {any} call which ends here: what its callback does is not part of it. */
  const answer = (call) => {
    const state = running.get(call);
    if (state !== undefined) state.answered = monotonic();
  };

  /** @param {any} call */
  const end = (call) => {
    const state = running.get(call);
    if (state === undefined) return;
    const { span, within, began, answered = monotonic() } = state;
    running.delete(call);
    count--;
    instruments().call(call, (answered - began) / 1000, within);
    endSpan(span, call, answered);
    unsubscribeIfDone();
  };

  calls.start.bindStore(activeContext, begin);
  calls.asyncStart.subscribe(answer);
  calls.asyncEnd.subscribe(end);

  const unsubscribeIfDone = () => {
    if (!stopped || count > 0) return;
    calls.asyncStart.unsubscribe(answer);
    calls.asyncEnd.unsubscribe(end);
  };

  return () => {
    stopped = true;
    calls.start.unbindStore(activeContext);
    unsubscribeIfDone();
  };
}

exports.observeCalls = observeCalls;
