'use strict';

const { context } = require('@opentelemetry/api');

/** @typedef {import('@opentelemetry/api').Context} Context */

/**
 * In place of an AsyncLocalStorage for `Channel.bindStore`. OpenTelemetry does not give out the one
 * that holds its active context, but Node.js needs no more of it than to enter a value: by `run` up
 * to version 26.0, and by `withScope` from 26.1.
 */
class ActiveContext {
  /**
   * @template T
   * @param {Context} entered
   * @param {() => T} work
   */
  run(entered, work) {
    return context.with(entered, work);
  }

  /** @param {Context} entered */
  withScope(entered) {
    const api = /** @type {any} */ (context);
    if (api.attach) {
      const token = api.attach(entered);
      return { [Symbol.dispose]: () => token.dispose() };
    }
    // Version 1.10 of the API is the first with `attach`. Before it, there is only the storage of
    // the context manager itself, which is not public.
    const storage = api._getContextManager?.()?._asyncLocalStorage;
    return storage?.withScope?.(entered) ?? { [Symbol.dispose]() {} };
  }
}

exports.ActiveContext = ActiveContext;
