'use strict';

// Judges functions: which of the answers in them, or in what they call, nobody waits for when their
// promise has settled.

const { boundNames, parameter, propertyName } = require('./syntax.js');
const { ANSWERS } = require('./names.js');
const { Expressions } = require('./expressions.js');
const { Flow, State } = require('./flow.js');

/** One run of a function: what its names stand for. */
class Activation {
  constructor(scope, parent) {
    this.scope = scope;
    this.parent = parent;
    /** Names of the reply; `this` where a function is a method of it. */
    this.replies = new Set();
    /** Names of its methods that answer, taken out of it. */
    this.senders = new Set();
    /** Names of promises that are fulfilled with an answer. */
    this.values = new Map();
    /** Names that settle a promise: the first parameter of `new Promise(…)`. */
    this.resolvers = new Set();
  }

  /** The run that declares a name. */
  of(name) {
    let at = this;
    while (at && !at.scope.declared.has(name)) at = at.parent;
    return at;
  }

  /** The run of the file or function that a function is written in, as far as it is known. */
  around(scope) {
    let at = this;
    while (at && at.scope !== scope) at = at.parent;
    return at;
  }

  isReply(name) {
    return this.of(name)?.replies.has(name) ?? false;
  }

  thisIsReply() {
    let at = this;
    while (at.scope.node.type === 'ArrowFunctionExpression' && at.parent) at = at.parent;
    return at.replies.has('this');
  }

  /** Makes a parameter or a variable a name of the reply, or of what is taken out of it. */
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
  constructor(project) {
    this.project = project;
    this.running = new Set();
  }

  /** The run of the enclosing scope, of which nothing is known. */
  surroundings(scope) {
    return scope ? new Activation(scope, this.surroundings(scope.parent)) : undefined;
  }

  /**
   * Runs a function.
   *
   * @param {object} fn
   * @param {Activation | undefined} from where it is called
   * @param {{ replies?: number[], thisIsReply?: boolean, resolver?: boolean }} [called] which of
   *   its arguments are the reply; whether its first one settles a promise
   */
  judge(fn, from, { replies = [], thisIsReply = false, resolver = false } = {}) {
    const outcome = { unreturned: new Set(), returned: new Set(), settled: new Set(), thrown: new Set(), promised: new Set() };
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

  /** Names of the reply that a parameter takes out of an object: `({ request, reply }) => …`. */
  *#repliesByName(fn) {
    for (const one of fn.params) {
      const pattern = parameter(one);
      if (pattern?.type !== 'ObjectPattern') continue;
      for (const property of pattern.properties)
        if (property.key && propertyName(property) === 'reply') yield { pattern: boundNames(property.value)[0] };
    }
  }
}

module.exports = { Activation, Functions };
