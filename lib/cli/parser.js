'use strict';

// The parser: oxc-parser, from the project that is checked or from beside this package. The package itself needs no other.

const { createRequire } = require('node:module');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { UsageError } = require('./usage-error.js');

const MISSING =
  'needs oxc-parser: `npm install --save-dev oxc-parser`, or `npx --package=connect-dynamodb-kms --package=oxc-parser connect-dynamodb-kms check-replies`';

/**
 * What is needed of oxc-parser.
 * @typedef {object} Parser
 * @property {(path: string, source: string, options: object) => { program: any, errors: { severity: string, message: string }[] }} parseSync
 */

/** @returns {Promise<Parser>} */
async function loadParser() {
  for (const from of [join(process.cwd(), 'package.json'), __filename]) {
    let path;
    try {
      path = createRequire(from).resolve('oxc-parser');
    } catch (error) {
      if (error.code === 'MODULE_NOT_FOUND') continue;
      throw error;
    }
    return import(pathToFileURL(path).href);
  }
  throw new UsageError(MISSING);
}

/**
 * JavaScript in `.js` may hold JSX.
 * @type {Record<string, string>}
 */
const LANGUAGES = { js: 'jsx', mjs: 'jsx', cjs: 'jsx', jsx: 'jsx', ts: 'ts', mts: 'ts', cts: 'ts', tsx: 'tsx' };

/**
 * @param {Parser} parser
 * @param {string} path
 * @param {string} source
 * @returns {{ program?: any, error?: string }} offsets in UTF-16 units
 */
function parseSource(parser, path, source) {
  const lang = LANGUAGES[path.slice(path.lastIndexOf('.') + 1)];
  const { program, errors } = parser.parseSync(path, source, { lang, preserveParens: false });
  const error = errors.find(({ severity }) => severity === 'Error');
  // Some errors are about meaning, such as a name that is declared twice: the tree is whole.
  return error && program.body.length === 0 ? { error: error.message } : { program };
}

module.exports = { loadParser, parseSource };
