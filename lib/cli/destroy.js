'use strict';

// `destroy`: ends a session, or many.

const { command } = require('./command.js');
const { READING_OPTIONS, atLeastOne, finish, readingOf, runLong } = require('./long-run.js');
const { hintAtSession, hintAtUser } = require('./not-found.js');
const { withOperator } = require('./operator.js');
const { row } = require('./report.js');
const { checkUser } = require('./store-options.js');
const { printJson } = require('./terminal.js');
const { UsageError } = require('./usage-error.js');

/** How many sessions of each segment are removed at the same time. */
const AT_ONCE = 8;

/** @param {any} report */
function describe({ destroyed, kept, others, dryRun }) {
  return `${[row(dryRun ? 'would be destroyed' : 'destroyed', destroyed), row('kept', kept), row('other items', others)].join('\n')}\n`;
}

/** A day, or a time with its zone: that of this machine may be another than the operator's. */
const MOMENT = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;

/**
 * A moment in epoch seconds.
 * @param {string} text
 */
function momentOf(text) {
  const [, day] = MOMENT.exec(text) ?? [];
  const millis = day === undefined ? Number.NaN : Date.parse(text);
  // Date.parse takes 2026-02-30 for a day in March.
  if (Number.isNaN(millis) || new Date(`${day}T00:00Z`).toISOString().slice(0, day.length) !== day) {
    const wanted = 'a time with its zone, such as 2026-11-27T20:00:00Z or 2026-11-27T21:00+01:00, or a day in UTC';
    throw new UsageError(`--ending-before takes ${wanted}, not ${JSON.stringify(text)}`);
  }
  return millis / 1000;
}

/** @param {Record<string, any>} values @param {string[]} positionals */
function checkSelection(values, positionals) {
  checkUser(values);
  const selections = [
    positionals.length > 0,
    values.user !== undefined,
    values.all === true,
    values['ending-before'] !== undefined,
  ];
  if (selections.filter(Boolean).length !== 1)
    throw new UsageError('which sessions? give one of SID, --user ID, --ending-before TIME, --all');
  const many = positionals.length === 0 && values.user === undefined;
  if (!many && values['dry-run']) throw new UsageError('--dry-run is for --ending-before and --all; see show and ls');
  if (many && !values.yes && !values['dry-run']) {
    throw new UsageError('this logs out many: see how many with --dry-run, then give --yes');
  }
}

module.exports = command({
  name: 'destroy',
  positionals: '[SID]',
  takes: [0, 1],
  description: `Ends the session SID, or the sessions that an option selects. Whoever has such a session is logged out. Items of other
applications and sessions with other prefixes stay; without --prefix, the sessions of every prefix are meant.`,
  store: true,
  options: {
    user: { type: 'string', value: 'ID', help: "ends this user's sessions (needs --users-secret)" },
    'ending-before': { type: 'string', value: 'TIME', help: 'ends sessions that end before TIME if nobody uses them' },
    all: { type: 'boolean', help: 'ends every session' },
    yes: { type: 'boolean', help: 'needed to end more than one session' },
    'dry-run': { type: 'boolean', help: 'removes nothing, and counts what would be removed' },
    'write-units': { type: 'string', value: 'N', help: 'uses at most N write units a second (default: no bound)' },
    ...READING_OPTIONS,
  },
  examples: [
    'destroy iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A',
    'destroy --ending-before 2026-12-04T20:00:00Z --dry-run',
    'destroy --all --yes',
  ],
  statuses: '0 done, 1 there is no such session, 2 wrong usage, 3 AWS failed, 130 interrupted.',
  async run({ values, positionals, config }) {
    checkSelection(values, positionals);
    const [sid] = positionals;
    if (sid !== undefined) {
      const destroyed = await withOperator(config, (operator) => operator.ask('destroy', sid));
      if (values.json) printJson({ destroyed: destroyed ? 1 : 0 });
      else process.stdout.write(destroyed ? 'The session was destroyed.\n' : 'There is no such session.\n');
      if (!destroyed) hintAtSession(sid);
      return destroyed ? 0 : 1;
    }
    if (values.user !== undefined) {
      const destroyed = await withOperator(config, (operator) => operator.ask('destroyUser', values.user));
      if (values.json) printJson({ destroyed });
      else process.stdout.write(`${row('destroyed', destroyed)}\n`);
      if (destroyed === 0) hintAtUser();
      return destroyed > 0 ? 0 : 1;
    }
    const before = values['ending-before'];
    const options = {
      reading: readingOf(values, true),
      writeUnitsPerSecond: atLeastOne(values, 'write-units', undefined) ?? null,
      atOnce: AT_ONCE,
      endingBefore: before === undefined ? null : momentOf(before),
      dryRun: values['dry-run'] === true,
    };
    const report = await runLong(config, 'destroyMany', [JSON.stringify(options)]);
    const goOn = 'Run the same command again to go on.';
    return finish({ name: 'destroy', report, json: values.json, describe, found: false, goOn });
  },
});
