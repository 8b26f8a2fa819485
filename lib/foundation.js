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
const { warnOfLocalMode } = require('./process-warnings.js');
const { Names } = require('./session-ids.js');

/** What a store of sessions and a store of items are both built on. */
class Foundation {
  inOrder = new InOrder();

  /**
   * @param {object} given
   * @param {string} given.options JSON for the native side.
   * @param {import('../index.js').SessionStoreLogger} given.logger
   * @param {number} given.callsInFlight
   * @param {string | undefined} given.localByEnvironment the folder, if the environment has turned local mode on.
   * @param {import('./config.js').IntegrityFailure} given.onIntegrityFailure
   * @param {string | undefined} given.idSecret under which ids are hashed.
   * @param {string} given.tableName
   * @param {'session' | 'item'} keeps what the store keeps.
   */
  constructor({ options, logger, callsInFlight, localByEnvironment, onIntegrityFailure, idSecret, tableName }, keeps) {
    this.names = new Names(keeps, idSecret);
    const component = keeps === 'item' ? 'sealed-store' : 'session-store';
    this.channels = new Channels({ component, tableName }, this.names);
    const native = NativeStore.open(options, keeps === 'item', this.channels);
    this.native = native;
    this.log = new Log(logger);
    if (localByEnvironment) warnOfLocalMode(this.log, localByEnvironment);
    this.failures = new Failures((text) => this.log.warn(text));
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

  async ping() {
    unwrap(await this.native.ping());
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
