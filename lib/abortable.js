'use strict';

/**
 * By signal, what to call when it aborts: one listener a signal, since Node.js warns of more than
 * ten.
 * @type {WeakMap<AbortSignal, Set<() => void>>}
 */
const waiting = new WeakMap();

/**
 * Calls `abort` when the signal aborts.
 * @param {AbortSignal | undefined} signal one that has not aborted yet.
 * @param {() => void} abort
 * @returns {() => void} ends that.
 */
function onAbort(signal, abort) {
  if (!signal) return () => {};
  const all = waiting.get(signal) ?? listenTo(signal);
  all.add(abort);
  return () => {
    all.delete(abort);
    if (all.size === 0 && waiting.get(signal) === all) stopListening(signal);
  };
}

/** @type {WeakMap<AbortSignal, () => void>} */
const listeners = new WeakMap();

/** @param {AbortSignal} signal */
function listenTo(signal) {
  /** @type {Set<() => void>} */
  const all = new Set();
  const listener = () => {
    stopListening(signal);
    for (const abort of all) abort();
  };
  waiting.set(signal, all);
  listeners.set(signal, listener);
  signal.addEventListener('abort', listener);
  return all;
}

/** @param {AbortSignal} signal */
function stopListening(signal) {
  const listener = listeners.get(signal);
  if (listener) signal.removeEventListener('abort', listener);
  waiting.delete(signal);
  listeners.delete(signal);
}

/**
 * Why a signal aborted. One that is not of Node.js may not say.
 * @param {AbortSignal | undefined} signal
 */
function reasonOf(signal) {
  return signal?.reason ?? new DOMException('This operation was aborted', 'AbortError');
}

/** @param {AbortSignal | undefined} signal */
function throwIfAborted(signal) {
  if (signal?.aborted) throw reasonOf(signal);
}

/**
 * The result of `promise`, for a caller who can give up. Rejects with the signal's reason as soon
 * as it aborts. The work behind `promise` continues and ends by itself.
 * @template T
 * @param {AbortSignal} signal one that has not aborted yet.
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function abortable(signal, promise) {
  return new Promise((resolve, reject) => {
    const ended = onAbort(signal, () => reject(reasonOf(signal)));
    promise.then(resolve, reject).finally(ended);
  });
}

module.exports = { abortable, onAbort, reasonOf, throwIfAborted };
