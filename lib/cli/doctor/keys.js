'use strict';

// The KMS keys: whether they are there, of the right kind, and may be used.

const { endpointOf, ofService, regionOf } = require('./connection.js');
const { answerTo, fail, note, ok, said, warn } = require('./finding.js');

/** @typedef {import('./finding.js').Finding} Finding */

/** What to do about a key that is in another state than `Enabled`. @type {Record<string, (arn: string) => string>} */
const MENDING = {
  Disabled: (arn) => `aws kms enable-key --key-id ${arn}`,
  PendingDeletion: (arn) => `aws kms cancel-key-deletion --key-id ${arn}; aws kms enable-key --key-id ${arn}`,
};

/**
 * @param {import('../../native-operator.js').NativeOperator} operator
 * @param {any} place
 * @param {number} index
 * @param {Record<string, any>} config
 * @returns {Promise<{ findings: Finding[], usable: boolean }>} whether it can be tried.
 */
async function ofKey(operator, place, index, config) {
  const { arn, isDefault } = place.keys[index];
  /** @type {Finding[]} */
  const findings = [];
  if (isDefault) {
    findings.push(
      fail(
        'key',
        `nobody named it, so it is the built-in default ${arn}, which belongs to another account`,
        'set the option kmsKeyArn or KMS_KEY_ARN; here: --kms-key-arn ARN',
      ),
    );
  }
  const found = (/** @type {Finding} */ finding, usable = false) => ({ findings: [...findings, finding], usable });
  const { value, error } = await answerTo(operator.ask('key', index));
  if (error) {
    const unreachable = ofService(error, 'AWS KMS', endpointOf('kms', config, regionOf(arn)));
    if (unreachable) return found(unreachable);
    if (error.code === 'ERR_KMS_KEY_UNUSABLE') {
      return found(
        fail('key', `${arn} does not exist (${said(error)})`, 'correct kmsKeyArn; aws kms list-keys shows the keys of a region'),
      );
    }
    return found(
      note('key', `its state could not be seen (${said(error)})`, 'allow kms:DescribeKey, or trust what is tried below'),
      true,
    );
  }
  if (value.spec !== 'SYMMETRIC_DEFAULT' || value.usage !== 'ENCRYPT_DECRYPT') {
    const what = `${arn} is of the wrong kind: ${value.spec} for ${value.usage}; data keys need SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT`;
    return found(fail('key', what, 'aws kms create-key --key-spec SYMMETRIC_DEFAULT, and name that one'));
  }
  if (value.state !== 'Enabled') {
    return found(fail('key', `${arn} is ${value.state}: no session can be read or written`, MENDING[value.state]?.(value.arn)));
  }
  if (value.ofAws) {
    findings.push(
      warn('key', `${arn} is managed by AWS: its policy cannot be changed, and it cannot be disabled`, 'use a key of your own'),
    );
  }
  return found(ok('key', `${arn} is enabled and symmetric`), true);
}

/**
 * @param {import('../../native-operator.js').NativeOperator} operator
 * @param {any} place
 * @param {Record<string, any>} config
 * @returns {Promise<{ findings: Finding[], usable: boolean[] }>}
 */
async function keys(operator, place, config) {
  const all = await Promise.all(
    place.keys.map((/** @type {unknown} */ _, /** @type {number} */ index) => ofKey(operator, place, index, config)),
  );
  const findings = all.flatMap(({ findings: own }) => own);
  const away = place.keys.find((/** @type {{ arn: string }} */ { arn }) => regionOf(arn) !== place.region);
  if (away) {
    findings.push(note('key', `${away.arn} is in another region than the table (${place.region}), which makes calls slower`));
  }
  return { findings, usable: all.map(({ usable }) => usable) };
}

module.exports = { keys };
