'use strict';

// What the analysis asks of a syntax tree in the ESTree format, with TypeScript's nodes, as
// oxc-parser gives it.

/** @typedef {any} Node a node of the tree; its kinds have hundreds of shapes */

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);
const WRAPPERS = new Set([
  'ParenthesizedExpression',
  'ChainExpression',
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
  'TSTypeAssertion',
  'TSInstantiationExpression',
]);
/** Parts that hold types, which run nothing. */
const TYPES = new Set(['typeAnnotation', 'typeArguments', 'typeParameters', 'returnType', 'superTypeArguments', 'implements']);

/** @param {any} value */
const isNode = (value) => typeof value?.type === 'string';
/**
 * Whether a node is a function with a body: overloads and abstract methods have none.
 * @param {Node} node
 * @returns {boolean}
 */
const isFunction = (node) => FUNCTIONS.has(node?.type) && Boolean(node.body);

/**
 * The node inside parentheses, optional chains and type assertions.
 * @param {Node} node
 */
function unwrap(node) {
  let inner = node;
  while (inner && WRAPPERS.has(inner.type)) inner = inner.expression;
  return inner;
}

/**
 * The nodes right below a node, in the order of the source, without types.
 * @param {Node} node
 * @returns {Node[]}
 */
function children(node) {
  const found = [];
  for (const key of Object.keys(node)) {
    if (TYPES.has(key)) continue;
    const value = node[key];
    if (isNode(value)) found.push(value);
    else if (Array.isArray(value)) found.push(...value.filter(isNode));
  }
  return found;
}

/**
 * Calls `visit(node, ancestors)` for a node and all below it, from the outside in. `visit` returns
 * false to stay out of a node.
 * @param {Node} node
 * @param {(node: Node, ancestors: Node[]) => boolean | void} visit
 * @param {Node[]} [ancestors]
 */
function walk(node, visit, ancestors = []) {
  if (visit(node, ancestors) === false) return;
  ancestors.push(node);
  for (const child of children(node)) walk(child, visit, ancestors);
  ancestors.pop();
}

/**
 * The name of a property: of `a.b`, `a['b']`, `{ b: … }`, `class { b() {} }`.
 * @param {Node} node
 */
function propertyName(node) {
  const key = node.type === 'MemberExpression' ? node.property : node.key;
  if (!node.computed && (key?.type === 'Identifier' || key?.type === 'PrivateIdentifier')) return key.name;
  return typeof key?.value === 'string' ? key.value : undefined;
}

/**
 * The names that a parameter or a declaration binds.
 * @param {Node} pattern
 * @param {string[]} [names]
 * @returns {string[]}
 */
function boundNames(pattern, names = []) {
  switch (pattern?.type) {
    case 'Identifier':
      names.push(pattern.name);
      break;
    case 'AssignmentPattern':
      boundNames(pattern.left, names);
      break;
    case 'RestElement':
      boundNames(pattern.argument, names);
      break;
    case 'TSParameterProperty':
      boundNames(pattern.parameter, names);
      break;
    case 'ArrayPattern':
      for (const element of pattern.elements) boundNames(element, names);
      break;
    case 'ObjectPattern':
      for (const property of pattern.properties) boundNames(property.value ?? property, names);
      break;
  }
  return names;
}

/**
 * A parameter without its default value and TypeScript's modifiers.
 * @param {Node} node
 * @returns {Node}
 */
function parameter(node) {
  if (node?.type === 'TSParameterProperty') return parameter(node.parameter);
  return node?.type === 'AssignmentPattern' ? node.left : node;
}

/**
 * The last name of a type: `FastifyReply` of `fastify.FastifyReply<…>`.
 * @param {Node} node
 */
function typeName(node) {
  let type = node?.type === 'TSTypeAnnotation' ? node.typeAnnotation : node;
  type = type?.type === 'TSTypeReference' ? type.typeName : undefined;
  return type?.type === 'TSQualifiedName' ? type.right.name : type?.name;
}

/**
 * A text that is known before the program runs, or undefined.
 * @param {Node} node
 */
function literalText(node) {
  const inner = unwrap(node);
  if (inner?.type === 'TemplateLiteral' && inner.quasis.length === 1) return inner.quasis[0].value.cooked;
  return typeof inner?.value === 'string' ? inner.value : undefined;
}

/**
 * Whether a function mentions one of its parameters.
 * @param {Node} parts
 * @param {string} source
 */
function usesParameters({ params, body }, source) {
  const text = source.slice(body.start, body.end);
  return params.some(
    (/** @type {Node} */ { name }) => name && new RegExp(`(?<![\\w$])${name.replaceAll('$', '\\$')}(?![\\w$])`).test(text),
  );
}

module.exports = {
  boundNames,
  children,
  isFunction,
  literalText,
  parameter,
  propertyName,
  typeName,
  unwrap,
  usesParameters,
  walk,
};
