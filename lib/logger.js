'use strict';

const { failure } = require('./errors.js');

/**
 * @typedef {import('../index.js').SessionStoreLogger} Logger
 * @typedef {import('../index.js').SessionStoreLogFields} Fields
 * @typedef {'first' | 'last' | false} Place where the fields of a line stand among the arguments.
 * @typedef {(level: 'warn' | 'debug', text: string, fields: Fields) => unknown} Write
 */

/**
 * The property of every pino logger, of its children, and of Fastify's `app.log`, from whichever
 * copy of pino. pino publishes it as `pino.symbols.serializersSym`, and Fastify knows pino by it,
 * too. The names of methods would not do: winston and bunyan have the same ones.
 */
const PINO = Symbol.for('pino.serializers');

/** @type {unknown[]} */
const PLACES = ['first', 'last', false];

/** @type {Record<'first' | 'last' | 'none', (logger: any) => Write>} */
const WRITERS = {
  first: (logger) => (level, text, fields) => logger[level](fields, text),
  last: (logger) => (level, text, fields) => logger[level](text, fields),
  none: (logger) => (level, text) => logger[level](text),
};

/**
 * How a line is written to the caller's logger. Its methods are called as they are then: pino
 * replaces them when its level changes.
 * @param {any} logger
 * @param {unknown} place the option `logFields`.
 * @returns {Write}
 */
function writerOf(logger, place) {
  let methods = /** @type {unknown[]} */ ([]);
  let isPino = false;
  try {
    if (logger !== null && typeof logger === 'object') {
      methods = [logger.warn, logger.debug];
      isPino = logger[PINO] !== undefined;
    }
  } catch (cause) {
    throw failure('ERR_CONFIG', 'a method of logger cannot be read; see cause', cause);
  }
  if (methods.length === 0 || methods.some((method) => typeof method !== 'function')) {
    throw failure('ERR_CONFIG', 'logger must be an object with the methods warn and debug');
  }
  if (place !== undefined && !PLACES.includes(place)) {
    throw failure('ERR_CONFIG', "logFields must be 'first', 'last' or false");
  }
  const where = /** @type {Place} */ (place ?? (isPino ? 'first' : false));
  return WRITERS[where || 'none'](logger);
}

module.exports = { writerOf };
