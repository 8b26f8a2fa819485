#!/usr/bin/env node
'use strict';

// `npx connect-dynamodb-kms <command>`. Each command is a file of its own, loaded on demand.

const { version } = require('../../package.json');
const { didYouMean } = require('./nearest.js');

/**
 * The commands: what each is for, in a line, and where it is. `run(arguments)` gives the exit
 * status.
 * @type {Record<string, { summary: string,
 *   load: () => { run: (args: string[]) => Promise<number> } }>}
 */
const COMMANDS = {
  doctor: {
    summary: 'says what is wrong with the table, the key, the permissions and this machine',
    load: () => require('./doctor.js'),
  },
  'create-table': {
    summary: 'creates the table, with Time to Live, backups and deletion protection',
    load: () => require('./create-table.js'),
  },
  survey: {
    summary: 'counts what the table holds: sessions by version, KMS key, size and time left',
    load: () => require('./survey.js'),
  },
  reseal: {
    summary: 'moves every session to another version or KMS key, while the application goes on',
    load: () => require('./reseal.js'),
  },
  import: {
    summary: 'takes the sessions of another store over, without logging anybody out',
    load: () => require('./import.js'),
  },
  show: {
    summary: "shows a session's record: version, KMS key, size, end",
    load: () => require('./show.js'),
  },
  ls: {
    summary: 'lists sessions',
    load: () => require('./ls.js'),
  },
  destroy: {
    summary: 'ends a session, or many',
    load: () => require('./destroy.js'),
  },
  policy: {
    summary: "prints the least IAM policy for the server's role",
    load: () => require('./policy.js'),
  },
  cloudformation: {
    summary: 'prints the CloudFormation template of table, key and policy',
    load: () => require('./cloudformation.js'),
  },
  terraform: {
    summary: 'prints the Terraform module of table, key and policy',
    load: () => require('./terraform.js'),
  },
  'check-replies': {
    summary: 'finds Fastify handlers and hooks that answer without returning the reply',
    load: () => require('./check-replies.js'),
  },
};

const USAGE = `Usage: connect-dynamodb-kms <command> [options]

Commands:
${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`)
  .join('\n')}

\`connect-dynamodb-kms <command> --help\` describes a command.
Exit status: 0 done, 1 something was found, 2 wrong usage, 3 AWS failed.
`;

/** The exit statuses of all commands but 0 and 1. */
const WRONG_USAGE = 2;
const AWS_FAILED = 3;

/** @param {string[]} args @returns {Promise<number>} the exit status */
async function main([name, ...rest]) {
  if (name === '--help' || name === '-h') {
    process.stdout.write(USAGE);
    return 0;
  }
  if (name === 'help') return rest.length > 0 ? main([rest[0], '--help']) : main(['--help']);
  if (name === '--version') {
    process.stdout.write(`${version}\n`);
    return 0;
  }
  if (!name || !Object.hasOwn(COMMANDS, name)) {
    const meant = () => didYouMean(name.toLowerCase(), Object.keys(COMMANDS));
    process.stderr.write(name ? `connect-dynamodb-kms: unknown command ${name}${meant()}\n\n${USAGE}` : USAGE);
    return WRONG_USAGE;
  }
  try {
    return await COMMANDS[name].load().run(rest);
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined) throw error;
    process.stderr.write(`connect-dynamodb-kms ${name}: ${status.message}\n`);
    return status.code;
  }
}

/**
 * What a command that failed ends with; undefined for a defect.
 * @param {any} error
 */
function statusOf(error) {
  // What a command cannot do as it was asked: wrong arguments, a file or a package that is
  // missing or cannot be read.
  const refused = error.usage || error.syscall !== undefined || String(error.code).startsWith('ERR_PARSE_ARGS');
  if (refused) return { code: WRONG_USAGE, message: error.message };
  if (error.name !== 'SessionStoreError') return undefined;
  const { explain } = require('./operator.js');
  return { code: error.code === 'ERR_CONFIG' ? WRONG_USAGE : AWS_FAILED, message: explain(error) };
}

/** Whether something could not be printed. */
let lost = false;

// A pipe that its reader closes (`| head`) is not a failure of the command. A full disk is one.
process.stdout.on('error', (error) => {
  if (error.code === 'EPIPE' || lost) return;
  lost = true;
  process.exitCode = WRONG_USAGE;
  process.stderr.write(`connect-dynamodb-kms: standard output cannot be written: ${error.message}\n`);
});
// Work goes on without anybody who sees its progress.
process.stderr.on('error', () => {});
main(process.argv.slice(2)).then((status) => {
  if (!lost) process.exitCode = status;
});
