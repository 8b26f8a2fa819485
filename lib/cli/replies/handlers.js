'use strict';

// Finds the functions that Fastify calls with a reply: those that are registered, and those whose
// parameters say so.

const { isFunction, literalText, parameter, propertyName, typeName, unwrap, walk } = require('./syntax.js');
const { findHelpers } = require('./helpers.js');
const { HANDLER_TYPES, HOOKS, LATER_HOOKS, REPLY_NAMES, REQUEST_NAMES, SHORTHANDS } = require('./names.js');

/**
 * @typedef {import('./syntax.js').Node} Node
 * @typedef {import('./modules.js').Module} Module
 * @typedef {import('./modules.js').Project} Project
 * @typedef {import('./modules.js').Scope} Scope
 */

/** A function that answers requests: what to call it, and which of its parameters is the reply. */
class Handler {
  /**
   * @param {Node} node
   * @param {string} label
   * @param {number} index
   */
  constructor(node, label, index) {
    this.node = node;
    this.label = label;
    this.index = index;
  }
}

const ANY_NAMES = new Set([...REPLY_NAMES, 'res', '_res', 'response']);
const OTHERS = /\b(from|require\(|import\()\s*['"](express|restify|polka|koa|next|@nestjs\/common|micro|connect|h3)\b/;

/**
 * Whether the file belongs to another framework whose handlers look alike, `(req, res)`.
 * @param {string} source
 */
function isForeign(source) {
  if (/\bfastify/i.test(source)) return false;
  return (
    /\b(from|require\(|import\()\s*['"](express|restify|polka|koa|next|http|node:http|@nestjs\/common|micro|connect|msw|vite|h3)\b/.test(
      source,
    ) || /\b(NextApiResponse|express\.Router|res(ponse)?\.(json|sendStatus|render|writeHead|end|set)\()/.test(source)
  );
}

/**
 * Whether a project has no framework but Fastify, so that `(req, res)` is a request and a reply in
 * all of it.
 * @param {string[]} sources
 */
const hasOnlyFastify = (sources) =>
  sources.some((source) => /['"]fastify['"]/.test(source)) && !sources.some((source) => OTHERS.test(source));

/**
 * Collects the handlers of one file in `found`, and in `others` the functions that Fastify calls
 * when there is already an answer.
 */
class Handlers {
  /**
   * @param {Project} project
   * @param {Module} module
   * @param {Map<Node, Handler>} found
   * @param {Set<Node>} others
   */
  constructor(project, module, found, others) {
    this.project = project;
    this.module = module;
    this.found = found;
    this.others = others;
    this.foreign = isForeign(module.source);
    this.names = project.onlyFastify && !this.foreign ? ANY_NAMES : REPLY_NAMES;
  }

  /** Those that this file registers, wherever they are. */
  findRegistered() {
    walk(this.module.program, (node, ancestors) => this.#visit(node, ancestors));
  }

  /** Those in this file whose parameters say what they are. */
  findByParameters() {
    for (const [node, scope] of this.module.scopes) if (isFunction(node)) this.#byParameters(node, scope);
  }

  /**
   * @param {Node} node
   * @param {Node[]} ancestors
   */
  #visit(node, ancestors) {
    if (node.type === 'CallExpression') this.#call(node, ancestors);
    else if (node.type === 'ObjectExpression') this.#options(node, ancestors);
    else if (node.type === 'VariableDeclarator' && HANDLER_TYPES.test(typeName(node.id.typeAnnotation) ?? '')) {
      this.#register(node.init, `${node.id.name} (${typeName(node.id.typeAnnotation)})`, 1, ancestors);
    }
    return true;
  }

  /**
   * What a value that is given to Fastify makes a handler: a function, a name, a list, or a
   * function in a call such as `wrap(fn)`.
   * @param {Node} value
   * @param {string} label
   * @param {number} index
   * @param {Node[]} ancestors
   * @param {Map<Node, Handler> | Set<Node>} [into]
   */
  #register(value, label, index, ancestors, into = this.found) {
    const node = unwrap(value);
    if (!node) return;
    if (isFunction(node)) {
      const reply = parameter(node.params[index]);
      if (into instanceof Set) into.add(node);
      else if (
        reply &&
        !(this.foreign && !isTyped(reply) && !REPLY_NAMES.has(reply.name)) &&
        !looksLikeRequest(reply) &&
        !into.has(node)
      )
        into.set(node, new Handler(node, label, index));
    } else if (node.type === 'Identifier') {
      const scope = this.#scopeOf(ancestors);
      const fn = this.project.named(node.name, scope);
      if (fn) this.#register(fn, `${label}, ${node.name}`, index, ancestors, into);
    } else if (node.type === 'ArrayExpression') {
      for (const element of node.elements) this.#register(element, label, index, ancestors, into);
    } else if (node.type === 'CallExpression') {
      for (const argument of node.arguments)
        if (argument.type !== 'CallExpression') this.#register(argument, label, index, ancestors, into);
      const callee = unwrap(node.callee);
      if (callee.type === 'MemberExpression' && propertyName(callee) === 'bind')
        this.#register(callee.object, label, index, ancestors, into);
    } else if (node.type === 'MemberExpression') {
      const object = unwrap(node.object);
      const scope = this.#scopeOf(ancestors);
      const fn =
        object.type === 'ThisExpression'
          ? this.module.method(scope.node, propertyName(node))
          : this.project.member(object.name, propertyName(node), scope);
      if (fn) this.#register(fn, `${label}, ${propertyName(node)}`, index, ancestors, into);
    }
  }

  /** @param {Node[]} ancestors */
  #scopeOf(ancestors) {
    const node = ancestors.findLast((one) => this.module.scopes.has(one));
    return this.module.scopes.get(node) ?? this.module.scope;
  }

  /**
   * `app.get('/', …)`, `app.addHook('preHandler', …)`, `app.setErrorHandler(…)`
   * @param {Node} node
   * @param {Node[]} ancestors
   */
  #call(node, ancestors) {
    const callee = unwrap(node.callee);
    if (callee.type !== 'MemberExpression') return;
    const method = propertyName(callee);
    const [first] = node.arguments;
    if (SHORTHANDS.has(method) && node.arguments.length > 1) {
      const url = literalText(first);
      // If it is not a path, this is another library's `get`.
      if (url !== undefined && !/^(\/|\*|$)/.test(url)) return;
      const name = url === undefined ? this.module.source.slice(first.start, first.end).replace(/\s+/g, ' ').slice(0, 40) : url;
      this.#register(node.arguments.at(-1), `${method === 'all' ? 'ALL' : method.toUpperCase()} ${name || "''"}`, 1, ancestors);
    } else if (method === 'addHook') {
      const hook = literalText(first);
      if (HOOKS.has(hook)) this.#register(node.arguments[1], `${hook} hook`, 1, ancestors);
      else if (LATER_HOOKS.has(hook)) this.#register(node.arguments[1], '', 1, ancestors, this.others);
    } else if (method === 'setErrorHandler') this.#register(first, 'error handler', 2, ancestors);
    else if (method === 'setNotFoundHandler') this.#register(node.arguments.at(-1), 'not-found handler', 1, ancestors);
    else if (method === 'decorate' && literalText(first)) {
      this.#byParameters(unwrap(node.arguments[1]), undefined, `decorator ${literalText(first)}`);
    }
  }

  /**
   * Options of a route, wherever they are written: `{ url, handler, preHandler, errorHandler }`.
   * @param {Node} node
   * @param {Node[]} ancestors
   */
  #options(node, ancestors) {
    const properties = node.properties.filter((/** @type {Node} */ property) => property.type === 'Property');
    /** @param {string} name */
    const value = (name) => properties.find((/** @type {Node} */ property) => propertyName(property) === name)?.value;
    const url = literalText(value('url') ?? value('path'));
    const methods = unwrap(value('method'));
    const method = methods?.type === 'ArrayExpression' ? methods.elements.map(literalText).join('|') : literalText(methods);
    const call = ancestors.at(-1)?.type === 'CallExpression' ? ancestors.at(-1) : undefined;
    const shorthand = call && unwrap(call.callee).type === 'MemberExpression' ? propertyName(unwrap(call.callee)) : '';
    const ofCall = SHORTHANDS.has(shorthand) ? `${shorthand.toUpperCase()} ${literalText(call.arguments[0]) ?? ''}`.trim() : '';
    const route = ofCall || [method, url].filter(Boolean).join(' ');
    const of = route ? ` of ${route}` : '';
    for (const property of properties) {
      const name = propertyName(property);
      if (name === 'handler') this.#register(property.value, route || 'handler', 1, ancestors);
      else if (name === 'errorHandler') this.#register(property.value, `errorHandler${of}`, 2, ancestors);
      else if (HOOKS.has(name)) this.#register(property.value, `${name} hook${of}`, 1, ancestors);
      else if (LATER_HOOKS.has(name)) this.#register(property.value, '', 1, ancestors, this.others);
    }
  }

  /**
   * A function that takes a request and a reply by their names or types, wherever it is used.
   * @param {Node} node
   * @param {Scope | undefined} scope
   * @param {string} [label]
   */
  #byParameters(node, scope, label) {
    if (!isFunction(node) || this.found.has(node) || this.others.has(node)) return;
    const parameters = node.params.map(parameter);
    const index = parameters.findIndex((/** @type {Node} */ one, /** @type {number} */ place) => place > 0 && this.#isReply(one));
    if (index < 0) return;
    const request = parameters[index - 1];
    if (!(isRequest(request) || typeName(parameters[index].typeAnnotation) === 'FastifyReply')) return;
    // Otherwise it is a helper, which is judged where it is called.
    if (!isRequest(request) && !parameters.some(isRequest)) return;
    this.found.set(node, new Handler(node, label ?? this.#nameOf(node, scope), index));
  }

  /** @param {Node} node */
  #isReply(node) {
    return isTyped(node) || (this.names.has(node?.name) && !isForeignType(node));
  }

  /**
   * @param {Node} node
   * @param {Scope | undefined} scope
   */
  #nameOf(node, scope) {
    if (node.id) return `function ${node.id.name}`;
    for (const [name, fn] of scope?.parent?.functions ?? []) if (fn === node) return `function ${name}`;
    const owner = this.module.classes.get(node);
    /** @param {any} owner?.body ?? owner?.properties)?.find((one */
    const member = (owner?.body ?? owner?.properties)?.find((/** @type {Node} */ one) => one.value === node);
    if (member) return `method ${propertyName(member) ?? ''}`.trim();
    for (const [name, value] of this.module.exports) if (value === node) return `export ${name}`;
    return 'function';
  }
}

/**
 * @param {import('./modules.js').Project} project
 * @param {string[]} sources all texts of the project
 * @returns {Handler[]} the handlers, each once
 */
function findHandlers(project, sources) {
  project.onlyFastify = hasOnlyFastify(sources);
  const found = new Map();
  const others = new Set();
  const files = project.modules.map((module) => new Handlers(project, module, found, others));
  for (const file of files) file.findRegistered();
  const registered = new Set(found.keys());
  for (const file of files) file.findByParameters();
  for (const helper of findHelpers(project, new Set(found.keys()))) if (!registered.has(helper)) found.delete(helper);
  return [...found.values()];
}

/** @param {Node} node */
const isTyped = (node) => typeName(node?.typeAnnotation) === 'FastifyReply';
/** @param {Node} node */
const isForeignType = (node) => /^(Response|ServerResponse|NextApiResponse)$/.test(typeName(node?.typeAnnotation) ?? '');
/** @param {Node} node */
const isRequest = (node) =>
  node?.type === 'ObjectPattern' || REQUEST_NAMES.test(node?.name ?? '-') || typeName(node?.typeAnnotation) === 'FastifyRequest';
/**
 * A handler of @fastify/websocket has the request there.
 * @param {Node} node
 */
const looksLikeRequest = (node) => /^_*req(uest)?$/.test(node.name ?? '') || typeName(node.typeAnnotation) === 'FastifyRequest';

module.exports = { findHandlers };
