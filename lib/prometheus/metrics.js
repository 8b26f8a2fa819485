'use strict';

const { CODES } = require('../errors.js');
const { by, byOperation, histogram, one } = require('./samples.js');

/**
 * @typedef {object} Metric
 * @property {string} name without the prefix. Counters end with `_total`, and a unit is a base unit.
 * @property {'counter' | 'gauge' | 'histogram'} type
 * @property {string} help
 * @property {(stats: any) => import('./samples.js').Sample[]} samples of the counters of one store.
 *   What its kind of store does not count is left out.
 */

/** The labels of these metrics. */
const LABELS = ['operation', 'outcome', 'code', 'service', 'event', 'kind', 'le'];

/** Alerts need the zero before the first failure. */
const NO_ERRORS = Object.fromEntries(CODES.map((code) => [code, 0]));

/** @type {Metric[]} */
const METRICS = [
  {
    name: 'calls_total',
    type: 'counter',
    help: 'Calls that have ended, by method and outcome; the outcome error stands for all that failed.',
    samples: (stats) =>
      byOperation(stats, (operation, { errors, outcomes }) =>
        by('outcome', { ...outcomes, error: errors }).map(({ labels, value }) => ({ labels: { operation, ...labels }, value })),
      ),
  },
  {
    name: 'call_errors_total',
    type: 'counter',
    help: 'Failures by error code, including those of work in the background.',
    samples: ({ errors }) => by('code', { ...NO_ERRORS, ...errors }),
  },
  {
    name: 'call_duration_seconds',
    type: 'histogram',
    help: 'How long calls took, by method.',
    samples: (stats) => byOperation(stats, (operation, { milliseconds }) => histogram({ operation }, milliseconds)),
  },
  {
    name: 'calls_in_flight',
    type: 'gauge',
    help: 'Calls that wait for an answer now; tasks are those of withLock and refresh.',
    samples: ({ callsInFlight, tasksInFlight }) => [
      ...one(callsInFlight, { kind: 'call' }),
      ...one(tasksInFlight, { kind: 'task' }),
    ],
  },
  {
    name: 'requests_total',
    type: 'counter',
    help: 'Requests sent to AWS, including retries and revocation checks.',
    samples: ({ requests }) => Object.entries(requests).flatMap(([service, { sent }]) => one(sent, { service })),
  },
  {
    name: 'request_retries_total',
    type: 'counter',
    help: 'Requests that repeated an earlier one.',
    samples: ({ requests }) => Object.entries(requests).flatMap(([service, { retries }]) => one(retries, { service })),
  },
  {
    name: 'batch_reads_total',
    type: 'counter',
    help: 'Reads that were sent together with others as one BatchGetItem.',
    samples: ({ batchReads }) => one(batchReads?.reads),
  },
  {
    name: 'batch_read_requests_total',
    type: 'counter',
    help: 'BatchGetItem requests.',
    samples: ({ batchReads }) => one(batchReads?.requests),
  },
  {
    name: 'key_cache_keys',
    type: 'gauge',
    help: 'Data keys in the cache now.',
    samples: ({ keyCache }) => one(keyCache.entries),
  },
  {
    name: 'key_cache_hits_total',
    type: 'counter',
    help: 'Uses of a data key that found it in the cache.',
    samples: ({ keyCache }) => one(keyCache.hits),
  },
  {
    name: 'key_cache_misses_total',
    type: 'counter',
    help: 'Uses of a data key that did not find it in the cache.',
    samples: ({ keyCache }) => one(keyCache.misses),
  },
  {
    name: 'key_cache_loads_total',
    type: 'counter',
    help: 'Data keys that KMS made or unwrapped.',
    samples: ({ keyCache }) => one(keyCache.loads),
  },
  {
    name: 'key_cache_load_failures_total',
    type: 'counter',
    help: 'Failed attempts to have a data key made or unwrapped.',
    samples: ({ keyCache }) => one(keyCache.loadFailures),
  },
  {
    name: 'key_cache_evictions_total',
    type: 'counter',
    help: 'Data keys that left the cache.',
    samples: ({ keyCache }) => one(keyCache.evictions),
  },
  {
    name: 'revocation_checks_total',
    type: 'counter',
    help: 'Revocation checks of the KMS key, by outcome; each revoked one emptied the cache.',
    samples: ({ keyCache }) =>
      by('outcome', { usable: keyCache.checksUsable, revoked: keyCache.checksRevoked, unknown: keyCache.checksUnknown }),
  },
  {
    name: 'sessions_total',
    type: 'counter',
    help: 'Outcomes for sessions that were saved, touched, updated or taken.',
    samples: ({ sessions: { conflicts, ...outcomes } = {} }) => by('outcome', outcomes),
  },
  {
    name: 'items_total',
    type: 'counter',
    help: 'Outcomes for sealed items.',
    samples: ({ items: { conflicts, ...outcomes } = {} }) => by('outcome', outcomes),
  },
  {
    name: 'conflicts_total',
    type: 'counter',
    help: 'Writes that met a change by somebody else; without those of update and refresh of sessions, which try again.',
    samples: ({ sessions, items }) => one((sessions ?? items)?.conflicts),
  },
  {
    name: 'refreshes_total',
    type: 'counter',
    help: 'Calls of refresh by what became of them: run, joined or adopted.',
    samples: ({ refreshes: { run, joined, adopted } = {} }) => by('outcome', { run, joined, adopted }),
  },
  {
    name: 'refreshes_early_total',
    type: 'counter',
    help: 'Renewals that began before the token had run out.',
    samples: ({ refreshes }) => one(refreshes?.early),
  },
  {
    name: 'refresh_failures_total',
    type: 'counter',
    help: 'Renewals that failed or whose result could not be stored.',
    samples: ({ refreshes }) => one(refreshes?.failed),
  },
  {
    name: 'refreshes_unsaved',
    type: 'gauge',
    help: 'Results of renewals that this process keeps because they could not be stored.',
    samples: ({ refreshes }) => one(refreshes?.unsaved),
  },
  {
    name: 'lease_events_total',
    type: 'counter',
    help: 'Leases that were lost, not renewed or not released.',
    samples: ({ leases }) => by('event', leases),
  },
];

module.exports = { LABELS, METRICS };
