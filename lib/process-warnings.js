'use strict';

const { firstInProcess } = require('../binding.js');

/** The log's line for a store that was made without recordVersion. */
const RECORD_VERSION =
  'recordVersion is not given, so records have version 1, the interchange format with plain implementations; set recordVersion to 2 for a table of this ' +
  'package alone, where it also withstands those who may write the table, or to 1 to keep version 1';

/**
 * The lines that it is this thread's turn to write, because the logger that it gave them to failed.
 * @type {Set<string>}
 */
const owed = new Set();

/**
 * Warns once a process, in the first log that takes the line.
 * @param {import('./log.js').Log} log
 * @param {string} line
 * @param {import('../index.js').SessionStoreLogFields} fields
 */
function warnOnce(log, line, fields) {
  if (!owed.delete(line) && !firstInProcess(line)) return;
  log.warn(line, fields, () => owed.add(line));
}

/** @param {import('./log.js').Log} log */
function warnOfRecordVersion(log) {
  warnOnce(log, RECORD_VERSION, { event: 'recordVersionNotGiven' });
}

/**
 * @param {import('./log.js').Log} log
 * @param {string} path the folder.
 */
function warnOfLocalMode(log, path) {
  const line =
    `local mode is on because the environment has SESSIONS_LOCAL: sessions are in the folder ${path} on this disk, with the key that opens them beside ` +
    'them, and no other server sees them; it is for development and tests';
  warnOnce(log, line, { event: 'localModeByEnvironment' });
}

module.exports = { warnOfLocalMode, warnOfRecordVersion };
