'use strict';

// The files of a project: their functions by scope, what they import from one another, and the
// answers that they add to the reply.

const { boundNames, isFunction, literalText, propertyName, unwrap, walk } = require('./syntax.js');
const { ANSWERS } = require('./names.js');

/**
 * @typedef {import('./syntax.js').Node} Node
 */

/** @typedef {{ source: string, name: string | undefined }} Import what is imported, and from which file */

/** The functions, names and imports that a function or a file declares; blocks within count as the function. */
class Scope {
  /**
   * @param {Node} node
   * @param {Scope | undefined} parent
   * @param {Module} module
   */
  constructor(node, parent, module) {
    this.node = node;
    this.parent = parent;
    this.module = module;
    /** @type {Set<string>} */
    this.declared = new Set();
    /** @type {Map<string, Node>} */
    this.functions = new Map();
    /** @type {Map<string, Import>} */
    this.imports = new Map();
  }

  /**
   * The scope that declares a name.
   * @param {string} name
   */
  find(name) {
    /** @type {Scope | undefined} */
    let scope = this;
    while (scope && !scope.declared.has(name)) scope = scope.parent;
    return scope;
  }
}

/** The names that specifiers without one stand for. */
const SPECIFIERS = new Map([
  ['ImportDefaultSpecifier', 'default'],
  ['ImportNamespaceSpecifier', '*'],
]);

/** Reads one file's tree. */
class Module {
  /**
   * @param {string} path
   * @param {string} source
   * @param {Node} program
   */
  constructor(path, source, program) {
    this.path = path;
    this.source = source;
    this.program = program;
    /** @type {Map<Node, Scope>} */
    this.scopes = new Map();
    /**
     * By the name that they are exported with: functions, names, or what another file exports.
     * @type {Map<string | undefined, any>}
     */
    this.exports = new Map();
    /** @type {string[]} */
    this.stars = [];
    /** @type {Map<Node, Node>} */
    this.classes = new Map();
    this.scope = new Scope(program, undefined, this);
    this.#declare(program, this.scope);
  }

  /**
   * @param {Node} root
   * @param {Scope} scope
   */
  #declare(root, scope) {
    this.scopes.set(root, scope);
    for (const pattern of root.params ?? []) for (const name of boundNames(pattern)) scope.declared.add(name);
    walk(root, (node, ancestors) => {
      if (node === root) return true;
      if (isFunction(node)) {
        if (node.type === 'FunctionDeclaration' && node.id) this.#bind(scope, node.id.name, node);
        this.#declare(node, new Scope(node, scope, this));
        const owner = ancestors.at(-1);
        const body = ancestors.at(-2);
        if (owner?.value === node && (body?.type === 'ClassBody' || body?.type === 'ObjectExpression'))
          this.classes.set(node, body);
        return false;
      }
      if (node.type === 'VariableDeclarator') {
        for (const name of boundNames(node.id)) scope.declared.add(name);
        const init = unwrap(node.init);
        if (node.id.type === 'Identifier' && isFunction(init)) scope.functions.set(node.id.name, init);
        const source = requiredFile(init);
        if (node.id.type === 'Identifier' && source) scope.imports.set(node.id.name, { source, name: '*' });
        if (node.id.type === 'ObjectPattern' && source) {
          for (const property of node.id.properties) {
            const local = boundNames(property.value ?? property)[0];
            if (local && property.key) scope.imports.set(local, { source, name: propertyName(property) });
          }
        }
      } else if (node.type === 'ImportDeclaration') this.#import(node, scope);
      else if (node.type === 'ClassDeclaration' && node.id) scope.declared.add(node.id.name);
      else if (node.type === 'CatchClause') for (const name of boundNames(node.param)) scope.declared.add(name);
      this.#export(node, scope);
      return true;
    });
  }

  /**
   * @param {Scope} scope
   * @param {string} name
   * @param {Node} node
   */
  #bind(scope, name, node) {
    scope.declared.add(name);
    scope.functions.set(name, node);
  }

  /**
   * @param {Node} node
   * @param {Scope} scope
   */
  #import(node, scope) {
    for (const specifier of node.specifiers) {
      const name = SPECIFIERS.get(specifier.type) ?? specifier.imported?.name ?? specifier.imported?.value;
      scope.declared.add(specifier.local.name);
      scope.imports.set(specifier.local.name, { source: node.source.value, name });
    }
  }

  /**
   * `export`, `module.exports = …` and `exports.name = …`: a function, or the name that a scope has
   * for it.
   * @param {Node} node
   * @param {Scope} scope
   */
  #export(node, scope) {
    /**
     * @param {string | undefined} name
     * @param {Node} value
     */
    const add = (name, value) => {
      const inner = unwrap(value);
      if (isFunction(inner) || inner?.type === 'Identifier') this.exports.set(name, inner);
    };
    if (node.type === 'ExportDefaultDeclaration') {
      add('default', node.declaration);
      for (const property of unwrap(node.declaration).properties ?? [])
        if (property.type === 'Property') add(`default.${propertyName(property)}`, property.value);
    }
    if (node.type === 'ExportAllDeclaration' && !node.exported) this.stars.push(node.source.value);
    if (node.type === 'ExportNamedDeclaration') {
      if (node.source) {
        for (const { local, exported } of node.specifiers)
          this.exports.set(exported.name ?? exported.value, { source: node.source.value, name: local.name ?? local.value });
        return;
      }
      for (const { local, exported } of node.specifiers) add(exported.name ?? exported.value, local);
      const { declaration } = node;
      if (isFunction(declaration) && declaration.id) add(declaration.id.name, declaration);
      for (const { id, init } of declaration?.declarations ?? []) if (id.type === 'Identifier') add(id.name, init);
    } else if (node.type === 'AssignmentExpression' && scope === this.scope && node.left.type === 'MemberExpression') {
      const target = this.source.slice(node.left.start, node.left.end).replace(/^module\.(?=exports)/, '');
      if (target === 'exports') {
        add('default', node.right);
        const { properties = [] } = unwrap(node.right);
        for (const property of properties) if (property.type === 'Property') add(propertyName(property), property.value);
      } else if (/^exports\.\w+$/.test(target)) add(target.slice('exports.'.length), node.right);
    }
  }

  /**
   * The method of the same class or object that `this.name` names within a function.
   * @param {Node} fn
   * @param {string | undefined} name
   */
  method(fn, name) {
    let scope = this.scopes.get(fn);
    while (scope?.node.type === 'ArrowFunctionExpression' && !this.classes.has(scope.node)) scope = scope.parent;
    const body = this.classes.get(scope?.node);
    /**
     * @param {any} body?.body ?? body?.properties)?.find((one
     * @returns {Node}
     */
    const member = (body?.body ?? body?.properties)?.find((/** @type {Node} */ one) => one.key && propertyName(one) === name);
    const value = unwrap(member?.value);
    return isFunction(value) ? value : undefined;
  }
}

