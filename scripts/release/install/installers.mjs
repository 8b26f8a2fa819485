// The package managers, each with an empty cache and no registry but the test's.

import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { output } from './output.mjs';

const NAME = 'connect-dynamodb-kms';

/**
 * @typedef {object} Installer
 * @property {string} name
 * @property {boolean} [ignoresLibc] whether it installs what is for another C library, too
 * @property {(folder: string) => Promise<void>} install
 * @property {(folder: string) => Promise<string[]>} installed the platforms whose packages it installed
 * @property {(folder: string) => Record<string, string>} [env] what programs in that folder need
 */

/** @returns {Installer[]} */
export function installers(bin, registry) {
  const environment = (folder) => ({
    ...process.env,
    npm_config_registry: registry,
    npm_config_cache: join(folder, '.cache'),
    YARN_CACHE_FOLDER: join(folder, '.cache'),
    YARN_GLOBAL_FOLDER: join(folder, '.global'),
    YARN_NPM_REGISTRY_SERVER: registry,
    YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
    YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
    YARN_ENABLE_TELEMETRY: '0',
    YARN_NPM_MINIMAL_AGE_GATE: '0',
  });
  const call = (folder, ...command) => output(command[0], command.slice(1), { cwd: folder, env: environment(folder) });
  const within =
    (...path) =>
    async (folder) =>
      (await readdir(join(folder, ...path)))
        .map((name) => new RegExp(`^${NAME}-([a-z]+-[a-z0-9]+(-[a-z]+)?)(@.*|-npm-.*)?$`).exec(name)?.[1])
        .filter(Boolean)
        .sort();
  const yarn = join(bin, '..', '@yarnpkg', 'cli-dist', 'bin', 'yarn.js');
  const yarn4 = async (folder, linker) => {
    await writeFile(join(folder, '.yarnrc.yml'), `nodeLinker: ${linker}\npnpEnableEsmLoader: true\n`);
    await writeFile(join(folder, 'yarn.lock'), ''); // a project of its own
    await call(folder, process.execPath, yarn, 'add', NAME);
  };
  return [
    {
      name: 'npm',
      install: (folder) => call(folder, 'npm', 'install', '--no-audit', '--no-fund', NAME),
      installed: within('node_modules'),
    },
    {
      name: 'pnpm',
      async install(folder) {
        await writeFile(join(folder, '.npmrc'), `registry=${registry}/\n`); // it does not read npm's variables
        await call(folder, join(bin, 'pnpm'), 'add', '--store-dir', join(folder, '.store'), NAME);
      },
      installed: within('node_modules', '.pnpm'),
    },
    {
      name: 'Yarn 1',
      ignoresLibc: true,
      install: (folder) =>
        call(folder, process.execPath, join(bin, '..', 'yarn', 'bin', 'yarn.js'), 'add', '--registry', registry, NAME),
      installed: within('node_modules'),
    },
    {
      name: 'Yarn 4',
      install: (folder) => yarn4(folder, 'node-modules'),
      installed: within('node_modules'),
    },
    {
      name: "Yarn 4, Plug'n'Play",
      install: (folder) => yarn4(folder, 'pnp'),
      installed: within('.yarn', 'unplugged'),
      env: (folder) => ({
        NODE_OPTIONS: `--require=${join(folder, '.pnp.cjs')} --loader=${pathToFileURL(join(folder, '.pnp.loader.mjs'))}`,
      }),
    },
  ];
}
