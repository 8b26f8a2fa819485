'use strict';

// `create-table`: the table that the store expects, with what protects it.

const { setTimeout: sleep } = require('node:timers/promises');
const { JSON_OPTION, command } = require('./command.js');
const { withOperator } = require('./operator.js');
const { INTERRUPTED, interruptible, paint, printJson, showing } = require('./terminal.js');
const { UsageError } = require('./usage-error.js');

/** @typedef {import('../native-operator.js').NativeOperator} NativeOperator */

/** The attribute that ends items. */
const TTL = 'ttl';

/** How often a table that is being made is looked at, in milliseconds. */
const LOOK = 500;

/** How long it may take to be made, in milliseconds. AWS takes some ten seconds. */
const PATIENCE = 300_000;

/** For how long AWS may refuse a setting of a table that has just been made, in milliseconds. */
const SETTLING = 60_000;

/**
 * @typedef {object} Setting something that a table should have.
 * @property {string} name
 * @property {string} call of the native side, which switches it on.
 */

/** @type {Record<string, Setting>} */
const SETTINGS = {
  timeToLive: { name: `Time to Live on ${TTL}`, call: 'enableTimeToLive' },
  recovery: { name: 'point-in-time recovery', call: 'enableRecovery' },
  deletionProtection: { name: 'deletion protection', call: 'enableProtection' },
};

/** @param {string[]} pairs */
function tagsOf(pairs = []) {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, key, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
      if (key === undefined) throw new UsageError(`--tag takes KEY=VALUE, not ${JSON.stringify(pair)}`);
      return [key, value];
    }),
  );
}

/** @param {{ name: string, role: string, kind: string }[]} key */
const schemaOf = (key) => key.map(({ name, role, kind }) => `${name} (${kind}, ${role})`).join(', ');

/** @typedef {<T>(call: () => Promise<T>) => Promise<T>} Patiently */

/**
 * Makes calls again and again while AWS throttles them, or while the table is too new for them, and
 * says so once.
 * @param {() => boolean} stopped
 * @returns {Patiently}
 */
function patience(stopped) {
  let said = false;
  return async (call) => {
    const began = Date.now();
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!error.retryable || stopped() || Date.now() - began > SETTLING) throw error;
        if (!said) process.stderr.write(`trying again for up to ${SETTLING / 1000} s after ${error.code}: ${error.detail}\n`);
        said = true;
        await sleep(LOOK);
      }
    }
  };
}

/**
 * The first look at the table. An endpoint that does not answer it is most likely a wrong one, for
 * which nobody should wait.
 * @param {NativeOperator} operator
 * @param {Patiently} patiently
 */
async function firstLook(operator, patiently) {
  try {
    return await operator.ask('table');
  } catch (error) {
    if (error.name !== 'SessionStoreError' || !error.code.endsWith('_THROTTLED')) throw error;
    return patiently(() => operator.ask('table'));
  }
}

/**
 * What a table lacks, and what stands in the way of it.
 * @param {NativeOperator} operator
 * @param {{ deletionProtection: boolean }} table
 * @param {string[]} wanted names of SETTINGS.
 * @param {Patiently} patiently
 */
async function lacks(operator, table, wanted, patiently) {
  const { status, attribute } = await patiently(() => operator.ask('timeToLive'));
  const ends = status === 'ENABLED' || status === 'ENABLING';
  const recovery = !wanted.includes('recovery') || (await patiently(() => operator.ask('recovery')));
  /** @type {Record<string, boolean>} */
  const has = { timeToLive: ends && attribute === TTL, recovery, deletionProtection: table.deletionProtection };
  const otherAttribute = ends && attribute !== TTL ? attribute : undefined;
  return { missing: wanted.filter((name) => !has[name]), otherAttribute };
}

/**
 * Waits until a table serves requests.
 * @param {NativeOperator} operator
 * @param {string} name
 * @param {() => boolean} stopped
 * @param {Patiently} patiently
 */
async function untilActive(operator, name, stopped, patiently) {
  const began = Date.now();
  let status = 'CREATING';
  const line = () => `${name} is ${status}, for ${Math.round((Date.now() - began) / 1000)} s`;
  return showing(line, async () => {
    while (!stopped()) {
      status = (await patiently(() => operator.ask('table')))?.status ?? 'CREATING';
      if (status === 'ACTIVE') return true;
      if (Date.now() - began > PATIENCE) return false;
      await sleep(LOOK);
    }
    return false;
  });
}

/**
 * What was done, or would be.
 * @typedef {object} Report
 * @property {string} table
 * @property {boolean} created
 * @property {string[]} enabled names of SETTINGS.
 * @property {string[]} missing what is still off.
 * @property {string} [otherAttribute] that of its Time to Live, if it is not ttl.
 * @property {string} [problem] why the table cannot be used as it is.
 * @property {boolean} dryRun
 */

/**
 * @param {NativeOperator} operator
 * @param {{ wanted: string[], tags: Record<string, string>, update: boolean, dryRun: boolean, say: (line: string) => void, stopped: () => boolean }} plan
 * @param {Report} report what was done, also if this fails.
 */
