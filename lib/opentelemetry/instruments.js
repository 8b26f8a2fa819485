'use strict';

const { DB_OPERATION_NAME, ERROR_TYPE, HTTP_STATUS, OWN, attributesOf, errorType } = require('./attributes.js');

/**
 * @typedef {import('../../index.js').CallMessage} CallMessage
 * @typedef {import('@opentelemetry/api').Context} Context
 */

/** The bounds in seconds that the semantic conventions give for `db.client.operation.duration`. */
const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];

/** The metrics. None has an attribute with as many values as there are sessions. */
class Instruments {
  #databaseDuration;
  #envelopeDuration;
  #errors;
  #keyLookups;
  #requests;
  #conflicts;
  #leases;
  #revocationChecks;

  /** @param {import('@opentelemetry/api').Meter} meter */
  constructor(meter) {
    const seconds = { unit: 's', advice: { explicitBucketBoundaries: SECONDS } };
    this.#databaseDuration = meter.createHistogram('db.client.operation.duration', {
      ...seconds,
      description: 'Duration of database client operations.',
    });
    this.#envelopeDuration = meter.createHistogram(`${OWN}.envelope.operation.duration`, {
      ...seconds,
      description: 'Duration of calls of envelopes.',
    });
    /**
     * @param {string} name
     * @param {string} unit
     * @param {string} description
     */
    const counter = (name, unit, description) => meter.createCounter(`${OWN}.${name}`, { unit, description });
    this.#errors = counter('errors', '{call}', 'Calls that failed.');
    this.#keyLookups = counter('key_cache.lookups', '{call}', 'Calls that needed a data key, by whether it was cached.');
    this.#requests = counter('requests', '{request}', 'Requests sent to DynamoDB and KMS, retries included.');
    this.#conflicts = counter('conflicts', '{conflict}', 'Saves of sessions that somebody else had changed.');
    this.#leases = counter('lease.events', '{event}', 'What happened to leases of withLock and refresh.');
    this.#revocationChecks = counter('revocation_checks', '{check}', 'Revocation checks of data keys, by outcome.');
  }

  /**
   * @param {CallMessage} call
   * @param {number} seconds that it took.
   * @param {Context} within the call's span, for exemplars.
   */
  call(call, seconds, within) {
    const failed = errorType(call);
    const attributes = attributesOf(call);
    if (failed !== undefined) attributes[ERROR_TYPE] = failed;
    const duration = call.component === 'envelope' ? this.#envelopeDuration : this.#databaseDuration;
    duration.record(seconds, attributes, within);
    if (failed !== undefined) this.#errors.add(1, attributes, within);
    if (call.keyCacheHit !== undefined)
      this.#keyLookups.add(1, { [`${OWN}.component`]: call.component, [`${OWN}.key_cache.hit`]: call.keyCacheHit }, within);
  }

  /** @param {import('../../index.js').RequestMessage} request */
  request({ component, service, operation, attempt, status }) {
    this.#requests.add(1, {
      [`${OWN}.component`]: component,
      [`${OWN}.service`]: service,
      [`${OWN}.request`]: operation,
      [`${OWN}.retry`]: attempt > 1,
      ...(status !== undefined && { [HTTP_STATUS]: status }),
    });
  }

  /** @param {import('../../index.js').ConflictMessage} conflict */
  conflict({ component, operation, resolution }) {
    const attributes = { [DB_OPERATION_NAME]: operation, [`${OWN}.component`]: component, [`${OWN}.resolution`]: resolution };
    this.#conflicts.add(1, attributes);
  }

  /** @param {import('../../index.js').LeaseMessage} lease */
  lease({ component, operation, event }) {
    this.#leases.add(1, { [DB_OPERATION_NAME]: operation, [`${OWN}.component`]: component, [`${OWN}.event`]: event });
  }

  /** @param {import('../../index.js').RevocationMessage} check */
  revocation({ component, outcome }) {
    this.#revocationChecks.add(1, { [`${OWN}.component`]: component, [`${OWN}.outcome`]: outcome });
  }
}

exports.Instruments = Instruments;
