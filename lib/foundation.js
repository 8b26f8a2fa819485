'use strict';

const { Calls } = require('./calls.js');
const { Channels } = require('./channels.js');
const { unwrap } = require('./errors.js');
const { Failures } = require('./failures.js');
const { InOrder } = require('./in-order.js');
const { Integrity } = require('./integrity.js');
const { LeaseEvents } = require('./lease-events.js');
const { Locks } = require('./locks.js');
const { Log } = require('./log.js');
const { NativeStore } = require('./native-store.js');
const { Observations } = require('./observations.js');
const { callOptions } = require('./options.js');
const { warnOfLocalMode } = require('./process-warnings.js');
const { Names } = require('./session-ids.js');

/** @type {{ keys: import('./options.js').CallOption<boolean> }} */
const PING_OPTIONS = { keys: { default: true, rule: 'true or false', holds: (value) => typeof value === 'boolean' } };

/** What a store of sessions and a store of items are both built on. */
class Foundation {
  inOrder = new InOrder();

  /**
   * @param {object} given
   * @param {string} given.options JSON for the native side.
   * @param {import('./logger.js').Write} given.writeLine to the application's logger.
   * @param {number} given.callsInFlight
   * @param {string | undefined} given.localByEnvironment the folder, if the environment has turned local mode on.
   * @param {import('./config.js').IntegrityFailure} given.onIntegrityFailure
   * @param {string | undefined} given.idSecret under which ids are hashed.
   * @param {string} given.tableName
   * @param {'session' | 'item'} keeps what the store keeps.
   */
  constructor({ options, writeLine, callsInFlight, localByEnvironment, onIntegrityFailure, idSecret, tableName }, keeps) {
    this.names = new Names(keeps, idSecret);
    const component = keeps === 'item' ? 'sealed-store' : 'session-store';
    this.channels = new Channels({ component, tableName }, this.names);
    const native = NativeStore.open(options, keeps === 'item', this.channels);
    this.native = native;
    this.log = new Log(writeLine);
    if (localByEnvironment) warnOfLocalMode(this.log, localByEnvironment);
    this.failures = new Failures(this.log);
    const checks = new Observations(native, this.failures);
    this.calls = new Calls({
      names: this.names,
      channels: this.channels,
      limit: callsInFlight,
      failures: this.failures,
      onEnd: () => checks.look(),
    });
    this.integrity = new Integrity(native, this.calls, onIntegrityFailure, keeps);
    this.leases = new LeaseEvents(this.failures, this.names, this.channels);
    this.locks = new Locks(native, {
      tell: (...event) => this.leases.tell(...event),
      count: (request) => this.calls.countTask(request),
    });
  }

  /** @param {unknown} [options] */
  async ping(options) {
    const { keys } = callOptions('ping', options, PING_OPTIONS);
    unwrap(await this.native.ping(keys));
  }

  /** The counters that do not depend on what the store keeps. */
  stats() {
    const { call, task } = this.calls.inFlight;
    const { dynamodb, kms, batches, batchedReads, batchesRefused } = this.native.requestStats();
    return {
      leases: this.leases.counts,
      requests: { dynamodb, kms },
      batchReads: { requests: batches, reads: batchedReads, refused: batchesRefused },
      errors: this.failures.counts,
      operations: this.calls.ended,
      callsInFlight: call,
      tasksInFlight: task,
    };
  }

  /** Refuses further calls at once. Resolves when those in flight have ended. */
  close() {
    this.calls.close();
    this.native.beginClose();
    return this.#ended();
  }

  async #ended() {
    await this.inOrder.ended();
    unwrap(await this.native.close());
    await this.native.answered();
  }
}

exports.Foundation = Foundation;
