'use strict';

const { firstWithoutRecordVersion } = require('../binding.js');

/** The log's line for a store that was made without recordVersion. */
const RECORD_VERSION =
  'recordVersion is not given, so records have version 1, the interchange format with plain implementations; set recordVersion to 2 for a table of this ' +
  'package alone, where it also withstands those who may write the table, or to 1 to keep version 1';

/** Whether it is this thread's turn to warn, because the logger that it gave the line to failed. */
let owed = false;

/**
 * Warns once a process, in the first log that takes the line.
 * @param {import('./log.js').Log} log
 */
function warnOfRecordVersion(log) {
  if (!owed && !firstWithoutRecordVersion()) return;
  owed = false;
  log.warn(RECORD_VERSION, () => {
    owed = true;
  });
}

module.exports = { warnOfRecordVersion };
