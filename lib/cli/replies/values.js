'use strict';

// What the analysis knows of a value, and of a place that answers.

/**
 * @typedef {import('./syntax.js').Node} Node
 * @typedef {import('./modules.js').Module} Module
 */

/**
 * How a place answers: itself, or by a call of a function, which waits for the answer or not.
 * @typedef {{ called?: string, waits?: boolean }} Kind
 */

/** What an expression gives. */
class Value {
  /** @param {{ reply?: boolean, returned?: Iterable<Answer>, unreturned?: Iterable<Answer>, promise?: boolean }} parts */
  constructor({ reply = false, returned = [], unreturned = [], promise = false } = {}) {
    /** It is the reply, or waits for it: who awaits it waits for every answer. */
    this.reply = reply;
    /** Answers that who awaits it waits for. */
    this.returned = new Set(returned);
    /** Answers in it that nobody waits for. */
    this.unreturned = new Set(unreturned);
    /** It is a promise, whatever the function is. */
    this.promise = promise;
  }
}

/** One place that answers. */
class Answer {
  /**
   * @param {Node} node
   * @param {Module} module
   * @param {Kind} kind
   */
  constructor(node, module, kind) {
    this.node = node;
    this.module = module;
    this.kind = kind;
    /** @type {Node} */
    this.exit = undefined;
  }
}

const NOTHING = new Value();
/**
 * @param {Value[]} values
 * @param {{ reply?: boolean, promise?: boolean }} more
 */
const join = (values, more = {}) =>
  new Value({
    reply: values.some((value) => value.reply),
    returned: values.flatMap((value) => [...value.returned]),
    unreturned: values.flatMap((value) => [...value.unreturned]),
    ...more,
  });

exports.Answer = Answer;
exports.join = join;
exports.NOTHING = NOTHING;
exports.Value = Value;
