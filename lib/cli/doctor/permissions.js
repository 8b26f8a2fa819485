'use strict';

// The IAM actions, one by one. The policy in `infrastructure/` says which there are: an action that
// is added there is tried here, if the native side knows how.

const { actionsOf } = require('../iam-policy.js');
const { answerTo, fail, ok, said, warn } = require('./finding.js');

/** @typedef {import('./finding.js').Finding} Finding */
/** @typedef {import('../../native-operator.js').NativeOperator} NativeOperator */

/** What needs the statements that not all servers need, as a clause. @type {Record<string, string>} */
const ONLY_FOR = {
  OnlyForAllIdsLengthAndClear: 'only all(), ids(), length() and clear() need it',
  OnlyForPing: 'only ping() and commands that read the whole table, such as survey, need it',
};

/** What needs the actions that the store does without. @type {Record<string, string>} */
const BETTER_WITH = {
  'dynamodb:BatchGetItem': 'sessions that are read at the same time are read one by one without it, which takes more CPU time',
};

/**
 * The statement that is missing.
 * @param {string} action
 * @param {string} resource
 */
const statement = (action, resource) => JSON.stringify({ Effect: 'Allow', Action: action, Resource: resource });

/**
 * @param {string} action
 * @param {string} sid
 * @param {string} resource
 * @param {any} error
 * @returns {Finding}
 */
function ofDenied(action, sid, resource, error) {
  const only = BETTER_WITH[action] ?? ONLY_FOR[sid];
  const where = action.startsWith('kms:') ? "the role's policy, or to the key's" : "the role's policy";
  const next = `add to ${where}: ${statement(action, resource)}`;
  const what = `${action} is not allowed on ${resource} (${said(error)})`;
  return only === undefined ? fail('permission', what, next) : warn('permission', `${what}; ${only}`, next);
}

/**
 * An action of KMS that is denied may be allowed with another encryption context.
 * @param {NativeOperator} operator
 * @param {any} place
 * @param {string} action
 * @returns {Promise<Finding | undefined>}
 */
async function ofContext(operator, place, action) {
  const { error } = await answerTo(operator.ask('probe', action, false));
  if (error) return undefined;
  return place.recordVersion === 1
    ? fail(
        'permission',
        `${action} is allowed only with an encryption context, which records of version 1 do not have`,
        'write version 2: the option recordVersion: 2; here: --record-version 2',
      )
    : fail(
        'permission',
        `${action} is allowed without an encryption context only: a policy refuses {purpose: "session-store", table: "${place.tableName}", v: "2"}`,
        "look for kms:EncryptionContext in the key's policy, the role's and the grants, and allow this one",
      );
}

/**
 * @param {NativeOperator} operator
 * @param {any} place
 * @param {{ table: boolean, keys: boolean[], tableArn?: string }} usable what can be tried.
 * @returns {Promise<Finding[]>}
 */
async function permissions(operator, place, { table, keys, tableArn }) {
  /** @type {Record<string, number>} */
  const millis = {};
  const ofAction = async (/** @type {{ sid: string, action: string }} */ { sid, action }) => {
    const ofKms = action.startsWith('kms:');
    if (ofKms ? !keys[0] : !table) return [];
    const { value, error } = await answerTo(operator.ask('probe', action, true));
    if (value) {
      millis[action] = value.millis;
      return [];
    }
    const resource = ofKms
      ? place.keys[0].arn
      : (tableArn ?? `arn:aws:dynamodb:${place.region}:ACCOUNT:table/${place.tableName}`);
    if (error.code !== 'ERR_ACCESS_DENIED') return [fail('permission', `${action} fails (${error.code}: ${said(error)})`)];
    const context = ofKms ? await ofContext(operator, place, action) : undefined;
    return [context ?? ofDenied(action, sid, resource, error)];
  };
  const older = keys.map(async (can, index) => {
    if (!can || index === 0) return [];
    const { error } = await answerTo(operator.ask('probeOlderKey', index));
    if (!error) return [];
    if (error.code === 'ERR_ACCESS_DENIED') return [ofDenied('kms:Decrypt', 'DataKeys', place.keys[index].arn, error)];
    return [fail('key', `${place.keys[index].arn} cannot unwrap (${error.code}: ${said(error)})`)];
  });
  const findings = (await Promise.all([...actionsOf().map(ofAction), ...older])).flat();
  const allowed = Object.keys(millis);
  if (allowed.length > 0) {
    findings.push(ok('permission', `allowed: ${allowed.sort().join(', ')}`));
    findings.push(ok('connection', `the slowest of these took ${Math.max(...Object.values(millis))} ms`));
  }
  return findings;
}

module.exports = { permissions };
