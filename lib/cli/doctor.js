'use strict';

// `doctor`: what is wrong, and what to type next.

const { JSON_OPTION, command } = require('./command.js');
const { withOperator } = require('./operator.js');
const { printJson } = require('./terminal.js');

module.exports = command({
  name: 'doctor',
  description: 'Checks the table, the key, the permissions and this machine. Writes nothing.',
  store: true,
  options: JSON_OPTION,
  async run({ values, config }) {
    const table = await withOperator(config, (operator) => operator.ask('table'));
    if (values.json) printJson({ table });
    else process.stdout.write(table === null ? 'the table does not exist\n' : `${table.name} is ${table.status}\n`);
    return table === null ? 1 : 0;
  },
});
