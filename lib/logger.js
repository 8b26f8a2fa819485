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

/**
 * Gives a logger the text of a line with its fields. The application's own settings of the logger can
 * fail with the fields, such as a serializer for a `session` that is an object. The text alone is
 * better than no line.
 * @param {(text: string, fields: Fields) => unknown[]} ordered the arguments.
 * @returns {(logger: any) => Write}
 */
const withFields = (ordered) => (logger) => (level, text, fields) => {
  try {
    return logger[level](...ordered(text, fields));
  } catch {
    return logger[level](text);
  }
};

/** @type {Record<'first' | 'last' | 'none', (logger: any) => Write>} */
const WRITERS = {
  first: withFields((text, fields) => [fields, text]),
  last: withFields((text, fields) => [text, fields]),
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
    // Some loggers are functions (Roarr), or classes with static methods (NestJS).
    if (logger !== null && (typeof logger === 'object' || typeof logger === 'function')) {
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
