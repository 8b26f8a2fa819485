'use strict';

// `import`: takes the sessions of another store over.

const { command } = require('./command.js');
const { readLines } = require('./json-lines.js');
const { ID_OF, READING_OPTIONS, atLeastOne, finish, readingOf, runLong, withRun } = require('./long-run.js');
const { row, troubled } = require('./report.js');
const { UsageError } = require('./usage-error.js');

/** What the tables of other stores look like if they were made with the defaults. */
const LAYOUTS = /** @type {Record<string, { key: string, prefix: string }>} */ ({
  'connect-dynamodb': { key: 'id', prefix: 'sess:' },
  'dynamodb-store': { key: 'sessionId', prefix: 'sess:' },
});

/** The version that is written if the command does not say: the one for new tables. */
const RECORD_VERSION = 2;
/** How many sessions of each segment are written at the same time. */
const AT_ONCE = 8;
/** How many lines are read before they are written. */
const BATCH = 200;
const LINES_AT_ONCE = 32;
/** How many sessions that could not be imported are named, as by the native side. */
const LISTED = 1000;

/** @param {any} report */
function describe(report) {
  const lines = [
    row(report.dryRun ? 'would be imported' : 'imported', report.imported),
    row('there already', report.alreadyThere),
    row('ended', report.ended),
    row('destroyed meanwhile', report.gone),
    row('other items', report.others),
    ...troubled('could not be imported', report.left),
  ];
  return `${lines.join('\n')}\n`;
}

const COUNTS = ['imported', 'alreadyThere', 'ended', 'gone', 'others', 'writeUnits'];

/**
 * The sum of two reports.
 * @param {any} sum
 * @param {any} part
 */
function add(sum, part) {
  if (sum === undefined) return part;
  for (const count of COUNTS) sum[count] += part[count];
  addTroubles(sum, part.left);
  return { ...sum, stopped: part.stopped, failed: part.failed };
}

/**
 * @param {any} sum
 * @param {{ count: number, first: object[] }} left
 */
function addTroubles(sum, left) {
  sum.left.count += left.count;
  sum.left.first = [...sum.left.first, ...left.first].slice(0, LISTED);
}

/**
 * Imports the lines of a file, or of standard input.
 * @param {Record<string, unknown>} config
 * @param {string} path
 * @param {object} options
 */
function importFile(config, path, options) {
  return withRun(config, 'sessions', async (operator, interrupted) => {
    /** @type {any} */
    let sum;
    /** @type {[number: number, line: string][]} */
    let lines = [];
    /** Lines that cannot be read. */
    const left = { count: 0, first: /** @type {object[]} */ ([]) };
    const write = async () => {
      sum = add(sum, await operator.ask('importLines', JSON.stringify({ ...options, lines })));
      lines = [];
      return sum.failed || sum.stopped;
    };
    for await (const { number, text, problem } of readLines(path, interrupted)) {
      if (text !== undefined) lines.push([number, text]);
      else if (++left.count <= LISTED) left.first.push({ session: `line ${number}`, code: 'ERR_SERIALIZATION', detail: problem });
      if (lines.length === BATCH && (await write())) break;
    }
    if (sum === undefined || lines.length > 0) await write();
    addTroubles(sum, left);
    sum.stopped ||= interrupted.aborted;
    return sum;
  });
}

/**
 * The table to import and its layout.
 * @param {Record<string, any>} values
 */
function layoutOf(values) {
  const { from } = values;
  if (!Object.hasOwn(LAYOUTS, from)) {
    throw new UsageError(`--from takes ${Object.keys(LAYOUTS).join(' or ')}, not ${JSON.stringify(from)}`);
  }
  const { key, prefix } = LAYOUTS[from];
  return { key: values['from-key'] ?? key, prefix: values['from-prefix'] ?? prefix };
}

module.exports = command({
  name: 'import',
  positionals: '[FILE]',
  takes: [0, 1],
  description: `Takes the sessions of another store over: of a table of connect-dynamodb or dynamodb-store in the same account and region, or of
FILE with JSON lines ("-" is standard input):

  {"sid": "…", "session": {"cookie": {…}, …}, "expires": 1800000000}

"expires" is in epoch seconds; without it, the cookie's end counts. A session that the store has already is never replaced, so
the command can be repeated. Ends stay as they are. docs/moving-in.md has the steps of a cutover.`,
  store: true,
  options: {
    from: { type: 'string', value: 'STORE', help: 'connect-dynamodb or dynamodb-store' },
    'from-table': { type: 'string', value: 'NAME', help: 'the table of that store (default: sessions)' },
    'from-key': { type: 'string', value: 'NAME', help: 'its partition key (default: id, or sessionId for dynamodb-store)' },
    'from-prefix': {
      type: 'string',
      mayBeEmpty: true,
      value: 'TEXT',
      help: "what its keys start with (default: sess:); '' for nothing",
    },
    'record-version': { type: 'string', value: 'N', help: `the version that is written: 1 or 2 (default: ${RECORD_VERSION})` },
    'id-of': ID_OF,
    'dry-run': { type: 'boolean', help: 'writes nothing, and counts what would be imported' },
    'write-units': { type: 'string', value: 'N', help: 'uses at most N write units a second (default: no bound)' },
    ids: { type: 'boolean', help: 'names what could not be imported by ids, not by fingerprints' },
    ...READING_OPTIONS,
  },
  examples: ['import --from connect-dynamodb --from-table old-sessions --table-name sessions', 'import sessions.jsonl --dry-run'],
  statuses: '0 done, 1 some could not be imported, 2 wrong usage, 3 AWS failed, 130 interrupted.',
  async run({ values, positionals: [path], config: given }) {
    if ((path === undefined) === (values.from === undefined))
      throw new UsageError('import what? give either --from STORE or FILE');
    if ((values['id-of'] === undefined) !== (values['users-secret'] === undefined)) {
      throw new UsageError('--id-of and --users-secret go together: the store that has the option users has both');
    }
    /** @type {Record<string, unknown>} */
    const config = { recordVersion: RECORD_VERSION, ...given };
    const options = {
      writeUnitsPerSecond: atLeastOne(values, 'write-units', undefined) ?? null,
      dryRun: values['dry-run'] === true,
      ids: values.ids === true,
      users: values['id-of'] ?? null,
    };
    let report;
    if (path !== undefined) {
      report = await importFile(config, path, { ...options, atOnce: LINES_AT_ONCE });
    } else {
      const table = { layout: layoutOf(values), table: values['from-table'] ?? 'sessions', reading: readingOf(values, true) };
      const target = config.tableName ?? process.env.SESSIONS_TABLE;
      if (table.table === target) throw new UsageError('--from-table and --table-name are the same table');
      report = await runLong(config, 'importTable', [JSON.stringify({ ...options, ...table, atOnce: AT_ONCE })]);
      // The detail advises about the store's own table.
      if (report.failed?.code === 'ERR_TABLE_NOT_FOUND' && report.failed.detail.includes(` table ${table.table} `)) {
        report.failed.detail = `${table.table}, the table to import, does not exist in this account and region; correct --from-table or --region`;
      }
    }
    const found = report.left.count > 0;
    const goOn = 'Run the same command again to go on: what was imported is passed by.';
    return finish({ name: 'import', report, json: values.json, describe, found, goOn });
  },
});
