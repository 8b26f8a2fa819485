'use strict';

// Distinguishes helpers from handlers. A function that handlers call and that is not passed to
// Fastify is judged where it is called.

const { propertyName, unwrap, walk } = require('./syntax.js');

/**
 * @typedef {import('./syntax.js').Node} Node
 * @typedef {import('./modules.js').Module} Module
 * @typedef {import('./modules.js').Project} Project
 */

/**
 * Where a name is written that is no use of what it names.
 * @param {Node} node
 * @param {Node} parent
 */
const isDeclaration = (node, parent) =>
  /^(Import|Export)\w*Specifier$/.test(parent.type) ||
  ((parent.type === 'FunctionDeclaration' || parent.type === 'VariableDeclarator') && parent.id === node) ||
  ((parent.type === 'Property' || parent.type === 'MethodDefinition' || parent.type === 'PropertyDefinition') &&
    parent.key === node &&
    parent.value !== node);

/**
 * @param {import('./modules.js').Project} project
 * @param {Set<Node>} handlers functions that take a request and a reply
 * @returns {Set<Node>} those of them that are called in others, each time they are named
 */
function findHelpers(project, handlers) {
  const called = new Set();
  const given = new Set();
  for (const module of project.modules) {
    walk(module.program, (node, ancestors) => {
      const parent = ancestors.at(-1);
      const fn = named(project, module, node, parent, ancestors);
      if (!handlers.has(fn)) return true;
      const isCall = parent.type === 'CallExpression' && unwrap(parent.callee) === node;
      const isInside = ancestors.some((one) => one !== fn && handlers.has(one));
      if (isCall && isInside) called.add(fn);
      else given.add(fn);
      return true;
    });
  }
  return new Set([...called].filter((fn) => !given.has(fn)));
}

/**
 * The function that a name, `object.name` or `this.name` means.
 * @param {Project} project
 * @param {Module} module
 * @param {Node} node
 * @param {Node} parent
 * @param {Node[]} ancestors
 */
function named(project, module, node, parent, ancestors) {
  const scope = () => module.scopes.get(ancestors.findLast((one) => module.scopes.has(one)));
  if (node.type === 'Identifier') {
    const isProperty = parent?.type === 'MemberExpression' && parent.property === node && !parent.computed;
    return isProperty || !parent || isDeclaration(node, parent) ? undefined : project.named(node.name, scope());
  }
  if (node.type !== 'MemberExpression') return undefined;
  const object = unwrap(node.object);
  if (object.type === 'ThisExpression') return module.method(scope()?.node, propertyName(node));
  return object.type === 'Identifier' ? project.member(object.name, propertyName(node), scope()) : undefined;
}

module.exports = { findHelpers };
