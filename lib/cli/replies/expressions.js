'use strict';

// Follows the expressions of one function: where they answer, and which of them waits for an answer
// once it is awaited or returned.

const { children, isFunction, propertyName, unwrap, usesParameters } = require('./syntax.js');
const { ANSWERS, GETTERS } = require('./names.js');
const { join, NOTHING, Value } = require('./values.js');

/**
 * @typedef {import('./syntax.js').Node} Node
 * @typedef {import('./flow.js').State} State
 * @typedef {import('./modules.js').Module} Module
 * @typedef {import('./functions.js').Functions} Functions
 * @typedef {import('./functions.js').Activation} Activation
 * @typedef {import('./functions.js').Outcome} Outcome
 * @typedef {import('./values.js').Answer} Answer
 * @typedef {import('./values.js').Kind} Kind
 */

class Expressions {
  /**
   * @param {Functions} functions
   * @param {Activation} activation
   * @param {Outcome} outcome
   * @param {Node} fn
   */
  constructor(functions, activation, outcome, fn) {
    this.functions = functions;
    this.activation = activation;
    this.outcome = outcome;
    this.fn = fn;
    /** @type {import('./flow.js').Flow | undefined} */
    this.flow = undefined;
    this.module = /** @type {Module} */ (functions.project.moduleOf.get(fn));
  }

  /**
   * Goes through an expression; adds its answers to what is pending.
   * @param {Node} node
   * @param {State} state
   * @returns {Value}
   */
  value(node, state) {
    const at = unwrap(node);
    switch (at?.type) {
      case undefined:
      case 'Literal':
        return NOTHING;
      case 'Identifier':
        return this.#name(at, state);
      case 'ThisExpression':
        return this.activation.thisIsReply() ? new Value({ reply: true }) : NOTHING;
      case 'ArrowFunctionExpression':
      case 'FunctionExpression':
        return this.#callback(at, state);
      case 'AwaitExpression':
        this.awaited(at.argument, state);
        return NOTHING;
      case 'CallExpression':
        return this.#call(at, state);
      case 'NewExpression':
        return this.#new(at, state);
      case 'AssignmentExpression':
        return this.#assign(at, state);
      case 'ConditionalExpression':
        return this.#branches(at, state, (branch, where) => this.value(branch, where));
      case 'LogicalExpression':
        return this.#shortcut(at, state, (right, where) => this.value(right, where));
      case 'UnaryExpression':
        this.value(at.argument, state);
        return NOTHING;
      case 'SequenceExpression':
        return at.expressions.map((/** @type {Node} */ one) => this.value(one, state)).at(-1);
      case 'ArrayExpression':
      case 'ObjectExpression':
      case 'SpreadElement':
        return join(children(at).map((child) => this.value(child, state)));
      case 'Property':
        if (at.computed) this.value(at.key, state);
        return this.value(at.value, state);
      case 'MemberExpression':
        return this.#member(at, state);
      case 'ClassExpression':
        return NOTHING;
      default:
        for (const child of children(at)) this.value(child, state);
        return NOTHING;
    }
  }

  /**
   * Goes through an expression that is awaited or returned: answers that it waits for are no longer
   * pending.
   * @param {Node} node
   * @param {State} state
   * @returns {Value}
   */
  awaited(node, state) {
    const at = unwrap(node);
    /**
     * @param {any} inner
     * @param {State} where
     */
    const wait = (inner, where) => this.awaited(inner, where);
    if (at?.type === 'ConditionalExpression') return this.#branches(at, state, wait);
    if (at?.type === 'LogicalExpression') return this.#shortcut(at, state, wait);
    if (at?.type === 'SequenceExpression') {
      for (const one of at.expressions.slice(0, -1)) this.value(one, state);
      return this.awaited(at.expressions.at(-1), state);
    }
    const value = this.value(at, state);
    for (const answer of value.reply ? [...state.pending] : value.returned) {
      state.pending.delete(answer);
      this.outcome.returned.add(answer);
    }
    return value;
  }

  /**
   * Goes through a condition; what its value says holds in the branches: `if (deny(reply))`, where
   * deny returns the reply or nothing.
   * @param {Node} node
   * @param {State} state
   * @param {State} otherwise
   */
  test(node, state, otherwise) {
    const at = unwrap(node);
    const isNot = at?.type === 'UnaryExpression' && at.operator === '!';
    const value = this.value(isNot ? at.argument : at, state);
    Object.assign(otherwise, state.copy());
    if (value.reply) for (const answer of value.returned) (isNot ? state : otherwise).pending.delete(answer);
  }

  /**
   * A way out of the function, with a value or without.
   * @param {Node | undefined} node
   * @param {State} state
   * @param {Node} exit
   */
  leave(node, state, exit) {
    const value = node ? this.awaited(node, state) : NOTHING;
    // Fastify waits for what a function without async returns only if that is a promise.
    const late = this.fn.async ? value.unreturned : value.promise ? state.pending : [];
    for (const answer of late) this.outcome.promised.add(answer);
    this.#leak(state, exit);
    state.ended = true;
  }

