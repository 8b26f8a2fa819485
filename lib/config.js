'use strict';

const { defaults } = require('../binding.js');
const { environment } = require('./environment.js');
const { failure } = require('./errors.js');
const { writerOf } = require('./logger.js');
const { isPlainObject, reading } = require('./options.js');
const { Users, readUsers } = require('./users.js');

/** Opaque. The client itself is on the native side, and is made on first use. */
class AwsClientHandle {
  /** @param {'kms' | 'dynamodb'} service */
  constructor(service) {
    this.service = service;
    Object.freeze(this);
  }
}
const kmsClient = new AwsClientHandle('kms');
const docClient = new AwsClientHandle('dynamodb');

/** For how many sessions the record is remembered by session id. */
const RECENT_SESSIONS = 10_000;

/**
 * How many calls can wait at a time. If answers take 5 ms, that is enough for 200,000 calls a
 * second. In an outage, each call waits until its deadline, and holds a socket and (measured) 100
 * kB.
 */
const CALLS_IN_FLIGHT = 1000;

/**
 * @typedef {(session: import('../index.js').SessionData) => unknown} Lifetime the function
 *   `ttlSeconds`
 */
/** @typedef {'error' | 'missing' | 'destroy'} IntegrityFailure */

/** What a read may make of a record that fails its integrity check. */
const INTEGRITY_FAILURES = ['error', 'missing', 'destroy'];

/** No valid option is nested more deeply. Stops at cycles. */
const DEEPEST_OPTION = 4;

/** The classes that messages name: other names are the caller's, and may tell more than they should. */
const BUILT_IN = ['Map', 'Set', 'Date', 'RegExp', 'Promise', 'String', 'Number', 'Boolean'];

/**
 * @param {string} name
 * @param {unknown} value
 */
const isA = (name, value) => Object.prototype.toString.call(value) === `[object ${name}]`;

/** Why a configuration is refused. */
const NO_OPTIONS = 'the configuration must be a plain object with options, not an instance of a class';

/**
 * The caller's own options.
 * @param {unknown} config
 * @returns {Record<string, any>}
 */
function ownOptions(config) {
  return reading('an option of the configuration', () => {
    if (!isPlainObject(config)) throw failure('ERR_CONFIG', NO_OPTIONS);
    return { ...config };
  });
}

/**
 * An option in a form that JSON can hold. Values that JSON would drop, change or refuse become
 * `$not` with a description, so that the native side refuses them.
 * @param {unknown} value
 * @param {number} [depth]
 * @param {boolean} [whole] whether a property that is undefined is one with a wrong value, and not
 *   one that was left out.
 * @returns {unknown}
 */
function describe(value, depth = 0, whole = false) {
  if (value === undefined) return { $not: 'undefined' };
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $not: String(value) };
  if (typeof value === 'string') return value.isWellFormed() ? value : { $not: 'a string with lone surrogates' };
  if (typeof value !== 'object') return { $not: `a ${typeof value}` };
  if (depth > DEEPEST_OPTION) return { $not: 'nested that deep' };
  if (Array.isArray(value) && value.length === 0) return { $not: 'an empty array' };
  if (Array.isArray(value)) return value.map((element) => describe(element, depth + 1));
  if (!isPlainObject(value)) return { $not: `a ${BUILT_IN.find((name) => isA(name, value)) ?? 'class instance'}` };
  const described = Object.entries(value).filter(([, inner]) => whole || inner !== undefined);
  // The names in it are the caller's: without one of them, records would be bound to less.
  const isWhole = (/** @type {string} */ name) => depth === 0 && name === 'encryptionContext';
  return Object.fromEntries(described.map(([name, inner]) => [name, describe(inner, depth + 1, isWhole(name))]));
}

/**
 * The caller's options, in a copy, and what writes to its logger.
 * @param {unknown} config
 * @returns {{ writeLine: import('./logger.js').Write, options: Record<string, any> }}
 */
function copyOptions(config) {
  const { logger = console, logFields, ...options } = ownOptions(config);
  return { writeLine: writerOf(logger, logFields), options };
}

