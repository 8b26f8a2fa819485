'use strict';

// `survey`: what a table holds.

const { command } = require('./command.js');
const { READING_OPTIONS, finish, readingOf, runLong } = require('./long-run.js');
const { buckets, row, section, size, span, troubled } = require('./report.js');
const { grouped } = require('./terminal.js');

/** @param {any} survey */
function describe(survey) {
  const { sessions, ended, byVersion, byKey, keysAsked, sizes, largest, remaining } = survey;
  const versions = /** @type {[string, number][]} */ (Object.entries(byVersion));
  const keys = /** @type {[string, number][]} */ (Object.entries(byKey));
  const lines = [
    row('items', survey.items),
    row('bytes', size(survey.bytes)),
    row('sessions', sessions),
    row('  live', sessions - ended),
    row('  ended, not yet removed', ended),
    ...section('sessions by version', versions),
    ...section(`live sessions by KMS key (${grouped(keysAsked)} of their data keys unwrapped)`, keys),
    ...section(`sessions by size (largest: ${size(largest)})`, buckets(sizes, size)),
    ...section('live sessions by the time that is left', buckets(remaining, span)),
    ...section('other items', [
      ['sessions with other prefixes', survey.otherPrefixes],
      ['records without a session', survey.otherKinds],
      ['leases', survey.leases],
      ["lists of users' sessions", survey.userLists],
      ['of other applications', survey.foreign],
    ]),
    ...troubled('unreadable sessions', survey.unreadable),
  ];
  return `${lines.join('\n')}\n`;
}

module.exports = command({
  name: 'survey',
  description: `Counts what the table holds: sessions by version, KMS key, size and time left, unreadable ones, and other items.
Reads the whole table once and writes nothing. KMS keys are told apart by the first bytes of the wrapped data keys, and only a
few data keys are unwrapped. --verify opens every session: a call to KMS for each, and exact counts.`,
  store: true,
  options: {
    verify: { type: 'boolean', help: 'opens every session' },
    ids: { type: 'boolean', help: 'names unreadable sessions by their ids, not by fingerprints' },
    ...READING_OPTIONS,
  },
  examples: ['survey --read-units 100', 'survey --verify --kms-key-arn NEW --kms-key-arn OLD --json'],
  statuses: '0 done, 1 there are unreadable sessions, 2 wrong usage, 3 AWS failed, 130 interrupted.',
  async run({ values, config }) {
    const { verify = false, ids = false } = values;
    const options = { reading: readingOf(values, verify), verify, ids };
    const report = await runLong(config, 'survey', [JSON.stringify(options)]);
    const found = report.unreadable.count > 0;
    return finish({ name: 'survey', report, json: values.json, describe, found, goOn: 'What was counted so far is above.' });
  },
});
