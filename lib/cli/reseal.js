'use strict';

// `reseal`: moves every session to one version and one KMS key.

const { command } = require('./command.js');
const { READING_OPTIONS, atLeastOne, finish, readingOf, runLong } = require('./long-run.js');
const { row, troubled } = require('./report.js');
const { UsageError } = require('./usage-error.js');

/** How many sessions of each segment are in work at the same time if the command does not say. */
const AT_ONCE = 8;

/** @param {any} report */
function describe(report) {
  const lines = [
    row(report.dryRun ? 'would be moved' : 'moved', report.moved),
    row('up to date', report.upToDate),
    row('ended, left to Time to Live', report.ended),
    row('destroyed by others meanwhile', report.gone),
    row('other items', report.others),
    row('write units', report.writeUnits),
    ...troubled('could not be moved', report.left),
  ];
  return `${lines.join('\n')}\n`;
}

module.exports = command({
  name: 'reseal',
  description: `Moves every session to --record-version and to the first --kms-key-arn. The application goes on meanwhile: a session is
replaced only if nobody has changed it since it was read. Its end stays as it is, and what was destroyed stays destroyed.
Sessions that are up to date are passed by, so after an interruption the same command goes on.

Before this, every instance of the application must run with the new version and keys: it must be able to read what reseal
writes. Each session that is moved costs a write and up to three calls to KMS.`,
  store: true,
  options: {
    'record-version': { type: 'string', value: 'N', help: 'the version that your stores write: 1 or 2 (required)' },
    'kms-key-arn': {
      type: 'string',
      multiple: true,
      value: 'ARN',
      help: 'the new KMS key first, then each older one (KMS_KEY_ARN)',
    },
    'dry-run': { type: 'boolean', help: 'writes nothing, and counts what would be moved' },
    'write-units': { type: 'string', value: 'N', help: 'uses at most N write units a second (default: no bound)' },
    'at-once': { type: 'string', value: 'N', help: `works on N sessions of each segment at the same time (default: ${AT_ONCE})` },
    ids: { type: 'boolean', help: 'names what could not be moved by ids, not by fingerprints' },
    ...READING_OPTIONS,
  },
  examples: [
    'reseal --record-version 2 --dry-run',
    'reseal --record-version 2 --kms-key-arn NEW --kms-key-arn OLD --write-units 50 --read-units 100',
  ],
  statuses: '0 all are up to date, 1 some could not be moved, 2 wrong usage, 3 AWS failed, 130 interrupted.',
  async run({ values, config }) {
    if (values['record-version'] === undefined) {
      throw new UsageError('--record-version is missing: the version that your stores write, 1 or 2');
    }
    const { 'dry-run': dryRun = false, ids = false } = values;
    const options = {
      reading: readingOf(values, true),
      writeUnitsPerSecond: atLeastOne(values, 'write-units', undefined) ?? null,
      atOnce: atLeastOne(values, 'at-once', AT_ONCE),
      dryRun,
      ids,
    };
    const report = await runLong(config, 'reseal', [JSON.stringify(options)]);
    const found = report.left.count > 0;
    const goOn = 'Run the same command again to go on: what was moved is passed by.';
    return finish({ name: 'reseal', report, json: values.json, describe, found, goOn });
  },
});
