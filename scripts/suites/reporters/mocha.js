'use strict';

const { write } = require('./lines.js');

/** A reporter for mocha 3 and newer. */
module.exports = class {
  constructor(runner) {
    runner.on('pass', (test) => write(test.fullTitle(), 'passed'));
    runner.on('fail', (test, error) => write(test.fullTitle(), 'failed', String(error?.stack ?? error)));
    runner.on('pending', (test) => write(test.fullTitle(), 'skipped'));
  }
};
