'use strict';

// `ls`: sessions, without their content.

const { command } = require('./command.js');
const { ID_OF, READING_OPTIONS, atLeastOne, finish, readingOf, runLong } = require('./long-run.js');
const { hintAtUser } = require('./not-found.js');
const { withOperator } = require('./operator.js');
const { moment, printable, size } = require('./report.js');
const { checkUser } = require('./store-options.js');

/** How many sessions are listed if the command does not say. */
const LIMIT = 100;

/** @param {any} listed */
function describe({ sessions, more, failed, stopped }) {
  const lines = sessions.map(
    (/** @type {any} */ { session, id, version, bytes, ttl }) =>
      `${printable(id ?? session)}  version ${version ?? 'unknown'}  ${(bytes === null ? '' : size(bytes)).padStart(8)}  ends ${moment(ttl)}`,
  );
  if (more) lines.push('There are more; --limit N lists them.');
  if (lines.length === 0 && (failed || stopped)) return '';
  if (lines.length === 0) lines.push('There are no live sessions.');
  return `${lines.join('\n')}\n`;
}

module.exports = command({
  name: 'ls',
  description: 'Lists live sessions, by the fingerprints that the log has. Those that end last come first.',
  store: true,
  options: {
    user: { type: 'string', value: 'ID', help: "lists this user's sessions (needs --users-secret)" },
    'id-of': ID_OF,
    ids: { type: 'boolean', help: 'lists session ids, not fingerprints: whoever has one is logged in' },
    limit: { type: 'string', value: 'N', help: `lists at most N sessions (default: ${LIMIT})` },
    ...READING_OPTIONS,
  },
  examples: ['ls --limit 10', 'ls --user 7 --users-secret USERS_SECRET'],
  statuses: '0 done, 2 wrong usage, 3 AWS failed, 130 interrupted.',
  async run({ values, config }) {
    checkUser(values);
    if (values.user !== undefined) {
      const options = { user: values.user, path: values['id-of'] ?? null, ids: values.ids === true };
      const report = await withOperator(config, (operator) => operator.ask('listUser', JSON.stringify(options)));
      if (report.sessions.length === 0 && !report.failed) hintAtUser();
      return finish({ name: 'ls', report, json: values.json, describe, found: false, goOn: '' });
    }
    const limit = atLeastOne(values, 'limit', LIMIT);
    const options = { reading: readingOf(values, false), limit, ids: values.ids === true };
    const report = await runLong(config, 'list', [JSON.stringify(options)]);
    return finish({ name: 'ls', report, json: values.json, describe, found: false, goOn: 'What was found so far is above.' });
  },
});