/**
 * The file that `require('./file')` names.
 * @param {Node} node
 * @returns {string | undefined}
 */
function requiredFile(node) {
  const call = unwrap(node);
  return call?.type === 'CallExpression' && call.callee.name === 'require' ? literalText(call.arguments[0]) : undefined;
}

/** All files that are read together. */
class Project {
  /** @param {Module[]} modules */
  constructor(modules) {
    this.modules = modules;
    this.byPath = new Map(modules.map((module) => [module.path, module]));
    /** @type {Map<Node, Module>} */
    this.moduleOf = new Map();
    for (const module of modules) for (const node of module.scopes.keys()) this.moduleOf.set(node, module);
    /**
     * Functions that the project adds to the reply, by their names.
     * @type {Map<string, Node>}
     */
    this.decorators = new Map();
    /** Whether the project has no framework but Fastify. */
    this.onlyFastify = false;
    for (const module of modules) this.#findDecorators(module);
  }

  /** @param {Module} module */
  #findDecorators(module) {
    walk(module.program, (node) => {
      if (node.type !== 'CallExpression' || unwrap(node.callee).type !== 'MemberExpression') return;
      if (propertyName(unwrap(node.callee)) !== 'decorateReply') return;
      const name = literalText(node.arguments[0]);
      const value = unwrap(node.arguments[1]);
      const fn = value?.type === 'Identifier' ? this.named(value.name, module.scope) : value;
      if (name && !ANSWERS.has(name) && isFunction(fn)) this.decorators.set(name, fn);
    });
  }

  /**
   * The function that a name means in a scope, in this file or in one that it imports.
   * @param {string} name
   * @param {Scope | undefined} scope
   * @param {number} [depth]
   * @returns {Node}
   */
  named(name, scope, depth = 0) {
    const at = scope?.find(name);
    if (!at || depth > 5) return undefined;
    const wanted = at.imports.get(name);
    return at.functions.get(name) ?? (wanted && this.exported(at.module, wanted, depth + 1));
  }

  /**
   * The function that `object.name` means where a file is imported as an object.
   * @param {string} object
   * @param {string | undefined} name
   * @param {Scope | undefined} scope
   * @returns {Node}
   */
  member(object, name, scope) {
    const at = scope?.find(object);
    const wanted = at?.imports.get(object);
    if (!at || !wanted || (wanted.name !== '*' && wanted.name !== 'default')) return undefined;
    return this.exported(at.module, { source: wanted.source, name: wanted.name === '*' ? name : `default.${name}` });
  }

  /**
   * The function that another file exports.
   * @param {Module} from
   * @param {Import} parts
   * @param {number} [depth]
   * @returns {Node}
   */
  exported(from, { source, name }, depth = 0) {
    const module = this.#imported(from, source);
    if (!module || depth > 5) return undefined;
    const value = module.exports.get(name === '*' ? 'default' : name);
    if (value?.source) return this.exported(module, value, depth + 1);
    if (value) return isFunction(value) ? value : this.named(value.name, module.scope, depth + 1);
    for (const star of module.stars) {
      const found = this.exported(module, { source: star, name }, depth + 1);
      if (found) return found;
    }
    return undefined;
  }

  /**
   * The file that an import means: a relative one, or one below a folder that bundlers and
   * TypeScript call `@/`, `~/` or `#/`.
   * @param {Module} from
   * @param {string} [source]
   */
  #imported(from, source = '') {
    if (/^\.{1,2}(\/|$)/.test(source)) {
      const parts = from.path.split('/').slice(0, -1);
      for (const part of source.split('/')) {
        if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
        else if (part !== '.' && part !== '') parts.push(part);
      }
      return candidates(parts.join('/'))
        .map((path) => this.byPath.get(path))
        .find(Boolean);
    }
    if (!/^[@~#]\//.test(source)) return undefined;
    const endings = candidates(source.slice(1));
    const found = this.modules.filter(({ path }) => endings.some((ending) => `/${path}`.endsWith(ending)));
    return found.length === 1 ? found[0] : undefined;
  }
}

/**
 * The files that a path without an ending, or with that of the compiled file, can mean.
 * @param {string} path
 */
function candidates(path) {
  const bases = [path, path.replace(/\.[cm]?jsx?$/, ''), `${path}/index`];
  return bases.flatMap((base) =>
    ['', '.ts', '.js', '.mts', '.cts', '.mjs', '.cjs', '.tsx', '.jsx'].map((ending) => base + ending),
  );
}

exports.Module = Module;
exports.Project = Project;
exports.Scope = Scope;
