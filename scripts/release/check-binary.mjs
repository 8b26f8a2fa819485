// What a published binary must be: small, at home on old systems, and without a trace of the machine that built it.
// `node scripts/release/check-binary.mjs TARGET FILE` fails if it is not.

import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../steps.mjs';
import { cargoHome, FLOOR } from './build.mjs';
import { checkGlibcFloor } from './glibc-floor.mjs';

/** In bytes, where the size was measured. RELEASING.md says what it is made of. */
const LARGEST = { 'x86_64-unknown-linux-gnu': 10_500_000 };

/**
 * @param {string} target Rust's name of it.
 * @throws if the binary is larger than it may be, names files of this machine, or needs a newer glibc than the oldest that is supported.
 */
export async function checkBinary(binary, target) {
  const bytes = await readFile(binary);
  console.log(`${binary}: ${bytes.length} bytes`);
  if (bytes.length > LARGEST[target]) throw new Error(`${binary} is larger than ${LARGEST[target]} bytes`);
  if (target.includes('-linux-')) {
    // What compilers for macOS and Windows leave of such paths has not been measured.
    const named = [resolve(root), cargoHome()].find((path) => bytes.includes(path));
    if (named) throw new Error(`${binary} names files in ${named}`);
  }
  if (target.endsWith('-gnu')) console.log(`It needs glibc ${await checkGlibcFloor(binary, FLOOR)}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await checkBinary(process.argv[3], process.argv[2]);