/**
 * What a store and an envelope have in common.
 * @param {Record<string, any>} options
 */
function commonSettings(options) {
  const json = reading('an option of the configuration', () => JSON.stringify(describe(options)));
  // As the native side gets it.
  const secret = isPlainObject(options.hashSessionIds) ? JSON.parse(json).hashSessionIds?.secret : undefined;
  return {
    options: json,
    idSecret: typeof secret === 'string' ? secret : undefined,
    callsInFlight: options.maxCallsInFlight ?? CALLS_IN_FLIGHT,
    localByEnvironment: options.local === undefined ? environment().SESSIONS_LOCAL : undefined,
  };
}

/**
 * Reads the options: those that the facade needs, and all of them as JSON for the native side,
 * which checks them.
 * @param {unknown} config
 * @returns {{ options: string, writeLine: import('./logger.js').Write, lifetime: Lifetime | undefined, users: import('./users.js').Users | undefined, recentSessions: number,
 *   callsInFlight: number, idSecret: string | undefined, tableName: string, versionGiven: boolean, localByEnvironment: string | undefined, exactRevisions: boolean, guardReplies: boolean, onIntegrityFailure: IntegrityFailure }}
 */
function readConfig(config) {
  const { writeLine, options: given } = copyOptions(config);
  const { guardReplies = true, onIntegrityFailure = 'error', ...options } = given;
  if (typeof guardReplies !== 'boolean') throw failure('ERR_CONFIG', 'guardReplies must be true or false');
  if (!INTEGRITY_FAILURES.includes(onIntegrityFailure)) {
    throw failure('ERR_CONFIG', "onIntegrityFailure must be 'error', 'missing' or 'destroy'");
  }
  const lifetime = typeof options.ttlSeconds === 'function' ? options.ttlSeconds : undefined;
  if (lifetime) delete options.ttlSeconds;
  const users = options.users === undefined ? undefined : readUsers(options.users);
  if (users) options.users = users.rest;
  for (const [name, handle] of Object.entries({ kmsClient, docClient })) {
    if (options[name] !== undefined) options[name] = options[name] === handle || { $not: 'another value' };
  }
  return {
    ...commonSettings(options),
    tableName: options.tableName ?? defaults(environment()).sessionsTable,
    writeLine,
    lifetime,
    users: users?.idOf && new Users(users.idOf),
    recentSessions: options.maxRecentSessions ?? RECENT_SESSIONS,
    versionGiven: options.recordVersion !== undefined,
    exactRevisions: options.onConflict === 'error' || options.onConflict === 'drop',
    guardReplies,
    onIntegrityFailure,
  };
}

/**
 * Reads the options of an envelope, in the same way.
 * @param {unknown} config
 */
function readEnvelopeConfig(config) {
  const { writeLine, options } = copyOptions(config);
  return { ...commonSettings(options), writeLine };
}

/** The options that say how sessions are saved or listed, or how frameworks are served. */
const OF_SESSIONS = ['touchAfter', 'onConflict', 'maxRecentSessions', 'guardReplies', 'users'];

/**
 * As `readConfig`, for a store of items that are no sessions, which has defaults of its own.
 * @param {unknown} config
 */
function readItemConfig(config) {
  const given = Object.fromEntries(Object.entries(ownOptions(config)).filter(([, value]) => value !== undefined));
  const foreign = OF_SESSIONS.find((name) => Object.hasOwn(given, name));
  if (foreign !== undefined)
    throw failure('ERR_CONFIG', `${foreign} is an option of DynamoDBSessionStore; SealedStore does not take it`);
  if (typeof given.ttlSeconds === 'function')
    throw failure('ERR_CONFIG', 'ttlSeconds of SealedStore must be a number of seconds; put takes another one for its item');
  const acceptVersions = [given.recordVersion === 1 ? 1 : 2];
  return readConfig({ prefix: 'item:', hashSessionIds: true, recordVersion: 2, acceptVersions, ...given });
}

module.exports = { readConfig, readEnvelopeConfig, readItemConfig, kmsClient, docClient };
