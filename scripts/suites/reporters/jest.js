'use strict';

const { write } = require('./lines.js');

const OUTCOMES = { passed: 'passed', failed: 'failed' };

module.exports = class {
  onTestResult(_test, { testResults, testExecError }) {
    if (testExecError) write('a file of tests', 'failed', String(testExecError.stack ?? testExecError));
    for (const { fullName, status, failureMessages } of testResults) {
      write(fullName, OUTCOMES[status] ?? 'skipped', failureMessages.join('\n') || undefined);
    }
  }
};
