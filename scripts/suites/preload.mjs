// Loaded into every process of a library's suite: puts modules of ours in the place of the library's, so that the suite stays as it is.
// The command gives SUITE as JSON: `replacements`, pairs of absolute paths; `ours`, the folder where the package is installed that is tested, if it is.

import Module, { createRequire, register } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url)) + sep;
const { replacements, ours } = JSON.parse(process.env.SUITE);
const byFile = new Map(replacements);
const resolve = Module._resolveFilename;

Module._resolveFilename = function (request, parent, ...rest) {
  const from = parent?.filename ?? '';
  // The store extends the Store of the express-session that is tested.
  if (ours && request === 'express-session' && from.startsWith(ours + sep))
    return join(here, 'stores', 'express-session-base.js');
  const file = resolve.call(this, request, parent, ...rest);
  // What takes a module's place may ask for the original.
  return from.startsWith(here) ? file : (byFile.get(file) ?? file);
};

// Now, since a suite may have everything that is loaded later compiled, by a compiler that knows less than Node.js.
const require = createRequire(import.meta.url);
for (const [, file] of replacements) require(file);

const byUrl = replacements.map(([from, to]) => [pathToFileURL(from).href, pathToFileURL(to).href]);
register('./resolve.mjs', import.meta.url, { data: { replacements: byUrl, here: pathToFileURL(here).href } });
