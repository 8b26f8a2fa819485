'use strict';

// `show`: one session's record.

const { JSON_OPTION, command } = require('./command.js');
const { hintAtSession } = require('./not-found.js');
const { withOperator } = require('./operator.js');
const { moment, row, size } = require('./report.js');
const { printJson } = require('./terminal.js');

/** @param {any} shown */
function describe(shown) {
  const { session, version, bytes, ttl, notAfter, ended, key, upToDate, contentBytes, unreadable, content } = shown;
  const lines = [
    row('session', session),
    row('version of the record', version ?? 'unknown'),
    row('size of the item', size(bytes)),
    row(ended ? 'ended' : 'ends', moment(ttl)),
  ];
  if (notAfter !== null) lines.push(row('sealed until', moment(notAfter)));
  if (key) lines.push(row('KMS key', key));
  if (contentBytes !== null) lines.push(row('content', size(contentBytes)));
  if (contentBytes !== null && upToDate !== null) lines.push(row('up to date', upToDate ? 'yes' : 'no'));
  if (unreadable) lines.push('', `It cannot be read: ${unreadable.code}: ${unreadable.detail}`);
  if (content !== undefined) lines.push('', content);
  return `${lines.join('\n')}\n`;
}

module.exports = command({
  name: 'show',
  positionals: 'SID',
  takes: [1, 1],
  description: `Shows the record of the session SID: its version, KMS key, size and end, and with --record-version, the version that
your stores write, whether it is up to date. SID is the session id, which is not the cookie's value: that has a signature behind
it.`,
  store: true,
  options: {
    reveal: { type: 'boolean', help: "prints the session's content, too" },
    ...JSON_OPTION,
  },
  examples: ['show iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A'],
  statuses: '0 done, 1 there is no such session or it cannot be read, 2 wrong usage, 3 AWS failed.',
  async run({ values, positionals: [sid], config }) {
    const shown = await withOperator(config, (operator) => operator.ask('show', sid, values.reveal === true));
    if (shown !== null && config.recordVersion === undefined) shown.upToDate = null; // with what is not known
    if (values.json) printJson(shown);
    else process.stdout.write(shown === null ? 'There is no such session.\n' : describe(shown));
    if (shown === null) hintAtSession(sid);
    return shown === null || shown.unreadable ? 1 : 0;
  },
});
