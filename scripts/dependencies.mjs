// One TLS stack (rustls on aws-lc-rs) and one HTTP stack: a second one is megabytes and another thing to patch.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { root } from './steps.mjs';

const UNWANTED = [/^ring v/, /^hyper v0\./, /^rustls v0\.21\./, /^native-tls v/, /^openssl v/];
const WANTED = [/^rustls v0\.23\./, /^aws-lc-rs v/];

/** @throws naming what is linked and should not be, or the other way round. */
export async function checkDependencies() {
  const { stdout } = await promisify(execFile)('cargo', ['tree', '--locked', '--edges', 'normal', '--prefix', 'none'], {
    cwd: root,
    maxBuffer: 1 << 24,
  });
  const crates = [...new Set(stdout.split('\n'))];
  const found = crates.filter((crate) => UNWANTED.some((pattern) => pattern.test(crate)));
  const missing = WANTED.filter((pattern) => !crates.some((crate) => pattern.test(crate)));
  if (found.length > 0) throw new Error(`cargo tree has ${found.join(', ')}; turn off the feature that brings it`);
  if (missing.length > 0) throw new Error(`cargo tree has nothing like ${missing.join(', ')}; is the check out of date?`);
  console.log(`${crates.length} crates: rustls on aws-lc-rs, nothing beside it`);
}