async function createTable(operator, { wanted, tags, update, dryRun, say, stopped }, report) {
  const { tableName, tableIsDefault, local, region } = await operator.ask('place');
  report.table = tableName;
  if (tableIsDefault) throw new UsageError('name the table: --table-name NAME, or SESSIONS_TABLE in the environment');
  if (local !== null) return say(`nothing to do: local mode makes its table by itself, in ${local}`);
  const verb = dryRun ? 'would be ' : '';
  const patiently = patience(stopped);
  let table = await firstLook(operator, patiently);
  const fresh = table === null;
  if (fresh && !dryRun) {
    const deletionProtection = wanted.includes('deletionProtection');
    await operator.ask('createTable', JSON.stringify({ deletionProtection, tags }));
  }
  report.created = fresh;
  if (table !== null && !table.holdsSessions) {
    report.problem = `has the key ${schemaOf(table.key)}; sessions need the partition key sessionId (S, HASH) alone. Nothing was changed; give another --table-name`;
    return;
  }
  if (!dryRun && table?.status !== 'ACTIVE' && table?.status !== 'UPDATING') {
    report.missing = wanted.filter((name) => !(fresh && name === 'deletionProtection'));
    report.problem = 'is still being made';
    if (!(await untilActive(operator, tableName, stopped, patiently))) return;
    table = await patiently(() => operator.ask('table'));
    report.missing = [];
    report.problem = undefined;
  }
  const made = `${tableName} ${verb}created in ${region}, on demand, with the partition key sessionId (S)`;
  say(fresh ? made : `${tableName} exists in ${region}`);
  const { missing, otherAttribute } =
    table === null ? { missing: wanted, otherAttribute: undefined } : await lacks(operator, table, wanted, patiently);
  report.missing = [...missing];
  if (otherAttribute !== undefined) {
    report.otherAttribute = otherAttribute;
    report.problem = `has its Time to Live on ${otherAttribute}. Switch that off, wait an hour, and run this again with --update`;
  }
  for (const name of missing) {
    const impossible = name === 'timeToLive' && otherAttribute !== undefined;
    if (impossible || stopped() || !(fresh || update)) continue;
    if (!dryRun) await patiently(() => operator.ask(SETTINGS[name].call));
    say(`${SETTINGS[name].name} ${verb}switched on`);
    report.enabled.push(name);
    report.missing.splice(report.missing.indexOf(name), 1);
  }
}

/** @param {Report} report */
function closing({ table, missing, otherAttribute, problem }) {
  const lines = [];
  if (problem) lines.push(`${paint('red', 'wrong:')} ${table} ${problem}`);
  // What the problem stands in the way of is not switched on by --update.
  const impossible = otherAttribute === undefined ? undefined : 'timeToLive';
  const off = missing.filter((name) => name !== impossible).map((name) => SETTINGS[name].name);
  if (off.length > 0) lines.push(`${paint('yellow', 'off:')} ${off.join(', ')}. --update switches it on`);
  return lines;
}

module.exports = command({
  name: 'create-table',
  description: `Creates the table that the store expects: on demand, with the partition key sessionId (S), Time to Live on ttl,
point-in-time recovery and deletion protection. It can be repeated: it never changes a table that exists, unless
--update is given, and then only switches on what is off.`,
  store: ['table-name', 'region', 'profile', 'role-arn', 'endpoint', 'dynamodb-endpoint', 'local'],
  options: {
    tag: { type: 'string', multiple: true, value: 'KEY=VALUE', help: 'a tag of the new table; repeat it for more' },
    'no-point-in-time-recovery': {
      type: 'boolean',
      help: 'without backups of every moment, which cost by the size of the table',
    },
    'no-deletion-protection': { type: 'boolean', help: 'DeleteTable deletes it' },
    update: { type: 'boolean', help: 'switches on what is off in a table that exists' },
    'dry-run': { type: 'boolean', help: 'says what would be done, and changes nothing' },
    ...JSON_OPTION,
  },
  examples: ['create-table --table-name sessions --region us-east-1 --tag service=gateway'],
  statuses: `0 the table is as it should be, 1 something is off or wrong, 2 wrong usage, 3 AWS failed, ${INTERRUPTED} interrupted.`,
  async run({ values, config }) {
    const without = /** @type {string[]} */ ([]);
    if (values['no-point-in-time-recovery']) without.push('recovery');
    if (values['no-deletion-protection']) without.push('deletionProtection');
    const say = (/** @type {string} */ line) => void (values.json || process.stdout.write(`${line}\n`));
    let stop = false;
    const plan = {
      wanted: Object.keys(SETTINGS).filter((name) => !without.includes(name)),
      tags: tagsOf(values.tag),
      update: values.update === true,
      dryRun: values['dry-run'] === true,
      say,
      stopped: () => stop,
    };
    /** @type {Report} */
    const report = { table: '', created: false, enabled: [], missing: [], dryRun: plan.dryRun };
    const work = () => withOperator(config, (operator) => createTable(operator, plan, report));
    const end = () => {
      if (values.json) printJson(report);
      else for (const line of closing(report)) process.stdout.write(`${line}\n`);
    };
    let interrupted = false;
    try {
      ({ interrupted } = await interruptible(() => {
        stop = true;
      }, work));
    } catch (error) {
      // What was done by then stays done.
      if (report.created || report.enabled.length > 0) end();
      throw error;
    }
    end();
    if (interrupted) {
      process.stderr.write('Interrupted. To go on, run it again with --update.\n');
      return INTERRUPTED;
    }
    return report.problem || report.missing.length > 0 ? 1 : 0;
  },
});
