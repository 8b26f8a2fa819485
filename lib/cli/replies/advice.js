'use strict';

// Says what is wrong with an answer, and what to write.

const { children, isFunction, propertyName, unwrap } = require('./syntax.js');

const LONGEST_ARGUMENT = 24;

/** A call on one line, with its longer arguments left out: `reply.code(401).send(…)`. */
function shortened(node, source) {
  const at = unwrap(node);
  if (at.type === 'CallExpression') {
    const text = at.arguments.map((one) => source.slice(one.start, one.end)).join(', ');
    const short = text.length <= LONGEST_ARGUMENT && !/[\n{`]/.test(text) ? text : '…';
    return `${shortened(at.callee, source)}(${short})`;
  }
  if (at.type === 'MemberExpression' && !at.computed) return `${shortened(at.object, source)}.${propertyName(at)}`;
  const text = source.slice(at.start, at.end).replace(/\s+/g, ' ');
  return text.length <= LONGEST_ARGUMENT ? text : '…';
}

/** The functions around a node, from the outside in, up to one of them. */
function functionsAround(node, root) {
  const inside = [];
  let at = root;
  while (at) {
    const next = children(at).find((child) => child.start <= node.start && node.end <= child.end);
    if (next && next !== node && isFunction(next)) inside.push(next);
    at = next === node ? undefined : next;
  }
  return inside;
}

/** Whether one of the functions is what `new Promise(…)` calls. */
function isSettling(functions, module) {
  return functions.some((fn) => /\bnew\s+Promise\s*(<[^()]*>)?\(\s*(function\s*)?$/.test(module.source.slice(0, fn.start)));
}

/** @returns {{ code: string, write: string }} */
function advice(answer, handler) {
  const { node, module, kind, exit } = answer;
  const code = shortened(node, module.source);
  const around = functionsAround(node, module.program);
  const inner = around.at(-1);
  const nested = inner !== handler && around.includes(handler);
  if (kind.called && !kind.waits) {
    return { code, write: `let ${kind.called}() return the reply, and write \`return ${code}\`` };
  }
  if (nested || !inner.async) {
    const last = 'at the end of the handler';
    if (isSettling(around, module))
      return { code, write: `resolve the promise with the reply, or write \`await reply\` ${last}` };
    if (inner.async || !handler.async) return { code, write: `write \`return ${code}\`, and return or await what calls it` };
    return { code, write: `a callback answers: write \`return reply\` or \`await reply\` ${last}` };
  }
  if (exit?.type === 'ThrowStatement') return { code, write: `answer or throw, not both: write \`return ${code}\`` };
  if (exit?.type === 'ReturnStatement' && exit.argument) {
    const value = unwrap(exit.argument);
    if (value.type === 'UnaryExpression' && value.operator === 'void')
      return { code, write: `write \`return ${code}\`, without void` };
    if (exit.start > node.start) return { code, write: `write \`await ${code}\` before it returns another value` };
  }
  return { code, write: `write \`return ${code}\`` };
}

module.exports = { advice };
