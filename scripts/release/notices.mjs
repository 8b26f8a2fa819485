// The licences of everything that is linked into the binaries, as a text that goes with them. `node scripts/release/notices.mjs` prints it.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../steps.mjs';
import { linkedCrates } from './linked-crates.mjs';

const LICENCE_FILE = /^(licen[cs]e|copying|copyright|notice|unlicense)([-._].*)?$/i;
const CODE = /\.(rs|c|h|py|go|toml|json|lock|sh)$/;
const LINE = '-'.repeat(80);

/** @returns {Promise<string>} every linked crate, then every licence text once, with the crates that came with it. */
export async function notices() {
  const { linked } = await linkedCrates();
  const list = linked.map(({ name, version, license }) => `${name} ${version}: ${license}`);
  const texts = new Map(); // by the text without its spacing, which differs from crate to crate
  for (const crate of linked) {
    const own = await licenceTexts(crate.folder);
    for (const text of own.length > 0 ? own : [await standardText(crate)]) {
      const key = text.replace(/\s+/g, ' ').trim();
      const entry = texts.get(key) ?? { text: text.trim(), crates: new Set() };
      entry.crates.add(crate.name);
      texts.set(key, entry);
    }
  }
  const sections = [...texts.values()].map(({ text, crates }) => `${LINE}\n${[...crates].join(', ')}\n${LINE}\n\n${text}\n`);
  return `The binaries of connect-dynamodb-kms hold code of the following crates, and of the Rust standard library (MIT OR Apache-2.0,
copyright The Rust Project Developers). Which of them a binary holds depends on its platform. Where a crate offers a choice of
licences, it is used under the Apache License 2.0 or, without that in the choice, under the MIT License.

${list.join('\n')}

${sections.join('\n')}`;
}

/** The licence texts in a folder and its folders, since crates bring vendored code with licences of its own. */
async function licenceTexts(folder) {
  const texts = [];
  const entries = (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) texts.push(...(await licenceTexts(path)));
    else if (LICENCE_FILE.test(entry.name) && !CODE.test(entry.name)) texts.push(await readFile(path, 'utf8'));
  }
  return texts;
}

/** For the few crates that name their licence and bring no text. */
async function standardText({ name, version, license, authors }) {
  if (/\bApache-2\.0\b/.test(license)) return readFile(join(root, 'LICENSE'), 'utf8');
  if (license !== 'MIT') throw new Error(`${name} ${version} is under ${license} and brings no text of it`);
  const holders =
    authors.length > 0 ? authors.map((author) => author.replace(/ *<.*>/, '')).join(', ') : `the authors of ${name}`;
  return `MIT License

Copyright (c) ${holders}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to
the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR
ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(await notices());
