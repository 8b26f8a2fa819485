#!/usr/bin/env node
'use strict';

// `npx connect-dynamodb-kms <command>`. Each command is a file of its own, loaded on demand.

const { version } = require('../../package.json');

/**
 * The commands: what each is for, in a line, and where it is. `run(arguments)` gives the exit
 * status.
 * @type {Record<string, { summary: string,
 *   load: () => { run: (args: string[]) => Promise<number> } }>}
 */
const COMMANDS = {
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
`;

/** The exit status of wrong usage, for all commands. */
const WRONG_USAGE = 2;

/** @param {string[]} args */
async function main([name, ...rest]) {
  if (name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  if (name === '--version') {
    process.stdout.write(`${version}\n`);
    return 0;
  }
  if (name === undefined || !Object.hasOwn(COMMANDS, name)) {
    process.stderr.write(name === undefined ? USAGE : `connect-dynamodb-kms: unknown command ${name}\n\n${USAGE}`);
    return WRONG_USAGE;
  }
  try {
    return await COMMANDS[name].load().run(rest);
  } catch (error) {
    // What a command cannot do as it was asked: wrong arguments, a file or a package that is
    // missing.
    if (!error.usage && !String(error.code).startsWith('ERR_PARSE_ARGS')) throw error;
    process.stderr.write(`connect-dynamodb-kms ${name}: ${error.message}\n`);
    return WRONG_USAGE;
  }
}

// A pipe that its reader closes (`| head`) is not a failure of the command.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
});
main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
