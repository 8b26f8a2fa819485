'use strict';

// `doctor`: what is wrong, and what to type next.

const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { JSON_OPTION, command } = require('./command.js');
const { connection } = require('./doctor/connection.js');
const { answerTo, fail, note, ok, worstFirst } = require('./doctor/finding.js');
const { keys } = require('./doctor/keys.js');
const { permissions } = require('./doctor/permissions.js');
const { records } = require('./doctor/records.js');
const { runtime } = require('./doctor/runtime.js');
const { table } = require('./doctor/table.js');
const { withOperator } = require('./operator.js');
const { paint, printJson } = require('./terminal.js');

/** @typedef {import('./doctor/finding.js').Finding} Finding */
/** @typedef {import('../native-operator.js').NativeOperator} NativeOperator */

/** The options of a store that lead to its table, and so belong into a command to type. */
const TABLE_OPTIONS = ['table-name', 'region', 'profile', 'role-arn', 'endpoint', 'dynamodb-endpoint', 'local'];

/**
 * A word for a shell.
 * @param {string} text
 */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/**
 * Writes commands with the options that this one was given.
 * @param {Record<string, any>} values
 * @param {string} tableName
 */
function typer(values, tableName) {
  return (/** @type {string} */ name, /** @type {Record<string, string>} */ changed = {}) => {
    /** @type {Record<string, any>} */
    const options = { ...values, 'table-name': tableName, ...changed };
    const given = TABLE_OPTIONS.filter((option) => options[option] !== undefined);
    return `npx connect-dynamodb-kms ${name} ${given.map((option) => `--${option} ${quoted(options[option])}`).join(' ')}`;
  };
}

/**
 * @param {NativeOperator} operator
 * @param {any} place
 * @param {Record<string, any>} values
 * @param {Record<string, any>} config
 * @returns {Promise<Finding[]>}
 */
async function ofAws(operator, place, values, config) {
  const { findings, table: described } = await connection(operator, place, config);
  if (described === undefined) return findings;
  const ofKeys = await keys(operator, place, config);
  const ofTable = await table(operator, place, described, typer(values, place.tableName));
  const usable = !ofTable.some(({ level }) => level === 'fail');
  const ofRecords = usable ? await records(operator, place) : [];
  const tableArn = described.value?.arn ?? undefined;
  const tried = await permissions(operator, place, { table: usable, keys: ofKeys.usable, tableArn });
  return [...findings, ...ofTable, ...ofKeys.findings, ...tried, ...ofRecords];
}

/**
 * @param {NativeOperator} operator
 * @param {any} place
 * @returns {Promise<Finding[]>}
 */
async function ofLocal(operator, place) {
  if (!existsSync(join(place.local, 'sessions.redb'))) {
    return [note('local', `${place.local} holds no sessions yet; it is made on first use`)];
  }
  const opened = await answerTo(operator.ask('probe', 'kms:Decrypt', true));
  if (opened.error) return [fail('local', opened.error.detail)];
  return [ok('local', `${place.local} can be used, and its key file as well`), ...(await records(operator, place))];
}

/** @type {Record<import('./doctor/finding.js').Level, (text: string) => string>} */
const SHOWN = {
  fail: (text) => paint('red', text),
  warn: (text) => paint('yellow', text),
  note: (text) => paint('bold', text),
  ok: (text) => paint('green', text),
};

/** @param {Finding[]} findings */
function print(findings) {
  for (const { level, about, what, next } of findings) {
    process.stdout.write(`${SHOWN[level](level.padEnd(4))}  ${about.padEnd(11)} ${what}\n`);
    if (next !== undefined) process.stdout.write(`      -> ${next}\n`);
  }
  const count = (/** @type {string} */ level) => findings.filter((finding) => finding.level === level).length;
  process.stdout.write(`\n${count('fail')} failed, ${count('warn')} to mend, ${count('note')} to know, ${count('ok')} ok\n`);
}

module.exports = command({
  name: 'doctor',
  description: `Checks this machine, the credentials, the table, the KMS keys and the IAM actions that the store needs, one by
one. The worst comes first, each with what to do about it. It changes nothing: to try an action, it asks for a write
that DynamoDB refuses, on an item that does not exist.`,
  store: true,
  options: JSON_OPTION,
  examples: [
    'doctor --table-name sessions --kms-key-arn arn:aws:kms:us-east-1:111122223333:key/1234abcd --record-version 2',
    'doctor --local ./.sessions',
  ],
  statuses: '0 nothing is wrong, 1 something failed or is to mend, 2 wrong usage.',
  async run({ values, config }) {
    const machine = runtime();
    const broken = machine.some(({ about, level }) => about === 'binary' && level === 'fail');
    const rest = broken
      ? []
      : await withOperator(config, async (operator) => {
          const place = await operator.ask('place');
          return place.local === null ? ofAws(operator, place, values, config) : ofLocal(operator, place);
        });
    const findings = worstFirst([...machine, ...rest]);
    if (values.json) printJson({ findings });
    else print(findings);
    return findings.some(({ level }) => level === 'fail' || level === 'warn') ? 1 : 0;
  },
});
