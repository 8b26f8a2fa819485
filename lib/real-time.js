'use strict';

// Node.js's own timers, for the store's callbacks, `close`, leases and waits. An application's
// tests can replace the timers of the global object and of `process` by fakes that stand still.
// `Date` is not covered: sessions end by the application's `Date`.

const { runInThisContext } = require('node:vm');

/**
 * Node.js's own global object. Jest runs modules in a context with another one, whose timers may be
 * fakes before the first module is loaded.
 */
const node = /** @type {typeof globalThis} */ (runInThisContext('globalThis'));

/**
 * What a fake stands for: @sinonjs/fake-timers, which Jest and Vitest have inside, notes it.
 * @template Owner
 * @template {keyof Owner} Name
 * @param {Owner} owner
 * @param {Name} name
 * @returns {Owner[Name]}
 */
function real(owner, name) {
  const found = /** @type {any} */ (owner[name]);
  return found.clock?.[`_${String(name)}`] ?? found;
}

const { process } = node;
const nextTick = real(process, 'nextTick');

/** @type {import('node:perf_hooks').Performance | undefined} */
let clock;
/** @type {() => number} */
let now;

/**
 * Milliseconds by a monotonic clock. Takes the method of the class, because a fake can hide it on
 * the object.
 */
function monotonic() {
  if (!clock) {
    clock = require('node:perf_hooks').performance;
    now = Object.getPrototypeOf(clock).now;
  }
  return now.call(clock);
}

module.exports = {
  setTimeout: real(node, 'setTimeout'),
  clearTimeout: real(node, 'clearTimeout'),
  setImmediate: real(node, 'setImmediate'),
  /** @param {() => void} callback */
  nextTick: (callback) => nextTick.call(process, callback),
  monotonic,
};
