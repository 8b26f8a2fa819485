'use strict';

// Finds the answers of Fastify handlers and hooks that their promise does not wait for. Pure: texts
// in, findings out.

const { Module, Project } = require('./modules.js');
const { findHandlers } = require('./handlers.js');
const { Functions } = require('./functions.js');
const { advice } = require('./advice.js');

/**
 * @typedef {{ file: string, line: number, column: number, what: string, code: string,
 *   write: string }} Finding
 */

/** A comment with this, on the line of an answer or the one above, silences it. */
const SILENCED = /check-replies: *ignore/;

/** What a file mentions that answers, or that passes on what does. */
const RELEVANT = /\b(reply|rep|res|response|fastify\w*|send|redirect)\b|\bexport\s*[*{][^;]*\bfrom\b|\bexports\s*=\s*require\b/i;

/**
 * Whether a file need be parsed, which takes the longest.
 * @param {string} source
 */
const isRelevant = (source) => RELEVANT.test(source);

/**
 * @param {string} source
 * @param {number} offset
 * @returns {{ line: number, column: number }} both from 1. The column counts UTF-16 units, as
 *   editors do.
 */
function position(source, offset) {
  const before = source.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}

/**
 * @param {string} source
 * @param {number} line
 */
const isSilenced = (source, line) =>
  source
    .split('\n')
    .slice(Math.max(line - 2, 0), line)
    .some((text) => SILENCED.test(text));

/**
 * @param {{ path: string, source: string, program: object }[]} files with `/` between the parts of
 *   a path
 * @param {string[]} [sources] the texts of all files, those too that are not relevant
 * @returns {Finding[]}
 */
function analyse(files, sources = files.map(({ source }) => source)) {
  const project = new Project(files.map(({ path, source, program }) => new Module(path, source, program)));
  const handlers = findHandlers(project, sources);
  const functions = new Functions(project, new Set(handlers.map(({ node }) => node)));
  const findings = new Map();
  for (const { node, label, index } of handlers) {
    const { unreturned, promised } = functions.judge(node, undefined, { replies: [index] });
    for (const answer of node.async ? unreturned : promised) {
      if (findings.has(answer)) continue;
      const { line, column } = position(answer.module.source, answer.node.start);
      if (isSilenced(answer.module.source, line)) continue;
      findings.set(answer, { file: answer.module.path, line, column, what: label, ...advice(answer, node) });
    }
  }
  return [...findings.values()].sort((a, b) =>
    a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1,
  );
}

module.exports = { analyse, isRelevant };
