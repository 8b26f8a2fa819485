'use strict';

// What the operator's commands have in common: their options, `--help`, and the store that they
// work on.

const { parseArgs } = require('node:util');
const { didYouMean } = require('./nearest.js');
const { STORE_OPTIONS, configOf } = require('./store-options.js');
const { UsageError } = require('./usage-error.js');

/** @typedef {import('./store-options.js').Option} Option */

/**
 * @typedef {object} Definition
 * @property {string} name
 * @property {string} description for `--help`.
 * @property {string} [positionals] how they are written in the help, such as `SID`.
 * @property {[number, number]} [takes] the least and the greatest number of positionals; none
 *   without it.
 * @property {Record<string, Option>} [options] its own, which come before the store's of that name.
 * @property {boolean | string[]} [store] whether it takes the store's options, or which.
 * @property {string[]} [examples] without the program's name.
 * @property {string} [statuses] what its exit statuses mean.
 * @property {(context: Context) => Promise<number>} run gives the exit status.
 */

/**
 * @typedef {object} Context
 * @property {Record<string, any>} values the options by name.
 * @property {string[]} positionals
 * @property {Record<string, unknown>} config of the store, as its constructor takes it.
 */

/** The option of every command that prints a report. @type {Record<string, Option>} */
const JSON_OPTION = { json: { type: 'boolean', help: 'prints JSON' } };

/**
 * @param {Definition} command
 * @returns {Record<string, Option>}
 */
function storeOptionsOf({ store }) {
  if (!Array.isArray(store)) return store ? STORE_OPTIONS : {};
  return Object.fromEntries(store.map((name) => [name, STORE_OPTIONS[name]]));
}

/**
 * The values of the options that were given.
 * @param {string[]} args
 * @param {Record<string, Option>} options
 * @param {Definition} definition
 */
function parse(args, options, definition) {
  const known = Object.keys(options);
  const shapes = Object.entries(options).map(([name, { type, multiple = false }]) => [name, { type, multiple }]);
  const { tokens } = parseArgs({
    args,
    options: Object.fromEntries(shapes),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    // Of strict parsing, but for what it says about unknown names.
    if (!Object.hasOwn(options, token.name)) {
      // Session ids may begin with "-".
      const [word] = /\w+/.exec(definition.positionals ?? '') ?? [];
      const hint = word ? `. If ${word} begins with "-", put -- before it: ${definition.name} -- ${word}` : '';
      throw new UsageError(`unknown option ${token.rawName}${didYouMean(token.name, known, '--')}${hint}`.replace('?.', '?'));
    }
    const { type, value, mayBeEmpty } = options[token.name];
    if (type === 'boolean' && token.value !== undefined) throw new UsageError(`--${token.name} takes no value`);
    const empty = token.value === '' && !mayBeEmpty;
    const missing = token.value === undefined || empty || (!token.inlineValue && token.value.startsWith('--'));
    if (type === 'string' && missing) throw new UsageError(`--${token.name} needs a value: --${token.name} ${value}`);
  }
  return parseArgs({ args, options: Object.fromEntries(shapes), allowPositionals: true });
}

/**
 * A command of the program.
 * @param {Definition} definition
 */
function command(definition) {
  const storeOptions = storeOptionsOf(definition);
  /** @type {Record<string, Option>} */
  const options = { ...storeOptions, ...definition.options, help: { type: 'boolean', help: 'prints this' } };
  return {
    definition,

    /** @param {string[]} args @returns {Promise<number>} the exit status */
    async run(args) {
      const before = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
      if (before.includes('--help') || before.includes('-h')) {
        process.stdout.write(require('./help.js').helpOf(definition, storeOptions));
        return 0;
      }
      const { values, positionals } = parse(args, options, definition);
      const [least, greatest] = definition.takes ?? [0, 0];
      if (positionals.length > greatest) throw new UsageError(`unexpected argument ${JSON.stringify(positionals[greatest])}`);
      if (positionals.length < least) throw new UsageError(`${definition.positionals} is missing`);
      const config = configOf(values);
      const folder = process.env.SESSIONS_LOCAL?.trim();
      if (folder && Object.hasOwn(options, 'local') && config.local === undefined) {
        process.stderr.write('SESSIONS_LOCAL is set: this is about its folder, not about AWS.\n');
      }
      return definition.run({ values, positionals, config });
    },
  };
}

module.exports = { JSON_OPTION, command };
