'use strict';

// `check-replies`: its arguments and its output. The analysis is in `replies/`.

const { parseArgs } = require('node:util');
const { loadParser, parseSource } = require('./parser.js');
const { readSources } = require('./source-files.js');
const { analyse, isRelevant } = require('./replies/analyse.js');

const HELP = `Usage: connect-dynamodb-kms check-replies [--json] [PATH...]

Finds async Fastify handlers and hooks that answer (reply.send(), reply.redirect(), ...) without returning or awaiting the
reply. Behind an asynchronous session store Fastify takes such a hook for passed and runs the handler that it refused.

PATH is a file or a folder; without one, the current folder is checked. Folders named node_modules or dist, and those whose
name begins with a dot, are left out, as are *.d.ts and *.min.js.

  --json    prints {"files", "findings": [{"file", "line", "column", "what", "code", "write"}], "unreadable": [{"file", "message"}]}
  --help    prints this

A comment "check-replies: ignore" on the line of an answer, or on the line above it, silences a finding.

Exit status: 0 nothing found, 1 something found or a file that cannot be parsed, 2 wrong usage.
Needs oxc-parser: npm install --save-dev oxc-parser
`;

/**
 * @param {number} number
 * @param {string} noun
 */
const count = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** @param {string[]} args @returns {Promise<number>} the exit status */
async function run(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const parser = await loadParser();
  const sources = await readSources(positionals.length > 0 ? positionals : ['.']);
  /** @type {{ path: string, source: string, program: any }[]} */
  const files = [];
  const unreadable = [];
  for (const { path, source } of sources) {
    if (!isRelevant(source)) continue;
    const { program, error } = parseSource(parser, path, source);
    if (error) unreadable.push({ file: path, message: error });
    else files.push({ path, source, program });
  }
  const findings = analyse(
    files,
    sources.map(({ source }) => source),
  );
  if (values.json) process.stdout.write(`${JSON.stringify({ files: sources.length, findings, unreadable }, undefined, 2)}\n`);
  else print(sources.length, findings, unreadable);
  return findings.length > 0 || unreadable.length > 0 ? 1 : 0;
}

/**
 * @param {number} files
 * @param {import('./replies/analyse.js').Finding[]} findings
 * @param {{ file: string, message: string }[]} unreadable
 */
function print(files, findings, unreadable) {
  const lines = [
    ...unreadable.map(({ file, message }) => `${file}: cannot be parsed: ${message}`),
    ...findings.map(
      ({ file, line, column, what, code, write }) =>
        `${file}:${line}:${column}  ${what}: nothing waits for \`${code}\`; ${write}`,
    ),
  ];
  if (lines.length > 0) lines.push('');
  lines.push(`${count(files, 'file')}, ${count(findings.length, 'finding')}`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

module.exports = { run };
