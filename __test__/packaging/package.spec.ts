// The package as npm packs it: what is in it, what it needs, and that it works where it is installed.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import * as imported from 'connect-dynamodb-kms';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import session from 'express-session';
import { type Backend, backends } from '../support/backends.ts';
import { InstalledApplication } from '../support/installed-application.ts';

const run = promisify(execFile);
const required = createRequire(import.meta.url)('connect-dynamodb-kms');
const repository = fileURLToPath(new URL('../..', import.meta.url));
const { version, peerDependencies } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
const { devDependencies } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));

/** The oldest version that package.json allows. */
const OLDEST_EXPRESS_SESSION = peerDependencies['express-session'].replace(/^>=(\d+\.\d+)$/, '$1.0');

/** What is in the package's tarball. Binaries have packages of their own. */
const TEXTS = [
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
  'SECURITY.md',
  'binding.js',
  'docs/alerts.md',
  'docs/architecture.md',
  'docs/compromised-key.md',
  'docs/concurrency.md',
  'docs/costs.md',
  'docs/data-keys.md',
  'docs/deadlines-and-outages.md',
  'docs/envelope.md',
  'docs/environment.md',
  'docs/errors.md',
  'docs/faults.md',
  'docs/graphs.md',
  'docs/items.md',
  'docs/logs.md',
  'docs/methods.md',
  'docs/migrating.md',
  'docs/moving-in.md',
  'docs/observing.md',
  'docs/operating.md',
  'docs/options.md',
  'docs/other-frameworks.md',
  'docs/platforms.md',
  'docs/probes.md',
  'docs/record-format.md',
  'docs/recovery.md',
  'docs/scaling.md',
  'docs/testing.md',
  'docs/tokens.md',
  'docs/users.md',
  'index.d.ts',
  'index.js',
  'lib/abortable.js',
  'lib/backoff.js',
  'lib/call.js',
  'lib/calls.js',
  'lib/channels.js',
  'lib/cli/check-replies.js',
  'lib/cli/cloudformation.js',
  'lib/cli/command.js',
  'lib/cli/create-table.js',
  'lib/cli/destroy.js',
  'lib/cli/doctor.js',
  'lib/cli/doctor/connection.js',
  'lib/cli/doctor/finding.js',
  'lib/cli/doctor/keys.js',
  'lib/cli/doctor/permissions.js',
  'lib/cli/doctor/records.js',
  'lib/cli/doctor/runtime.js',
  'lib/cli/doctor/table.js',
  'lib/cli/help.js',
  'lib/cli/iam-policy.js',
  'lib/cli/import.js',
  'lib/cli/json-lines.js',
  'lib/cli/long-run.js',
  'lib/cli/ls.js',
  'lib/cli/main.js',
  'lib/cli/nearest.js',
  'lib/cli/not-found.js',
  'lib/cli/operator.js',
  'lib/cli/parser.js',
  'lib/cli/policy.js',
  'lib/cli/replies/advice.js',
  'lib/cli/replies/analyse.js',
  'lib/cli/replies/expressions.js',
  'lib/cli/replies/flow.js',
  'lib/cli/replies/functions.js',
  'lib/cli/replies/handlers.js',
  'lib/cli/replies/helpers.js',
  'lib/cli/replies/modules.js',
  'lib/cli/replies/names.js',
  'lib/cli/replies/syntax.js',
  'lib/cli/replies/values.js',
  'lib/cli/report.js',
  'lib/cli/reseal.js',
  'lib/cli/show.js',
  'lib/cli/source-files.js',
  'lib/cli/store-options.js',
  'lib/cli/survey.js',
  'lib/cli/template.js',
  'lib/cli/terminal.js',
  'lib/cli/terraform.js',
  'lib/cli/usage-error.js',
  'lib/closed.js',
  'lib/config.js',
  'lib/environment.js',
  'lib/envelope.js',
  'lib/errors.js',
  'lib/express-session.js',
  'lib/failures.js',
  'lib/fastify-app.js',
  'lib/fastify-session.js',
  'lib/foundation.js',
  'lib/freshness.js',
  'lib/get-calls.js',
  'lib/held-session.js',
  'lib/in-order.js',
  'lib/integrity.js',
  'lib/json-changes.js',
  'lib/known-sessions.js',
  'lib/late-saves.js',
  'lib/latencies.js',
  'lib/lease-events.js',
  'lib/lease.js',
  'lib/locks.js',
  'lib/log.js',
  'lib/logger.js',
  'lib/mutation.js',
  'lib/native-calls.js',
  'lib/native-operator.js',
  'lib/native-store.js',
  'lib/observations.js',
  'lib/opentelemetry/active-context.js',
  'lib/opentelemetry/attributes.js',
  'lib/opentelemetry/calls.js',
  'lib/opentelemetry/instruments.js',
  'lib/opentelemetry/observe.js',
  'lib/opentelemetry/spans.js',
  'lib/options.js',
  'lib/patience.js',
  'lib/plain-envelope.js',
  'lib/process-warnings.js',
  'lib/prometheus/collect.js',
  'lib/prometheus/metrics.js',
  'lib/prometheus/samples.js',
  'lib/prometheus/stats-metric.js',
  'lib/reads.js',
  'lib/real-time.js',
  'lib/refresh-flight.js',
  'lib/refresh-waiters.js',
  'lib/refresh.js',
  'lib/reply-guard/early-failures.js',
  'lib/reply-guard/index.js',
  'lib/reply-guard/places.js',
  'lib/reply-guard/raw-answers.js',
  'lib/reply-guard/replies.js',
  'lib/reply-guard/session-saves.js',
  'lib/save-calls.js',
  'lib/saves.js',
  'lib/sealed-json.js',
  'lib/sealed-store.js',
  'lib/session-ids.js',
  'lib/session-json.js',
  'lib/session-state.js',
  'lib/store.js',
  'lib/turns.js',
  'lib/until-written.js',
  'lib/update-item.js',
  'lib/unsaved-refreshes.js',
  'lib/update.js',
  'lib/users.js',
  'opentelemetry.d.ts',
  'opentelemetry.js',
  'package.json',
  'prometheus.d.ts',
  'prometheus.js',
];
const INFRASTRUCTURE = [
  'infrastructure/cdk/sessions.ts',
  'infrastructure/cloudformation.yaml',
  'infrastructure/grafana-dashboard.json',
  'infrastructure/iam-policy.json',
  'infrastructure/kubernetes.yaml',
  'infrastructure/prometheus-alerts.yaml',
  'infrastructure/terraform/alarms.tf',
  'infrastructure/terraform/main.tf',
  'infrastructure/terraform/outputs.tf',
  'infrastructure/terraform/variables.tf',
];
/** What npm keeps of a tarball: with this, and the docs, the package stays small beside its binaries. */
const LARGEST_TARBALL = 280_000;

