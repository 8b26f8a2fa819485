// A store that is made without recordVersion writes the format that withstands less. The log says so once a process.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';

/** A program that collects what stores log in `lines`, and where `make` makes a store of local mode, which reads and writes nothing. */
const HEAD = `
  const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
  const lines = [];
  const logger = { warn: (line) => lines.push('warn ' + line), debug: (line) => lines.push('debug ' + line) };
  const make = (options) => new DynamoDBSessionStore({ logger, local: { path: './never-made' }, ...options });
`;

function run(code: string): { lines: string[]; stderr: string } {
  const program = `${HEAD}${code}\nprocess.on('exit', () => console.log(JSON.stringify(lines)));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', program], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return { lines: JSON.parse(stdout), stderr };
}

function assertOneLine(lines: string[]): void {
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.match(lines[0]!, /^warn connect-dynamodb-kms: recordVersion .*version 1\b/);
  assert.doesNotMatch(lines[0]!, /\n/);
}

describe('a store without recordVersion', () => {
  it('says so in one line, once a process, however many there are', () => {
    assertOneLine(run('for (let store = 0; store < 5; store++) make({});').lines);
  });

  it('says so also where the option is undefined, or only acceptVersions is given', () => {
    assertOneLine(run('make({ recordVersion: undefined });').lines);
    assertOneLine(run('make({ acceptVersions: [1] });').lines);
  });

  it('says so of AWS as of local mode', () => {
    assertOneLine(run("make({ local: undefined, tableName: 'sessions' });").lines);
  });

  it('says nothing with it, 1 or 2, and does not use up the line of one without it', () => {
    assert.deepEqual(run('make({ recordVersion: 1 }); make({ recordVersion: 2 });').lines, []);
    assertOneLine(run('make({ recordVersion: 1 }); make({}); make({ recordVersion: 2 });').lines);
  });

  it('says nothing when it is refused, and leaves the line to the next', () => {
    assertOneLine(run('try { make({ unknown: 1 }); } catch { lines.length = 0; } make({});').lines);
  });

  it('says so on the console where there is no logger, on standard error', () => {
    const { lines, stderr } = run("new DynamoDBSessionStore({ local: { path: './never-made' } }); make({});");
    assert.deepEqual(lines, []);
    assertOneLine([`warn ${stderr.trimEnd()}`]);
  });

  it('says so once for all threads of a process', () => {
    const worker = JSON.stringify(`
      const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
      const { parentPort } = require('node:worker_threads');
      const logger = { warn: (line) => parentPort.postMessage('warn ' + line), debug() {} };
      new DynamoDBSessionStore({ logger, local: { path: './never-made' } });
    `);
    assertOneLine(
      run(`
        make({});
        const { Worker } = require('node:worker_threads');
        for (let thread = 0; thread < 2; thread++) new Worker(${worker}, { eval: true }).on('message', (line) => lines.push(line));
      `).lines,
    );
  });

  it('is made all the same when its logger fails', () => {
    assert.deepEqual(run("make({ logger: { warn() { throw new Error('full'); }, debug() {} } }).close();").lines, []);
  });

  it('says so in the log of the next one when its logger fails, now or later', () => {
    for (const warn of ["warn() { throw new Error('full'); }", "async warn() { throw new Error('full'); }"]) {
      assertOneLine(
        run(`
          make({ logger: { ${warn}, debug() {} } });
          setImmediate(() => { make({}); make({}); });
        `).lines,
      );
    }
  });
});
