'use strict';

// The table: whether it is there, can hold sessions, and lets them end.

const { regionOf } = require('./connection.js');
const { answerTo, fail, note, ok, said, warn } = require('./finding.js');

/** @typedef {import('./finding.js').Finding} Finding */
/** @typedef {import('../../native-operator.js').NativeOperator} NativeOperator */

const TTL = 'ttl';

/**
 * @param {NativeOperator} operator
 * @param {any} place
 * @param {(command: string, changed?: Record<string, string>) => string} type a command to type.
 * @returns {Promise<Finding>}
 */
async function ofMissing(operator, { tableName, region, keys }, type) {
  const beside = await answerTo(operator.ask('tableBesideKey'));
  if (!beside.value) return fail('table', `${tableName} does not exist in this account in ${region}`, type('create-table'));
  const there = regionOf(keys[0].arn);
  const what = `${tableName} does not exist in ${region}, but in ${there}, where the key is: the region is wrong`;
  return fail('table', what, type('doctor', { region: there }));
}

/** @param {{ name: string, role: string, kind: string }[]} key */
const schemaOf = (key) => key.map(({ name, role, kind }) => `${name} (${kind}, ${role})`).join(', ');

/**
 * @param {NativeOperator} operator
 * @param {string} name
 * @param {(command: string) => string} type
 * @returns {Promise<Finding>}
 */
async function ofTimeToLive(operator, name, type) {
  const { value, error } = await answerTo(operator.ask('timeToLive'));
  if (error)
    return note(
      'table',
      `its Time to Live could not be seen (${said(error)})`,
      'allow dynamodb:DescribeTimeToLive, or look in the console',
    );
  const on = value.status === 'ENABLED' || value.status === 'ENABLING';
  if (on && value.attribute === TTL) return ok('table', `Time to Live is on ${TTL}`);
  if (on) {
    return warn(
      'table',
      `Time to Live is on ${value.attribute}, not on ${TTL}: ended sessions are never removed`,
      `aws dynamodb update-time-to-live --table-name ${name} --time-to-live-specification Enabled=false,AttributeName=${value.attribute}; an hour later: ${type('create-table --update')}`,
    );
  }
  return warn('table', 'Time to Live is off: ended sessions are never removed', type('create-table --update'));
}

/**
 * @param {NativeOperator} operator
 * @param {any} table undefined if it could not be seen.
 * @param {(command: string) => string} type
 * @returns {Promise<Finding[]>}
 */
async function ofProtection(operator, table, type) {
  const next = type('create-table --update');
  const findings = [];
  const { value, error } = await answerTo(operator.ask('recovery'));
  if (error)
    findings.push(
      note(
        'table',
        `its point-in-time recovery could not be seen (${said(error)})`,
        'allow dynamodb:DescribeContinuousBackups, or look in the console',
      ),
    );
  else if (value) findings.push(ok('table', 'point-in-time recovery is on'));
  else findings.push(note('table', 'point-in-time recovery is off', next));
  if (table === undefined) {
    findings.push(
      note(
        'table',
        'its key and its deletion protection could not be seen',
        'allow dynamodb:DescribeTable, or look in the console',
      ),
    );
  } else if (table.deletionProtection) findings.push(ok('table', 'deletion protection is on'));
  else findings.push(note('table', 'deletion protection is off', next));
  return findings;
}

/**
 * @param {NativeOperator} operator
 * @param {any} place
 * @param {{ value?: any, error?: any }} described
 * @param {(command: string, changed?: Record<string, string>) => string} type
 * @returns {Promise<Finding[]>}
 */
async function table(operator, place, { value, error }, type) {
  /** @type {Finding[]} */
  const findings = [];
  if (place.tableIsDefault) {
    findings.push(
      warn(
        'table',
        `nobody named it, so it is the built-in default ${place.tableName}`,
        'set the option tableName or SESSIONS_TABLE; here: --table-name NAME',
      ),
    );
  }
  // A missing permission is found by trying it; the rest can still be seen.
  if (error && error.code !== 'ERR_ACCESS_DENIED') return [...findings, fail('table', error.detail)];
  if (value === null) return [...findings, await ofMissing(operator, place, type)];
  if (value && !value.holdsSessions) {
    const what = `${value.name} has the key ${schemaOf(value.key)}; sessions need the partition key sessionId (S, HASH) alone`;
    return [...findings, fail('table', what, type('create-table', { 'table-name': 'ANOTHER' }))];
  }
  if (value && value.status !== 'ACTIVE' && value.status !== 'UPDATING') {
    return [...findings, fail('table', `${value.name} is ${value.status}`, 'wait a minute, then run doctor again')];
  }
  if (value)
    findings.push(ok('table', `${value.name} is ${value.status}, ${value.onDemand ? 'on demand' : 'with provisioned capacity'}`));
  findings.push(await ofTimeToLive(operator, place.tableName, type));
  findings.push(...(await ofProtection(operator, value, type)));
  return findings;
}

module.exports = { table };
