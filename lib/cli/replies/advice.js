'use strict';

// Says what is wrong with an answer, and what to write.

const { children, isFunction, propertyName, unwrap } = require('./syntax.js');

/**
 * @typedef {import('./syntax.js').Node} Node
 */

const LONGEST_ARGUMENT = 24;

/**
 * A call on one line, with its longer arguments left out: `reply.code(401).send(…)`.
 * @param {Node} node
 * @param {string} source
 * @returns {string}
 */
function shortened(node, source) {
  const at = unwrap(node);
  if (at.type === 'CallExpression') {
    const text = at.arguments.map((/** @type {Node} */ one) => source.slice(one.start, one.end)).join(', ');
    const short = text.length <= LONGEST_ARGUMENT && !/[\n{`]/.test(text) ? text : '…';
    return `${shortened(at.callee, source)}(${short})`;
  }
  if (at.type === 'MemberExpression' && !at.computed) return `${shortened(at.object, source)}.${propertyName(at)}`;
  const text = source.slice(at.start, at.end).replace(/\s+/g, ' ');
  return text.length <= LONGEST_ARGUMENT ? text : '…';
}

/**
 * The nodes around a node, from the outside in.
 * @param {Node} node
 * @param {Node} root
 */
function nodesAround(node, root) {
  const around = [];
  for (let at = root; at && at !== node; at = children(at).find(({ start, end }) => start <= node.start && node.end <= end))
    around.push(at);
  return around;
}

/** @param {Node} call */
const isPromiseStep = (call) => /^(then|catch|finally)$/.test((call.callee && propertyName(unwrap(call.callee))) ?? '');

/**
 * @param {import('./values.js').Answer} answer that nothing waits for
 * @param {object} handler the function in which that is so
 * @returns {{ code: string, write: string }}
 */
function advice({ node, module, kind, exit }, handler) {
  const code = shortened(node, module.source);
  const around = nodesAround(node, module.program);
  const functions = around.filter(isFunction);
  const inner = functions.at(-1);
  /** What each function is given to. */
  const owners = functions.map((fn) => around[around.indexOf(fn) - 1]);
  /** @param {string} write */
  const say = (write) => ({ code, write });
  if (owners.some((owner) => owner.type === 'NewExpression' && owner.callee.name === 'Promise')) {
    return say('resolve the promise with the reply, or write `await reply` at the end of the handler');
  }
  if (kind.called && !kind.waits) return say(`let ${kind.called}() return the reply, and write \`return ${code}\``);
  if (inner === handler && !inner.async) return say('return the reply instead of another promise');
  if ((functions.includes(handler) && inner !== handler) || !inner.async) {
    if (inner.async || isPromiseStep(owners.at(-1))) return say(`write \`return ${code}\`, and return or await what calls it`);
    return say('a callback answers: write `return reply` or `await reply` at the end of the handler');
  }
  if (exit?.type === 'ThrowStatement') return say(`answer or throw, not both: write \`return ${code}\``);
  const value = exit?.type === 'ReturnStatement' ? unwrap(exit.argument) : undefined;
  if (value?.operator === 'void') return say(`write \`return ${code}\`, without void`);
  if (value && exit.start > node.start) return say(`write \`await ${code}\` before it returns another value`);
  return say(`write \`return ${code}\``);
}

module.exports = { advice };
