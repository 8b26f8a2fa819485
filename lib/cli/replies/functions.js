'use strict';

// Judges functions: which of the answers in them, or in what they call, nobody waits for when their
// promise has settled.

const { boundNames, parameter, propertyName } = require('./syntax.js');
const { ANSWERS } = require('./names.js');
const { Expressions } = require('./expressions.js');
const { Flow, State } = require('./flow.js');
const { Answer } = require('./values.js');

/**
 * @typedef {import('./syntax.js').Node} Node
 * @typedef {import('./modules.js').Module} Module
 * @typedef {import('./modules.js').Project} Project
 * @typedef {import('./modules.js').Scope} Scope
 * @typedef {import('./values.js').Kind} Kind
 * @typedef {import('./values.js').Value} Value
 */

/**
 * The answers in a function, by what becomes of them.
 * @typedef {object} Outcome
 * @property {Set<Answer>} unreturned nobody waits for them.
 * @property {Set<Answer>} returned who awaits the function waits for them.
 * @property {Set<Answer>} settled who awaits the promise that it settles waits for them.
 * @property {Set<Answer>} promised nobody waits for them where the function gives a promise.
 */

/** One run of a function: what its names stand for. */
class Activation {
  /**
   * @param {Scope} scope
   * @param {Activation | undefined} parent
   */
  constructor(scope, parent) {
    this.scope = scope;
    this.parent = parent;
    /** Names of the reply; `this` where a function is a method of it. */
    this.replies = /** @type {Set<string>} */ (new Set());
    /** Names of its methods that answer, taken out of it. */
    this.senders = /** @type {Set<string>} */ (new Set());
    /** Names of promises that are fulfilled with an answer. */
    this.values = /** @type {Map<string, Value>} */ (new Map());
    /** Names that settle a promise: the first parameter of `new Promise(…)`. */
    this.resolvers = /** @type {Set<string>} */ (new Set());
  }

  /**
   * The run that declares a name.
   * @param {string} name
   * @returns {Activation | undefined}
   */
  of(name) {
    /** @type {Activation | undefined} */
    let at = this;
    while (at && !at.scope.declared.has(name)) at = at.parent;
    return at;
  }

  /**
   * The run of the file or function that a function is written in, as far as it is known.
   * @param {Scope | undefined} scope
   */
  around(scope) {
    /** @type {Activation | undefined} */
    let at = this;
    while (at && at.scope !== scope) at = at.parent;
    return at;
  }

  /** @param {string} name */
  isReply(name) {
    return this.of(name)?.replies.has(name) ?? false;
  }

  thisIsReply() {
    /** @type {Activation} */
    let at = this;
    while (at.scope.node.type === 'ArrowFunctionExpression' && at.parent) at = at.parent;
    return at.replies.has('this');
  }

  /**
   * Makes a parameter or a variable a name of the reply, or of what is taken out of it.
   * @param {Node} pattern
   */
  bindReply(pattern) {
    const target = parameter(pattern);
    if (target?.type === 'Identifier') this.of(target.name)?.replies.add(target.name);
    if (target?.type !== 'ObjectPattern') return;
    for (const property of target.properties) {
      const [local] = boundNames(property.value ?? property);
      if (local && property.key && ANSWERS.has(propertyName(property))) this.of(local)?.senders.add(local);
    }
  }
}

/** Judges the functions of a project, each from where it is called. */
class Functions {
  /** @type {Map<Node, Answer>} */
  #answers = new Map();
  #handlers;

  /**
   * @param {Project} project
   * @param {Set<Node>} handlers those that Fastify calls.
   */
  constructor(project, handlers) {
    this.project = project;
    this.#handlers = handlers;
    /** @type {Set<string>} */
    this.running = new Set();
  }

  /**
   * Whether a function is a handler: what is found in it is said there.
   * @param {Node} fn
   */
  isHandler(fn) {
    return this.#handlers.has(fn);
  }

  /**
   * The answer at a place, the same one each time.
   * @param {Node} node
   * @param {Module} module
   * @param {Kind} kind
   */
  answerAt(node, module, kind) {
    const answer = this.#answers.get(node) ?? new Answer(node, module, kind);
    this.#answers.set(node, answer);
    return answer;
  }

  /**
   * The run of what a scope is written in, of which nothing is known.
   * @param {Scope | undefined} scope
   * @returns {Activation | undefined}
   */
  surroundings(scope) {
    return scope ? new Activation(scope, this.surroundings(scope.parent)) : undefined;
  }

  /**
   * Runs a function.
   *
   * @param {Node} fn
   * @param {Activation | undefined} from where it is called
   * @param {{ replies?: number[], thisIsReply?: boolean, resolver?: boolean }} [called] which of its arguments are the reply; whether its
   *   first one settles a promise
   * @returns {Outcome}
   */
  judge(fn, from, { replies = [], thisIsReply = false, resolver = false } = {}) {
    /** @type {Outcome} */
    const outcome = { unreturned: new Set(), returned: new Set(), settled: new Set(), promised: new Set() };
    const scope = this.project.moduleOf.get(fn)?.scopes.get(fn);
    const key = `${fn.start}:${replies}:${thisIsReply}`;
    if (!scope || fn.generator || this.running.has(key)) return outcome;
    this.running.add(key);
    const activation = new Activation(scope, from?.around(scope.parent) ?? this.surroundings(scope.parent));
    for (const index of replies) if (fn.params[index]) activation.bindReply(fn.params[index]);
    for (const { pattern } of this.#repliesByName(fn)) activation.replies.add(pattern);
    if (thisIsReply) activation.replies.add('this');
    if (resolver && fn.params[0]?.type === 'Identifier') activation.resolvers.add(fn.params[0].name);
    const expressions = new Expressions(this, activation, outcome, fn);
    const state = new State();
    if (fn.body.type === 'BlockStatement') {
      expressions.flow = new Flow(expressions);
      expressions.flow.block(fn.body.body, state);
      if (!state.ended) expressions.leave(undefined, state, fn.body);
    } else expressions.leave(fn.body, state, fn.body);
    this.running.delete(key);
    return outcome;
  }

  /**
   * Names of the reply that a parameter takes out of an object: `({ request, reply }) => …`.
   * @param {Node} fn
   */
  *#repliesByName(fn) {
    for (const one of fn.params) {
      const pattern = parameter(one);
      if (pattern?.type !== 'ObjectPattern') continue;
      for (const property of pattern.properties)
        if (property.key && propertyName(property) === 'reply') yield { pattern: boundNames(property.value)[0] };
    }
  }
}

exports.Activation = Activation;
exports.Functions = Functions;
