// The commands of this folder install what they need themselves: nothing that they load before that may need it.

import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const IGNORED = ['node_modules', 'target', '.build'];
let clone;
before(async () => {
  clone = await mkdtemp(join(tmpdir(), 'connect-dynamodb-kms-'));
  const filter = (path) => !IGNORED.includes(basename(path));
  for (const name of ['benchmarks', 'scripts', 'package.json'])
    await cp(join(root, name), join(clone, name), { recursive: true, filter });
});
after(() => rm(clone, { recursive: true }));

for (const command of ['run.mjs', 'instructions.mjs', 'soak/run.mjs']) {
  it(`benchmarks/${command} starts with nothing installed`, async () => {
    await promisify(execFile)(process.execPath, [join(clone, 'benchmarks', command), '--help']);
  });
}
