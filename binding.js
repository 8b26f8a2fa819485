// Loads the Rust core: the addon that was built in this folder, else the one in this platform's
// package.

'use strict';

const { readFileSync } = require('node:fs');

/**
 * A package for every target in package.json. They are written out, so that bundlers and dependency
 * tracers see each `require`.
 */
const PACKAGES = {
  'darwin-arm64': () => require('connect-dynamodb-kms-darwin-arm64'),
  'darwin-x64': () => require('connect-dynamodb-kms-darwin-x64'),
  'linux-arm64-gnu': () => require('connect-dynamodb-kms-linux-arm64-gnu'),
  'linux-arm64-musl': () => require('connect-dynamodb-kms-linux-arm64-musl'),
  'linux-x64-gnu': () => require('connect-dynamodb-kms-linux-x64-gnu'),
  'linux-x64-musl': () => require('connect-dynamodb-kms-linux-x64-musl'),
  'win32-x64-msvc': () => require('connect-dynamodb-kms-win32-x64-msvc'),
};

module.exports = load(platformName());

function load(platform) {
  const built = `./connect-dynamodb-kms.${platform}.node`; // not inside the call, where a bundler would look for such files
  try {
    return require(built);
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
  }
  if (!Object.hasOwn(PACKAGES, platform)) {
    throw new Error(
      `connect-dynamodb-kms has no binary for ${platform}. It has binaries for ${Object.keys(PACKAGES).join(', ')}. ` +
        'To build it from source for another platform, see docs/platforms.md.',
    );
  }
  const name = `connect-dynamodb-kms-${platform}`;
  try {
    return PACKAGES[platform]();
  } catch (cause) {
    const message =
      cause.code === 'MODULE_NOT_FOUND'
        ? `connect-dynamodb-kms needs ${name}, the package with its binary for this platform, and that is not installed. Install on the ` +
          'platform where it runs, without leaving out optional dependencies; node_modules and lock files made on another platform may lack it.'
        : `connect-dynamodb-kms cannot load the binary in the package ${name}: ${cause.message}`;
    throw new Error(message, { cause });
  }
}

/** As @napi-rs/cli names platforms, and with them the binaries and packages. */
function platformName() {
  const { arch, platform } = process;
  if (platform === 'linux') return `linux-${arch}-${onMusl() ? 'musl' : 'gnu'}${arch === 'arm' ? 'eabihf' : ''}`;
  return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`;
}

/**
 * Every process on glibc has mapped the libc file. Unlike Node.js's report or `ldd`, this works on
 * every system. The name is followed by `(deleted)` after the file was replaced by an upgrade.
 */
function onMusl() {
  try {
    return !/\/libc(\.so\.6|-2\.\d+\.so)( \(deleted\))?$/m.test(readFileSync('/proc/self/maps', 'utf8'));
  } catch {
    return false; // /proc is not mounted or not readable
  }
}
