'use strict';

// Follows the statements of a function: which answers nobody has waited for yet, at each place and
// at each way out.

const { boundNames, isFunction, unwrap } = require('./syntax.js');

/**
 * @typedef {import('./syntax.js').Node} Node
 * @typedef {import('./values.js').Answer} Answer
 */

/** What is known at one place of a function. */
class State {
  /**
   * @param {Iterable<Answer>} pending
   * @param {boolean} hijacked
   * @param {boolean} ended
   */
  constructor(pending = [], hijacked = false, ended = false) {
    /** Answers that were given and that nothing has waited for. */
    this.pending = new Set(pending);
    this.hijacked = hijacked;
    /** The code after this place is unreachable. */
    this.ended = ended;
  }

  copy() {
    return new State(this.pending, this.hijacked, this.ended);
  }

  /**
   * Becomes the state that holds after either of two others.
   * @param {State[]} others
   */
  become(...others) {
    const open = others.filter((other) => !other.ended);
    this.pending = new Set(open.flatMap((other) => [...other.pending]));
    this.hijacked = open.length > 0 && open.every((other) => other.hijacked);
    this.ended = open.length === 0;
  }
}

const LOOPS = new Set(['ForStatement', 'ForInStatement', 'ForOfStatement', 'WhileStatement', 'DoWhileStatement']);

/** Runs the statements of one function over a state, with `expressions` for what is in them. */
class Flow {
  /** @param {import('./expressions.js').Expressions} expressions */
  constructor(expressions) {
    this.expressions = expressions;
    /** @type {{ label: string | undefined, kind: string, states: State[] }[]} */
    this.targets = [];
    /** @type {State[][]} */
    this.handlers = [];
  }

  /**
   * @param {Node[]} statements
   * @param {State} state
   */
  block(statements, state) {
    for (const statement of statements) {
      if (state.ended && statement.type !== 'FunctionDeclaration') return;
      this.statement(statement, state);
    }
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @param {string} [label]
   */
  statement(node, state, label) {
    const { expressions } = this;
    switch (node?.type) {
      case undefined:
        return;
      case 'BlockStatement':
        this.block(node.body, state);
        return;
      case 'ExpressionStatement':
        expressions.value(node.expression, state);
        return;
      case 'VariableDeclaration':
        for (const declaration of node.declarations) expressions.declare(declaration, state);
        return;
      case 'ReturnStatement':
        expressions.leave(node.argument, state, node);
        return;
      case 'ThrowStatement':
        expressions.value(node.argument, state);
        if (this.handlers.length > 0) this.handlers.at(-1)?.push(state.copy());
        else expressions.throw(state, node);
        state.ended = true;
        return;
      case 'IfStatement':
        this.#if(node, state);
        return;
      case 'SwitchStatement':
        this.#switch(node, state, label);
        return;
      case 'TryStatement':
        this.#try(node, state);
        return;
      case 'LabeledStatement':
        if (LOOPS.has(node.body.type)) this.statement(node.body, state, node.label.name);
        else this.#target(state, node.label.name, () => this.statement(node.body, state), 'block');
        return;
      case 'BreakStatement':
      case 'ContinueStatement':
        this.#jump(node, state);
        return;
      default:
        if (LOOPS.has(node.type)) this.#loop(node, state, label);
        else if (!isFunction(node) && !/^(TS|Import|Export|Class|Empty|Debugger)/.test(node.type)) expressions.value(node, state);
    }
  }

  /**
   * @param {Node} node
   * @param {State} state
   */
  #if(node, state) {
    const other = new State();
    this.expressions.test(node.test, state, other);
    this.statement(node.consequent, state);
    this.statement(node.alternate, other);
    state.become(state.copy(), other);
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @param {string | undefined} label
   */
  #switch(node, state, label) {
    this.expressions.value(node.discriminant, state);
    this.#target(state, label, () => {
      const before = state.copy();
      let hasDefault = false;
      state.ended = true;
      for (const { test, consequent } of node.cases) {
        if (test) this.expressions.value(test, before);
        else hasDefault = true;
        state.become(state.copy(), before); // from the case above, or from the head
        this.block(consequent, state);
      }
      if (!hasDefault) state.become(state.copy(), before);
    });
  }

  /**
   * @param {Node} node
   * @param {State} state
   * @param {string | undefined} label
   */
  #loop(node, state, label) {
    this.#target(state, label, () => {
      if (node.init?.type === 'VariableDeclaration') this.statement(node.init, state);
      else if (node.init) this.expressions.value(node.init, state);
      if (node.right) this.expressions.value(node.right, state);
      if (node.left?.type === 'VariableDeclaration')
        for (const name of boundNames(node.left.declarations[0].id)) this.expressions.forget(name);
      const atLeastOnce = node.type === 'DoWhileStatement';
      const endless = (node.type === 'ForStatement' && !node.test) || unwrap(node.test)?.value === true;
      if (!atLeastOnce && node.test) this.expressions.value(node.test, state);
      const before = state.copy();
      // Twice, because the state after one round is the state before the next.
      for (let round = 0; round < 2 && !state.ended; round++) {
        this.#target(state, label, () => this.statement(node.body, state), 'continue');
        if (!state.ended && node.update) this.expressions.value(node.update, state);
        if (!state.ended && atLeastOnce) this.expressions.value(node.test, state);
      }
      if (endless) state.ended = true;
      else if (!atLeastOnce) state.become(state.copy(), before);
    });
  }

  /**
   * @param {Node} node
   * @param {State} state
   */
  #try(node, state) {
    const before = state.copy();
    const thrown = [before];
    if (node.handler) this.handlers.push(thrown);
    this.statement(node.block, state);
    if (node.handler) {
      this.handlers.pop();
      const caught = before.copy();
      caught.become(...thrown);
      for (const name of boundNames(node.handler.param)) this.expressions.forget(name);
      this.statement(node.handler.body, caught);
      state.become(state.copy(), caught);
    }
    if (!node.finalizer) return;
    const over = state.ended;
    if (over) Object.assign(state, new State()); // every way out runs it
    this.statement(node.finalizer, state);
    if (over && !state.ended) {
      this.expressions.leave(undefined, state, node.finalizer);
      state.ended = true;
    }
  }

  /**
   * Runs what `break` and `continue` can leave; their states join the one after it.
   * @param {State} state
   * @param {string | undefined} label
   * @param {() => void} run
   * @param {string} [kind]
   */
  #target(state, label, run, kind = 'break') {
    const target = { label, kind, states: [] };
    this.targets.push(target);
    run();
    this.targets.pop();
    state.become(state.copy(), ...target.states);
  }

  /**
   * @param {Node} node
   * @param {State} state
   */
  #jump(node, state) {
    const kinds = node.type === 'ContinueStatement' ? ['continue'] : node.label ? ['break', 'block'] : ['break'];
    const target = this.targets.findLast((one) => kinds.includes(one.kind) && (!node.label || one.label === node.label.name));
    target?.states.push(state.copy());
    state.ended = true;
  }
}

exports.Flow = Flow;
exports.State = State;
