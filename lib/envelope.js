'use strict';

const { isUint8Array } = require('node:util').types;
const { openEnvelope } = require('../binding.js');
const { Calls } = require('./calls.js');
const { IS_CLOSED } = require('./closed.js');
const { Channels } = require('./channels.js');
const { readEnvelopeConfig } = require('./config.js');
const { environment } = require('./environment.js');
const { failure, unwrap } = require('./errors.js');
const { Failures } = require('./failures.js');
const { Log } = require('./log.js');
const { NativeCalls, crossing } = require('./native-calls.js');
const { Observations } = require('./observations.js');
const { callOptions, isPlainObject, reading } = require('./options.js');
const { warnOfLocalMode } = require('./process-warnings.js');
const { Names } = require('./session-ids.js');

/**
 * @typedef {import('../index.js').Envelope} PublicEnvelope
 * @typedef {Record<string, string>} Context
 */

/** The base64 strings of a sealed envelope. */
const STRINGS = /** @type {const} */ (['encryptedData', 'encryptedKey', 'iv', 'authTag', 'salt', 'commit']);

/** What this release seals. A later format has other types, and a version. */
const TYPES = ['text', 'bytes'];

/** @param {unknown} text */
const isText = (text) => typeof text === 'string' && text.isWellFormed();

/**
 * Whether there are bytes behind it: one whose buffer has been transferred looks like an empty one.
 * @param {Uint8Array} bytes
 */
function isAttached(bytes) {
  try {
    Uint8Array.prototype.at.call(bytes, 0);
    return true;
  } catch {
    return false;
  }
}

/** @type {{ context: import('./options.js').CallOption<unknown> }} */
const OPTIONS = { context: { default: {}, rule: '', holds: () => true } };

const NO_CONTEXT = 'must be a plain object whose own properties are strings without lone surrogates, not accessors nor hidden';

/**
 * The context of a call, each value read once. One that is null is refused: somebody meant to bind
 * the envelope. So are values that are not enumerated: an envelope would not be bound to them.
 * @param {string} call
 * @param {any} options
 * @returns {Context} without a prototype, whose properties would count.
 */
function contextOf(call, options) {
  const what = `the option context of ${call}`;
  return reading(what, () => {
    const refused = () => failure('ERR_CONFIG', `${what} ${NO_CONTEXT}`);
    if (options?.context === null) throw refused();
    const { context } = callOptions(call, options, OPTIONS);
    if (!isPlainObject(context)) throw refused();
    const bound = Object.create(null);
    for (const name of Reflect.ownKeys(context)) {
      const { enumerable, value } = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(context, name));
      if (!enumerable || !isText(name) || !isText(value)) throw refused();
      bound[name] = value;
    }
    return bound;
  });
}

/** Methods can be taken out of the envelope. */
const METHODS = /** @type {const} */ (['encrypt', 'decrypt', 'stats', 'close']);

/**
 * Seals texts and bytes without a table; index.d.ts documents it.
 * @implements {PublicEnvelope}
 */
class Envelope {
  /** @type {import('../binding.js').NativeEnvelope} */
  #native;
  #nativeCalls;
  #failures;
  #calls;

  /** @param {unknown} config */
  constructor(config) {
    const { options, writeLine, callsInFlight, localByEnvironment } = readEnvelopeConfig(config);
    const names = new Names();
    const channels = new Channels({ component: 'envelope' }, names);
    const nativeCalls = new NativeCalls(channels);
    this.#nativeCalls = nativeCalls;
    this.#native = unwrap(crossing(() => openEnvelope(options, environment(), nativeCalls.deliver)));
    nativeCalls.observe = (on) => this.#native.observe(on);
    const log = new Log(writeLine);
    if (localByEnvironment) warnOfLocalMode(log, localByEnvironment);
    this.#failures = new Failures(log);
    const checks = new Observations(this.#native, this.#failures);
    this.#calls = new Calls({
      names,
      channels,
      limit: callsInFlight,
      failures: this.#failures,
      onEnd: () => checks.look(),
    });
    Object.defineProperty(this, IS_CLOSED, { get: () => this.#calls.isClosed });
    for (const name of METHODS) {
      const value = /** @type {Function} */ (this[name]).bind(this);
      Object.defineProperty(this, name, { value, writable: true, configurable: true });
    }
  }

  /**
   * @param {any} data
   * @param {any} [options]
   * @returns {any}
   */
  encrypt(data, options) {
    return this.#run('encrypt', async () => {
      if (!isText(data) && !(isUint8Array(data) && isAttached(data))) {
        throw failure(
          'ERR_SERIALIZATION',
          'the data must be a string without lone surrogates, or a Uint8Array that is not detached',
        );
      }
      const context = contextOf('encrypt', options);
      return unwrap(await this.#nativeCalls.start((call) => this.#native.seal(call, data, context)));
    });
  }

  /**
   * @param {any} sealed
   * @param {any} [options]
   * @returns {any}
   */
  decrypt(sealed, options) {
    return this.#run('decrypt', async () => {
      const context = contextOf('decrypt', options);
      const parts = partsOf(sealed);
      const data = unwrap(await this.#nativeCalls.start((call) => this.#native.open(call, parts, context)));
      // The binding gives a Buffer.
      return typeof data === 'string' ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    });
  }

  stats() {
    return {
      keyCache: this.#native.keyCacheStats(),
      requests: { kms: this.#native.requestStats().kms },
      errors: this.#failures.counts,
      operations: this.#calls.ended,
      callsInFlight: this.#calls.inFlight.call,
    };
  }

  /** @returns {any} */
  close() {
    const close = async () => {
      this.#calls.close();
      unwrap(await this.#nativeCalls.start((call) => this.#native.close(call)));
      await this.#nativeCalls.answered();
    };
    return this.#calls.make('close', close, []);
  }

  /**
   * @template T
   * @param {string} operation
   * @param {() => Promise<T>} work
   */
  #run(operation, work) {
    return this.#calls.run(operation, work, []);
  }
}

/**
 * The parts of a sealed envelope, which may have passed through JSON or a database, and may be part
 * of a row with a `version` of its own.
 * @param {any} sealed
 * @returns {import('../binding.js').BoundEnvelope}
 */
function partsOf(sealed) {
  return reading('the sealed envelope', () => {
    const type = sealed?.type;
    if (isText(type) && !TYPES.includes(type) && sealed.version !== undefined)
      throw failure('ERR_VERSION', 'a later release of connect-dynamodb-kms sealed this envelope; upgrade');
    const parts = Object.fromEntries(STRINGS.map((name) => [name, sealed?.[name]]));
    if (![type, ...Object.values(parts)].every(isText)) {
      throw failure('ERR_INTEGRITY', `an envelope has type, and as base64 strings ${STRINGS.join(', ')}`);
    }
    return /** @type {any} */ ({ type, ...parts });
  });
}

/** @param {unknown} config */
function createEnvelope(config = {}) {
  return new Envelope(config);
}

module.exports = { createEnvelope };
