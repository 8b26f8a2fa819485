'use strict';

// The commands that print files of `infrastructure/`.

const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { command } = require('./command.js');

const FOLDER = join(__dirname, '..', '..', 'infrastructure');

/**
 * A command that prints these files, one behind the other.
 * @param {{ name: string, description: string, files: string[], examples: string[] }} template
 */
function template({ name, description, files, examples }) {
  return command({
    name,
    description: `${description}\n${files.map((file) => `  ${join(FOLDER, file)}`).join('\n')}`,
    examples,
    statuses: '0 done, 2 wrong usage.',
    async run() {
      const texts = files.map((file) => readFileSync(join(FOLDER, file), 'utf8').trim());
      process.stdout.write(`${texts.join('\n\n')}\n`);
      return 0;
    },
  });
}

module.exports = { template };
