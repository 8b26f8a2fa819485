'use strict';

// Node.js's own timers, for the store's callbacks, `close`, leases and waits. An application's
// tests can replace the timers of the global object and of `process` by fakes that stand still.
// `Date` is not covered: sessions end by the application's `Date`.

const { runInThisContext } = require('node:vm');

/**
 * Node.js's own global object. Jest runs modules in a context with another global object, whose
 * timers can be fakes before the first module is loaded.
 */
const node = runInThisContext('globalThis');

/** The function behind a fake: @sinonjs/fake-timers, which Jest and Vitest use, keeps it. */
function real(owner, name) {
  const found = owner[name];
  return found.clock?.[`_${name}`] ?? found;
}

const { process } = node;
const nextTick = real(process, 'nextTick');

/**
 * Milliseconds by a monotonic clock. Takes the method of the class, because a fake can hide it on
 * the object.
 */
function monotonic() {
  const { performance } = require('node:perf_hooks');
  return Object.getPrototypeOf(performance).now.call(performance);
}

module.exports = {
  setTimeout: real(node, 'setTimeout'),
  clearTimeout: real(node, 'clearTimeout'),
  setImmediate: real(node, 'setImmediate'),
  nextTick: (callback) => nextTick.call(process, callback),
  monotonic,
};
