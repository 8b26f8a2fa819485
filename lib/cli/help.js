'use strict';

/** @typedef {import('./command.js').Definition} Definition */
/** @typedef {import('./store-options.js').Option} Option */

/** The column at which what an option is for begins. */
const COLUMN = 32;

/** @param {[string, Option][]} options */
function lines(options) {
  return options
    .filter(([, { hidden }]) => !hidden)
    .map(([name, { value, help }]) => {
      const form = `  --${name}${value === undefined ? '' : ` ${value}`}`;
      return form.length < COLUMN - 1 ? `${form.padEnd(COLUMN)}${help}` : `${form}\n${' '.repeat(COLUMN)}${help}`;
    })
    .join('\n');
}

/**
 * What `--help` prints.
 * @param {Definition} command
 * @param {Record<string, Option>} storeOptions those of the store, if the command takes them.
 */
function helpOf({ name, positionals = '', description, options = {}, examples = [], statuses }, storeOptions) {
  const shared = Object.entries(storeOptions).filter(([option]) => !Object.hasOwn(options, option));
  const parts = [
    `Usage: connect-dynamodb-kms ${name}${positionals && ` ${positionals}`} [options]`,
    description.trim(),
    `Options:\n${lines([...Object.entries(options), ['help', { type: 'boolean', help: 'prints this' }]])}`,
    shared.length > 0 && `Options of the store (and the variables that stand in for them):\n${lines(shared)}`,
    examples.length > 0 && `Examples:\n${examples.map((example) => `  npx connect-dynamodb-kms ${example}`).join('\n')}`,
    `Exit status: ${statuses ?? '0 done, 2 wrong usage, 3 AWS failed.'}`,
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

module.exports = { helpOf };
