// A reporter for node:test.

import { basename, resolve } from 'node:path';
import lines from './lines.js';

const OUTCOMES = { 'test:pass': 'passed', 'test:fail': 'failed' };

export default async function* report(events) {
  /** The names of the tests that the next event may belong to, by file: tests of several files run at once. */
  const open = new Map();
  for await (const { type, data } of events) {
    const names = open.get(data.file) ?? [];
    if (type === 'test:start') open.set(data.file, [...names.slice(0, data.nesting), data.name]);
    const outcome = OUTCOMES[type];
    if (!outcome || data.details.type === 'suite') continue;
    // A file is a test, too: of whether its process ended well. Node.js 24 and newer name it by a relative path.
    const isFile = data.file !== undefined && resolve(data.name) === data.file;
    if (isFile && outcome === 'passed') continue;
    const own = isFile ? 'the process' : data.name;
    const name = [basename(data.file ?? ''), ...names.slice(0, data.nesting), own].join(' > ');
    const error = data.details.error?.cause ?? data.details.error;
    lines.write(name, data.skip === undefined ? outcome : 'skipped', error && String(error.stack ?? error));
  }
  yield '';
}
