// The package managers, each with an empty cache and no registry but the test's.

import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { output } from './output.mjs';

const NAME = 'connect-dynamodb-kms';

/** @returns {{ name: string, ignoresLibc?: boolean, install(folder: string): Promise<void>, installed(folder: string): Promise<string[]> }[]} */
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
        .map((name) => new RegExp(`^${NAME}-([a-z]+-[a-z0-9]+(-[a-z]+)?)(@.*)?$`).exec(name)?.[1])
        .filter(Boolean)
        .sort();
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
      async install(folder) {
        await writeFile(join(folder, '.yarnrc.yml'), 'nodeLinker: node-modules\n');
        await writeFile(join(folder, 'yarn.lock'), ''); // a project of its own
        const yarn = join(bin, '..', '@yarnpkg', 'cli-dist', 'bin', 'yarn.js');
        await call(folder, process.execPath, yarn, 'add', NAME);
      },
      installed: within('node_modules'),
    },
  ];
}
