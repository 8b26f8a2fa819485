'use strict';

// The records in the table against the settings: their versions, and whether some can be opened.

const { answerTo, fail, note, ok, warn } = require('./finding.js');

/** @typedef {import('./finding.js').Finding} Finding */

/**
 * @param {import('../../native-operator.js').NativeOperator} operator
 * @param {any} place
 * @returns {Promise<Finding[]>}
 */
async function records(operator, place) {
  const { value, error } = await answerTo(operator.ask('sample'));
  if (error) return []; // the permission is tried elsewhere
  const { recordVersion, acceptVersions } = place;
  const versions = Object.keys(value.versions).map(Number);
  const count = versions.reduce((sum, version) => sum + value.versions[version], 0);
  /** @type {Finding[]} */
  const findings = [];
  const unread = versions.filter((version) => !acceptVersions.includes(version));
  for (const version of unread) {
    const what = `${value.versions[version]} of ${count} records that were looked at have version ${version}, which the settings do not read`;
    const next =
      version === 0 ? 'add 0 to acceptVersions (docs/migrating.md)' : `add ${version} to acceptVersions; here: --accept-versions`;
    findings.push(fail('records', what, next));
  }
  const { count: unreadable, first } = value.unreadable;
  if (unreadable > 0) {
    const found = unreadable === value.tried ? fail : warn;
    const what = `${unreadable} of ${value.tried} sessions that were looked at cannot be opened (${first[0].code}: ${first[0].detail})`;
    const next =
      'give kmsKeyArn the key that sealed them, behind the new one, and the encryptionContext, hashSessionIds and boundTableName of the servers; survey --verify counts them';
    findings.push(found('records', what, next));
  }
  if (recordVersion === 1 && versions.includes(2)) {
    const what = `version 1 is configured, but ${value.versions[2]} of ${count} records that were looked at have version 2, which protects more`;
    findings.push(warn('records', what, 'set recordVersion: 2 in the application; here: --record-version 2'));
  } else if (recordVersion === 1) {
    findings.push(
      note(
        'records',
        'version 1 is configured; new tables should have version 2 (docs/record-format.md)',
        'set recordVersion: 2 in the application; here: --record-version 2',
      ),
    );
  }
  if (findings.length === 0) {
    const each = versions.map((version) => `${value.versions[version]} of version ${version}`).join(', ');
    findings.push(ok('records', count === 0 ? 'the table holds no sessions yet' : `looked at ${count}: ${each}`));
  }
  return findings;
}

module.exports = { records };
