// The clock that ages of cached data keys and revocation checks go by. It is the core's own, not JavaScript's, and runs while the test does: a test that waits
// for "not yet" leaves some seconds of room.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const { turnKeyClock } = require(join(dirname(require.resolve('connect-dynamodb-kms')), 'binding.js'));

/** Turns it on by so many seconds, for all stores of this process. */
export function turnKeys(seconds: number): void {
  turnKeyClock(seconds);
}
