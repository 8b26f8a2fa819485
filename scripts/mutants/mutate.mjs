// The mutants of a JavaScript source: each is the source with one small fault. A test suite that needs a line fails when that line has a fault.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root } from '../steps.mjs';

// The tests have the parser among their dependencies; the scripts have none of their own.
const { parseSync } = createRequire(join(root, '__test__', 'package.json'))('oxc-parser');

const OTHER_OPERATOR = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  '&&': '||',
  '||': '&&',
};

/** What is removed as a statement: a call, an assignment, a count. */
const REMOVED = new Set(['CallExpression', 'AssignmentExpression', 'UpdateExpression']);
const NEGATED = new Set(['IfStatement', 'ConditionalExpression', 'WhileStatement']);

/**
 * @typedef {object} Mutant
 * @property {number} line counted from 1.
 * @property {string} code the text of that line. With `change` it names the mutant, wherever the line moves to.
 * @property {string} [above] the text of the line above it.
 * @property {string} change what was changed, in words.
 * @property {string} source the whole source with the fault.
 */

/**
 * @param {string} source
 * @param {string} file its name, for the parser.
 * @returns {Mutant[]} in the order of their lines.
 */
export function mutantsOf(source, file) {
  const { program, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file} cannot be parsed: ${errors[0].message}`);
  const edits = [];
  visit(program, undefined, (node, parent) => edits.push(...editsOf(node, parent, source)));
  const lines = source.split('\n');
  return edits
    .sort((a, b) => a.start - b.start || a.end - b.end)
    .map(({ start, end, text, change }) => {
      const line = source.slice(0, start).split('\n').length;
      const [above, code] = [lines[line - 2]?.trim(), lines[line - 1].trim()];
      return { line, code, above, change, source: source.slice(0, start) + text + source.slice(end) };
    });
}

function visit(node, parent, each) {
  each(node, parent);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === 'string') visit(child, node, each);
  }
}

/** The faults that one node of the syntax tree can have. */
function editsOf(node, parent, source) {
  const textOf = ({ start, end }) => source.slice(start, end);
  const edit = ({ start, end }, text, change) => [{ start, end, text, change: `${change}: ${short(textOf({ start, end }))}` }];
  if (NEGATED.has(node.type)) return edit(node.test, `!(${textOf(node.test)})`, 'negated');
  if (node.type === 'ReturnStatement' && node.argument && !isNothing(node.argument)) {
    return edit(node, 'return;', 'returned nothing');
  }
  if (node.type === 'ArrowFunctionExpression' && node.expression && !isNothing(node.body)) {
    return edit(node.body, 'undefined', 'returned nothing').map((found) => unwrapped(found, source, node));
  }
  if (node.type === 'ThrowStatement') return edit(node, ';', 'removed');
  if (node.type === 'ExpressionStatement' && isRemovable(node.expression)) return edit(node, ';', 'removed');
  if (node.type === 'BinaryExpression' || node.type === 'LogicalExpression') return otherOperator(node, parent, source);
  if (node.type === 'Literal') return otherConstant(node, edit);
  return [];
}

/** The parentheses around an object that an arrow function returns are not part of its node. */
function unwrapped(found, source, arrow) {
  const open = source.slice(arrow.start, found.start);
  if (!open.endsWith('(') || !source.slice(found.end).startsWith(')')) return found;
  return { ...found, start: found.start - 1, end: found.end + 1 };
}

function isNothing(node) {
  return (
    (node.type === 'Identifier' && node.name === 'undefined') || (node.type === 'UnaryExpression' && node.operator === 'void')
  );
}

/** A constructor without `super()` is no mutant of ours: it always fails. What a module exports is needed by every test. */
function isRemovable(expression) {
  const inner = expression.type === 'AwaitExpression' ? expression.argument : expression;
  if (!REMOVED.has(inner.type)) return false;
  if (inner.type === 'CallExpression') return inner.callee.type !== 'Super';
  return !(inner.left?.type === 'MemberExpression' && inner.left.object.name === 'module');
}

function otherOperator(node, parent, source) {
  const other = OTHER_OPERATOR[node.operator];
  // A condition of one comparison is negated as a whole.
  const isWholeTest = NEGATED.has(parent?.type) && parent.test === node;
  if (!other || (isWholeTest && /^[!=]==$/.test(node.operator))) return [];
  if (node.operator === '+' && [node.left, node.right].some(isText)) return [];
  const start = source.indexOf(node.operator, node.left.end);
  const change = `${node.operator} became ${other}: ${short(source.slice(node.start, node.end))}`;
  return [{ start, end: start + node.operator.length, text: other, change }];
}

function isText(node) {
  return (
    node.type === 'TemplateLiteral' || typeof node.value === 'string' || (node.type === 'BinaryExpression' && isText(node.right))
  );
}

function otherConstant(node, edit) {
  if (typeof node.value === 'number') return edit(node, String(node.value + 1), `became ${node.value + 1}`);
  if (typeof node.value === 'boolean') return edit(node, String(!node.value), `became ${!node.value}`);
  return [];
}

function short(text) {
  const line = text.replace(/\s+/g, ' ');
  return line.length > 70 ? `${line.slice(0, 70)}…` : line;
}
