'use strict';

const { openOperator } = require('../binding.js');
const { environment } = require('./environment.js');
const { unwrap } = require('./errors.js');
const { NativeCalls, crossing } = require('./native-calls.js');

/**
 * The native side's operator, with promises. Its reports are objects.
 */
class NativeOperator {
  /** @type {import('../binding.js').NativeOperator} */
  #operator;
  #calls = new NativeCalls();

  /**
   * Does no I/O.
   * @param {string} options JSON, those of a store
   */
  constructor(options) {
    this.#operator = unwrap(crossing(() => openOperator(options, environment(), this.#calls.deliver)));
  }

  /**
   * Makes a call of the binding.
   * @param {string} name
   * @param {unknown[]} args
   * @returns {Promise<any>} its report
   */
  async ask(name, ...args) {
    const operator = /** @type {any} */ (this.#operator);
    return JSON.parse(unwrap(await this.#calls.start((call) => operator[name](call, ...args))));
  }

  /**
   * How far the operation is that runs.
   * @returns {{ done: number, total: number, waiting: string | null }}
   */
  progress() {
    return JSON.parse(this.#operator.progress());
  }

  /** Asks the operation that runs to end in order, with its report. */
  stop() {
    this.#operator.stop();
  }

  async close() {
    await this.#calls.start((call) => this.#operator.close(call));
  }
}

exports.NativeOperator = NativeOperator;