describe('the package', () => {
  let folder: string;
  let tarballs: string[];
  let files: string[];
  let manifest: any;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'package-'));
    const packed = await run(process.execPath, ['scripts/pack.mjs', folder], { cwd: repository });
    tarballs = packed.stdout.trim().split('\n');
    files = await names(tarballs[0]!);
    await unpack(folder);
    manifest = JSON.parse(await contents('package.json'));
  });
  after(() => rm(folder, { recursive: true }));

  const names = async (tarball: string) => {
    const { stdout } = await run('tar', ['-tzf', tarball]);
    return stdout
      .trim()
      .split('\n')
      .map((name) => name.replace(/^package\//, ''));
  };
  /** Puts the package and its binary, and nothing else, into `node_modules` of a folder. */
  const unpack = async (target: string) => {
    for (const tarball of tarballs) {
      const installed = join(target, 'node_modules', basename(tarball, `-${version}.tgz`));
      await mkdir(installed, { recursive: true });
      await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
    }
  };
  const contents = (name: string) => readFile(join(folder, 'node_modules', 'connect-dynamodb-kms', name), 'utf8');
  /** Runs a program in the folder where the package alone is installed; gives what it printed, as JSON. */
  const alone = async (type: 'commonjs' | 'module', program: string) => {
    const { stdout } = await run(process.execPath, [`--input-type=${type}`, '-e', program], { cwd: folder });
    return JSON.parse(stdout);
  };

  it('holds exactly the intended files', () => {
    assert.deepEqual(files.toSorted(), [...TEXTS, ...INFRASTRUCTURE].toSorted());
  });

  it('is small', async () => {
    const { size } = await stat(tarballs[0]!);
    assert.ok(size <= LARGEST_TARBALL, `${size} bytes`);
  });

  it('has its binaries in packages of their own, one a platform', async () => {
    assert.ok(tarballs.length > 1);
    for (const tarball of tarballs.slice(1)) {
      const platform = basename(tarball, `-${version}.tgz`).replace('connect-dynamodb-kms-', '');
      const binary = `connect-dynamodb-kms.${platform}.node`;
      const expected = ['LICENSE', 'README.md', 'THIRD-PARTY-LICENSES.txt', binary, 'package.json'];
      assert.deepEqual((await names(tarball)).toSorted(), expected.toSorted());
      const installed = join(folder, 'node_modules', `connect-dynamodb-kms-${platform}`);
      const own = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'));
      assert.equal(own.version, manifest.version);
      assert.equal(own.main, binary);
      const libc = { gnu: ['glibc'], musl: ['musl'] }[platform.split('-')[2]!]; // only there npm must tell them apart
      assert.deepEqual([own.os, own.cpu, own.libc], [[process.platform], [process.arch], libc]);
      assert.equal(own.engines.node, manifest.engines.node);
    }
  });

  it('is under the Apache License 2.0, with its text', async () => {
    assert.equal(manifest.license, 'Apache-2.0');
    const license = await contents('LICENSE');
    assert.match(license, /Apache License\s+Version 2\.0, January 2004/);
    assert.match(license, /END OF TERMS AND CONDITIONS/);
  });

  it('needs no other package at run time', () => {
    assert.deepEqual(Object.keys(manifest.dependencies ?? {}), []);
    assert.deepEqual(manifest.bundleDependencies ?? [], []);
    for (const name of Object.keys(manifest.optionalDependencies ?? {}))
      assert.match(name, /connect-dynamodb-kms-/, 'not its own binary');
    const peers = ['@opentelemetry/api', 'express-session', 'oxc-parser', 'prom-client'];
    assert.deepEqual(Object.keys(manifest.peerDependencies), peers);
    assert.deepEqual(manifest.peerDependenciesMeta, Object.fromEntries(peers.map((name) => [name, { optional: true }])));
    for (const script of ['preinstall', 'install', 'postinstall']) assert.equal(manifest.scripts?.[script], undefined, script);
  });

  it('says which Node.js it runs on', () => {
    assert.equal(manifest.engines.node, '>=20');
  });

  it('gives require and import the same things, those that its types declare', async () => {
    const names = Object.keys(required).toSorted();
    for (const name of names) assert.equal((imported as any)[name], required[name], name);
    const own = Object.keys(imported).filter((name) => name !== 'default' && name !== 'module.exports');
    assert.deepEqual(own.toSorted(), names);
    assert.equal((imported as any).default, required);
    const declared = [...(await contents('index.d.ts')).matchAll(/^export (?:declare )?(?:class|function|const) (\w+)/gm)];
    assert.deepEqual(declared.map(([, name]) => name!).toSorted(), names);
  });

  for (const [entry, peer, name] of [
    ['opentelemetry', '@opentelemetry/api', 'observe'],
    ['prometheus', 'prom-client', 'collect'],
  ] as const) {
    const path = `connect-dynamodb-kms/${entry}`;

    it(`gives require and import the same of ${path}, and types for it`, async () => {
      const required = createRequire(import.meta.url)(path);
      const imported: any = await import(path);
      assert.deepEqual(Object.keys(required), [name]);
      assert.equal(imported[name], required[name]);
      assert.equal(imported.default, required);
      assert.match(await contents(`${entry}.d.ts`), new RegExp(`^export function ${name}\\(`, 'm'));
    });

    it(`names ${peer} where ${path} is used without it, and needs it nowhere else`, async () => {
      const failed = `(error) => console.log(JSON.stringify([error.code, error.message]))`;
      for (const [type, load] of [
        [
          'commonjs',
          `require('connect-dynamodb-kms'); try { require('${path}').${name}(); } catch (error) { (${failed})(error); }`,
        ],
        [
          'module',
          `await import('connect-dynamodb-kms'); await import('${path}').then((all) => all.${name}()).catch(${failed});`,
        ],
      ] as const) {
        const [code, message] = await alone(type, load);
        assert.equal(code, 'MODULE_NOT_FOUND');
        assert.match(message, new RegExp(`^Cannot find module '${peer}'`));
      }
    });
  }

  it('needs no prom-client beside it where the application gives a registry, as a bundled one does', async () => {
    const program = `
      const { DynamoDBSessionStore } = require('connect-dynamodb-kms');
      const store = new DynamoDBSessionStore({ recordVersion: 2, local: { path: 'never-made' } });
      const names = [];
      const register = { registerMetric: ({ name }) => void names.push(name), getSingleMetric() {} };
      require('connect-dynamodb-kms/prometheus').collect(store, { register });
      console.log(JSON.stringify(names));
    `;
    assert.ok((await alone('commonjs', program)).includes('connect_dynamodb_kms_calls_total'));
  });

  it('lets nobody reach its inner files', async () => {
    for (const inner of ['binding.js', 'index.js', 'lib/store.js']) {
      await assert.rejects(import(`connect-dynamodb-kms/${inner}`), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
    }
    const own = createRequire(import.meta.url)('connect-dynamodb-kms/package.json');
    assert.equal(own.name, 'connect-dynamodb-kms');
  });

  it('gives the paths of its templates, to require and to import', async () => {
    for (const file of INFRASTRUCTURE) {
      const name = JSON.stringify(`connect-dynamodb-kms/${file}`);
      const required = await alone('commonjs', `console.log(JSON.stringify(require.resolve(${name})))`);
      const imported = await alone('module', `console.log(JSON.stringify(import.meta.resolve(${name})))`);
      assert.equal(await readFile(required, 'utf8'), await readFile(join(repository, file), 'utf8'));
      assert.equal(imported, pathToFileURL(required).href);
    }
  });

  it("is express-session's Store where that package is installed", () => {
    const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path: './never-made' } });
    assert.ok(store instanceof session.Store);
    assert.ok(store instanceof EventEmitter);
    for (const method of ['regenerate', 'load', 'createSession'] as const) assert.equal(typeof store[method], 'function');
  });

  for (const [type, load] of Object.entries({
    commonjs: `const { DynamoDBSessionStore } = require('connect-dynamodb-kms'); const { EventEmitter } = require('node:events');`,
    module: `import { DynamoDBSessionStore } from 'connect-dynamodb-kms'; import { EventEmitter } from 'node:events';`,
  })) {
    it(`is an EventEmitter where nothing else is installed, and works (${type})`, async () => {
      const printed = await alone(
        type as 'commonjs' | 'module',
        `${load}
        const store = new DynamoDBSessionStore({ recordVersion: 1, local: { path: ${JSON.stringify(join(folder, `sessions-${type}`))} } });
        (async () => {
          await store.set('a', { cookie: {}, user: 'ada' });
          const session = await store.get('a');
          await store.close();
          const base = Object.getPrototypeOf(DynamoDBSessionStore) === EventEmitter;
          let code;
          try { store.createSession({ sessionID: 'a' }, session); } catch (error) { code = error.code; }
          console.log(JSON.stringify({ base, emitter: store instanceof EventEmitter, session, code }));
        })();`,
      );
      assert.deepEqual(printed, { base: true, emitter: true, session: { cookie: {}, user: 'ada' }, code: 'ERR_CONFIG' });
    });
  }

  it('of which express-session is broken says so, instead of going on without it', async () => {
    const other = await mkdtemp(join(tmpdir(), 'broken-'));
    await unpack(other);
    await mkdir(join(other, 'node_modules', 'express-session'));
    await writeFile(
      join(other, 'node_modules', 'express-session', 'index.js'),
      `throw new TypeError('this express-session is broken');`,
    );
    const program = `try { require('connect-dynamodb-kms'); } catch (error) { console.log(JSON.stringify(error.message)); }`;
    const { stdout } = await run(process.execPath, ['-e', program], { cwd: other });
    assert.equal(JSON.parse(stdout), 'this express-session is broken');
    await rm(other, { recursive: true });
  });

  for (const { program, packages, versions } of [
    { program: 'fastify-login.mjs', packages: ['fastify', '@fastify/cookie', '@fastify/session'], versions: devDependencies },
    { program: 'express-login.cjs', packages: ['express', 'express-session'], versions: devDependencies },
    {
      program: 'express-login.cjs',
      packages: ['express', 'express-session'],
      versions: { ...devDependencies, 'express-session': OLDEST_EXPRESS_SESSION },
    },
  ]) {
    describe(`installed by npm beside ${packages.at(-1)} ${versions[packages.at(-1)!]}`, () => {
      let home: string;
      before(async () => {
        home = await mkdtemp(join(tmpdir(), 'installed-'));
        await writeFile(join(home, 'package.json'), JSON.stringify({ private: true }));
        const wanted = packages.map((name) => `${name}@${versions[name]}`);
        await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs, ...wanted], { cwd: home });
        await copyFile(new URL(`../support/installed/${program}`, import.meta.url), join(home, program));
      });
      after(() => rm(home, { recursive: true }));

      it('is what was packed', async () => {
        const { packages: locked } = JSON.parse(await readFile(join(home, 'package-lock.json'), 'utf8'));
        const entry = locked['node_modules/connect-dynamodb-kms'];
        assert.match(entry.resolved, /\.tgz$/);
        assert.equal(entry.dependencies, undefined);
        const expected = packages.includes('express-session') ? versions['express-session'] : undefined;
        assert.equal(locked['node_modules/express-session']?.version, expected);
      });

      for (const { name, start } of backends) {
        it(`a login survives a kill -9 and a restart, on ${name}`, async () => {
          const backend = await start();
          const application = new InstalledApplication(home, program, backend.config);
          try {
            await application.start();
            const { cookie } = await application.ask('POST', '/login/ada');
            const { status, body } = await application.ask('GET', '/me', cookie);
            assert.equal(status, 200);
            assert.deepEqual(body, { user: 'ada', token: { access: 'ya29.a0', expires: '2099-01-01T00:00:00.000Z' } });
            await application.kill();

            await application.start();
            assert.deepEqual((await application.ask('GET', '/me', cookie)).body, body);
            assert.equal((await application.ask('GET', '/me')).status, 401);
            await application.ask('POST', '/logout', cookie);
            await application.kill();

            await application.start();
            assert.equal((await application.ask('GET', '/me', cookie)).status, 401);
          } finally {
            await application.kill();
            await (backend as Backend).stop();
          }
        });
      }
    });
  }
});