  /**
   * A way out by an error.
   * @param {State} state
   * @param {Node} exit
   */
  throw(state, exit) {
    this.#leak(state, exit);
  }

  /**
   * @param {State} state
   * @param {Node} exit
   */
  #leak(state, exit) {
    for (const answer of state.pending) {
      answer.exit ??= exit;
      this.outcome.unreturned.add(answer);
    }
  }

  /**
   * `const x = …`
   * @param {Node} parts
   * @param {State} state
   */
  declare({ id, init }, state) {
    if (!init || isFunction(unwrap(init))) return;
    this.#bind(id, this.value(init, state));
  }

  /**
   * @param {Node} pattern
   * @param {Value} value
   */
  #bind(pattern, value) {
    if (value.reply) this.activation.bindReply(pattern);
    if (pattern.type === 'Identifier') {
      if (!value.reply) this.forget(pattern.name);
      if (value.returned.size > 0 || value.unreturned.size > 0) this.activation.of(pattern.name)?.values.set(pattern.name, value);
    }
  }

  /**
   * A name gets another value.
   * @param {string} name
   */
  forget(name) {
    const at = this.activation.of(name);
    at?.values.delete(name);
    at?.replies.delete(name);
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @returns {Value}
   */
  #assign(node, state) {
    const value = this.value(node.right, state);
    const left = unwrap(node.left);
    if (left.type === 'MemberExpression') {
      // Fastify 3: `reply.sent = true` is `reply.hijack()`.
      if (propertyName(left) === 'sent' && this.value(left.object, state).reply) this.#hijack(state);
    } else if (value.reply || node.operator === '=') this.#bind(left, value);
    return value;
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @returns {Value}
   */
  #name(node, state) {
    const { activation } = this;
    if (activation.isReply(node.name))
      return new Value({ reply: true, returned: activation.of(node.name)?.values.get(node.name)?.returned });
    const at = activation.of(node.name);
    const value = at?.values.get(node.name);
    if (value) return value;
    const fn = at?.scope.functions.get(node.name);
    // A function of the file itself knows no reply.
    return fn && at?.parent ? this.#callback(fn, state) : NOTHING;
  }

  /**
   * A function that somebody else calls, now or later.
   * @param {Node} fn
   * @param {State} state
   * @returns {Value}
   */
  #callback(fn, state) {
    const outcome = this.functions.judge(fn, this.activation);
    for (const answer of outcome.settled) this.outcome.settled.add(answer);
    const direct = [...outcome.unreturned];
    for (const answer of [...direct, ...outcome.returned]) this.#pend(answer, state);
    return new Value({ returned: outcome.returned, unreturned: direct });
  }

  /**
   * @param {Answer} answer
   * @param {State} state
   */
  #pend(answer, state) {
    if (!state.hijacked) state.pending.add(answer);
  }

  /** @param {State} state */
  #hijack(state) {
    state.hijacked = true;
    state.pending.clear();
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @param {Kind} kind
   */
  #answer(node, state, kind) {
    const answer = this.functions.answerAt(node, this.module, kind);
    this.#pend(answer, state);
    return answer;
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @returns {Value}
   */
  #member(node, state) {
    if (node.computed) this.value(node.property, state);
    const object = this.value(node.object, state);
    // `pipeline(from, reply.raw)` and `once(reply.raw, 'finish')` wait for the end of the answer.
    if (object.reply) return new Value({ reply: propertyName(node) === 'raw' });
    return join([object], { reply: false });
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @param {(node: Node, state: State) => Value} go
   * @returns {Value}
   */
  #branches(node, state, go) {
    this.value(node.test, state);
    const other = state.copy();
    const values = [go(node.consequent, state), go(node.alternate, other)];
    state.become(state.copy(), other);
    return join(values, { reply: values.every((value) => value.reply) });
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @param {(node: Node, state: State) => Value} go
   * @returns {Value}
   */
  #shortcut(node, state, go) {
    const left = this.value(node.left, state);
    const other = state.copy();
    const right = go(node.right, other);
    state.become(state.copy(), other);
    return join([left, right]);
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @returns {Value}
   */
  #new(node, state) {
    const callee = unwrap(node.callee);
    const executor = unwrap(node.arguments[0]);
    if (callee.name !== 'Promise' || !isFunction(executor))
      return join(
        node.arguments.map((/** @type {Node} */ one) => this.value(one, state)),
        { reply: false },
      );
    const outcome = this.functions.judge(executor, this.activation, { resolver: true });
    // If the executor uses no parameters, the promise never settles, and nothing follows.
    const endless = !usesParameters(executor, this.module.source);
    const unreturned = endless ? [] : [...outcome.unreturned];
    const returned = endless ? [...outcome.settled, ...outcome.unreturned] : [...outcome.settled];
    for (const answer of [...unreturned, ...returned]) this.#pend(answer, state);
    return new Value({ returned, unreturned, promise: true });
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @returns {Value}
   */
  #call(node, state) {
    const callee = unwrap(node.callee);
    if (callee.type === 'MemberExpression') return this.#method(node, callee, state);
    /** @type {Value[]} */
    const values = node.arguments.map((/** @type {Node} */ one) => this.value(one, state));
    if (isFunction(callee)) return this.#run(callee, values, state, node);
    if (callee.type !== 'Identifier') {
      return join([this.value(callee, state), ...values], { reply: false });
    }
    const at = this.activation.of(callee.name);
    if (at?.senders.has(callee.name)) {
      this.#answer(node, state, {});
      return new Value({ reply: true });
    }
    if (at?.resolvers.has(callee.name)) {
      for (const answer of values.some((value) => value.reply)
        ? [...state.pending]
        : values.flatMap((value) => [...value.returned])) {
        state.pending.delete(answer);
        this.outcome.settled.add(answer);
      }
      return NOTHING;
    }
    const fn = this.functions.project.named(callee.name, this.activation.scope);
    return fn && fn !== this.fn ? this.#run(fn, values, state, node, callee.name) : join(values);
  }

  /**
   * @param {Node} node
   * @param {Node} callee
   * @param {State} state
   * @returns {Value}
   */
  #method(node, callee, state) {
    const name = propertyName(callee);
    const target = unwrap(callee.object);
    const object = this.value(target, state);
    /** @type {Value[]} */
    const values = node.arguments.map((/** @type {Node} */ one) => this.value(one, state));
    if (callee.computed) this.value(callee.property, state);
    if (object.reply && target.type !== 'MemberExpression') return this.#replyMethod(node, name, values, state);
    const own = target.type === 'ThisExpression' && this.module.method(this.fn, name);
    if (own) return this.#run(own, values, state, node, `this.${name}`);
    const imported = target.type === 'Identifier' && this.functions.project.member(target.name, name, this.activation.scope);
    if (imported) return this.#run(imported, values, state, node, `${target.name}.${name}`);
    const chained = name === 'then' || name === 'catch' || name === 'finally' || target.name === 'Promise';
    return join([object, ...values], { promise: chained });
  }

  /**
   * @param {Node} node
   * @param {string} name
   * @param {Value[]} values
   * @param {State} state
   * @returns {Value}
   */
  #replyMethod(node, name, values, state) {
    const { decorators } = this.functions.project;
    if (name === 'hijack') this.#hijack(state);
    if (ANSWERS.has(name)) this.#answer(node, state, {});
    else if (decorators.has(name)) {
      const outcome = this.functions.judge(decorators.get(name), undefined, { thisIsReply: true });
      return this.#called(decorators.get(name), outcome, state, node, name);
    }
    return GETTERS.has(name) ? join(values, { reply: false }) : new Value({ reply: true });
  }

  /**
   * A call of a function that is known.
   * @param {Node} fn
   * @param {Value[]} values
   * @param {State} state
   * @param {Node} node
   * @param {string} [name]
   * @returns {Value}
   */
  #run(fn, values, state, node, name) {
    const replies = [...values.keys()].filter((index) => values[index].reply);
    const outcome = this.functions.judge(fn, this.activation, { replies });
    for (const answer of outcome.settled) this.outcome.settled.add(answer);
    if (name) {
      const called = this.#called(fn, outcome, state, node, name);
      return join([called, ...values.map((value) => join([value], { reply: false }))], { promise: called.promise });
    }
    for (const answer of [...outcome.unreturned, ...outcome.returned]) this.#pend(answer, state);
    return new Value({ returned: outcome.returned, unreturned: outcome.unreturned, promise: fn.async });
  }

  /**
   * The result of calling a named function: the call answers, and its value waits for the answer or
   * not.
   * @param {Node} fn
   * @param {Outcome} parts
   * @param {State} state
   * @param {Node} node
   * @param {string} name
   * @returns {Value}
   */
  #called(fn, { unreturned, returned, promised }, state, node, name) {
    // Findings in a handler are reported there.
    if (unreturned.size + returned.size === 0 || (this.functions.isHandler(fn) && unreturned.size > 0)) {
      return new Value({ promise: fn.async });
    }
    const inside = fn.async ? unreturned : promised; // to be fixed in there
    for (const answer of inside) this.#pend(answer, state);
    const waits = unreturned.size === 0;
    if (!waits && [...unreturned].every((answer) => inside.has(answer))) return new Value({ unreturned, promise: true });
    const answer = this.#answer(node, state, { called: name, waits });
    if (!waits) return new Value({ unreturned: [answer, ...inside], promise: inside.size > 0 });
    return fn.async ? new Value({ returned: [answer], promise: true }) : new Value({ reply: true, returned: [answer] });
  }
}

exports.Expressions = Expressions;
