// `doctor`: what can be wrong with this machine, the credentials and the way to AWS.

import assert from 'node:assert/strict';
import { chmod, cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { quietLogger } from '../support/backends.ts';
import { command, installed } from '../support/command.ts';
import { diagnosis, Patient } from '../support/doctor.ts';

const { version } = createRequire(import.meta.url)(join(installed, 'package.json'));

let patient: Patient;
let home: string;
before(async () => {
  patient = await Patient.start();
  home = await realpath(await mkdtemp(join(tmpdir(), 'doctor-')));
});
after(async () => {
  await patient.stop();
  await rm(home, { recursive: true });
});
afterEach(async () => {
  await patient.aws.clearFaults();
  await patient.aws.setClock(0);
});

/** An address on which nobody listens. */
async function closedPort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

describe('doctor finds', () => {
  it('that there are no credentials', async () => {
    const env = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, HOME: home };
    const { status, findings, found } = await patient.examine([], { env });
    assert.equal(status, 1);
    assert.match(found.join('\n'), /^fail credentials: none were found in the environment, the profile, or a role[^\n]*$/);
    assert.match(findings[0]!.next!, /aws configure sso/);
  });

  it('what is wrong with the files that have them', async () => {
    const keys = '[default]\naws_access_key_id = local\naws_secret_access_key = local\n';
    const files: [string, string | Buffer | undefined, RegExp][] = [
      ['bom', `\ufeff${keys}`, /bom begins with a byte order mark; save it in UTF-8/],
      ['utf16', Buffer.from(`\ufeff${keys}`, 'utf16le'), /utf16 is in UTF-16; save it in UTF-8/],
      ['latin1', Buffer.from(`# \u00e9\n${keys}`, 'latin1'), /latin1 is not in UTF-8/],
      ['line', `${keys}nonsense\n`, /error parsing .*line on line 4: Expected an '=' sign/],
      ['nowhere', undefined, /nowhere does not exist, but AWS_SHARED_CREDENTIALS_FILE names it/],
    ];
    const none = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, HOME: home };
    for (const [name, contents, what] of files) {
      const path = join(home, name);
      if (contents !== undefined) await writeFile(path, contents);
      const { status, found } = await patient.examine([], { env: { ...none, AWS_SHARED_CREDENTIALS_FILE: path } });
      assert.equal(status, 1);
      assert.match(found[0]!, /^fail credentials: none can be used: /);
      assert.match(found[0]!, what);
    }
    const folder = await patient.examine([], { env: { ...none, AWS_CONFIG_FILE: home } });
    assert.match(folder.found[0]!, /cannot be read: is a directory/);
    const profile = await patient.examine([], { env: { ...none, AWS_PROFILE: 'nobody' } });
    assert.match(profile.found[0]!, /the AWS profile nobody, which AWS_PROFILE names, is in neither of the configuration files/);
    const key = await patient.examine([], { env: { AWS_ACCESS_KEY_ID: 'local\n' } });
    assert.match(key.found[0]!, /^fail credentials: none can be used: the environment's AWS_ACCESS_KEY_ID [^(]*$/);
  });

  it('a region in upper case', async () => {
    const { found, findings } = await patient.examine(['--region', 'US-EAST-1']);
    assert.match(found[0]!, /^warn settings: the region is US-EAST-1, but the names of AWS's regions are in lower case$/);
    assert.equal(findings[0]!.next, 'AWS_REGION=us-east-1');
  });

  it('that they have expired', async () => {
    const expired = {
      status: 400,
      code: 'ExpiredTokenException',
      message: 'The security token included in the request is expired',
    };
    for (const service of ['dynamodb', 'kms']) await patient.aws.fault({ action: `${service}:*`, ...expired });
    const { status, findings, found } = await patient.examine();
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail credentials: they have expired \(ExpiredTokenException: /);
    assert.match(findings[0]!.next!, /aws sso login/);
  });

  it('that AWS does not know them', async () => {
    const unknown = { status: 400, code: 'UnrecognizedClientException', message: 'The security token is invalid.' };
    await patient.aws.fault({ action: 'dynamodb:*', ...unknown });
    const { status, found } = await patient.examine();
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail credentials: AWS does not know them/);
  });

  it('a profile that does not exist', async () => {
    const { status, found } = await patient.examine(['--profile', 'nobody'], { env: { HOME: home } });
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail credentials: .+the AWS profile nobody/);
  });

  it('an endpoint of DynamoDB at which nobody answers', async () => {
    const endpoint = await closedPort();
    const { status, findings, found } = await patient.examine(['--dynamodb-endpoint', endpoint]);
    assert.equal(status, 1);
    assert.match(found.join('\n'), new RegExp(`^fail connection: DynamoDB does not answer at ${endpoint} \\([^\\n]+\\)$`));
    assert.match(findings[0]!.next!, new RegExp(`curl -sv ${endpoint}$`));
  });

  it('an endpoint of KMS at which nobody answers', async () => {
    const endpoint = await closedPort();
    const { status, found } = await patient.examine(['--kms-endpoint', endpoint]);
    assert.equal(status, 1);
    assert.match(found.join('\n'), new RegExp(`^fail connection: AWS KMS does not answer at ${endpoint} \\([^\\n]+\\)$`));
  });

  for (const [ahead, what] of [
    [
      3600,
      /^fail clock: this machine's clock is (60|61) minutes behind AWS's: the sessions that it saves end too early elsewhere/,
    ],
    [-3600, /^fail clock: this machine's clock is (59|60) minutes ahead of AWS's: the sessions that it saves live too long/],
    [90, /^warn clock: this machine's clock is (89|9\d) s behind AWS's: the sessions that it saves end too early/],
  ] as const) {
    it(`a clock that is ${-ahead} s off`, async () => {
      await patient.aws.setClock(ahead);
      const { status, findings, found } = await patient.examine();
      assert.equal(status, 1);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0]!, what);
      assert.match(findings[0]!.next!, /timedatectl set-ntp true/);
    });
  }

  it('that DynamoDB throttles', async () => {
    await patient.aws.fault({ action: 'dynamodb:DescribeTable', status: 400, code: 'ThrottlingException' });
    const { status, found } = await patient.examine();
    assert.equal(status, 1);
    assert.match(found.join('\n'), /^warn connection: DynamoDB throttles \(ThrottlingException: [^\n]+\)$/);
  });

  it('that the services answer, and fail', async () => {
    for (const [action, service] of [
      ['dynamodb:DescribeTable', 'DynamoDB'],
      ['kms:DescribeKey', 'AWS KMS'],
    ]) {
      await patient.aws.fault({ action: action!, status: 500, code: 'InternalServerError', message: 'oops' });
      const { status, findings, found } = await patient.examine();
      await patient.aws.clearFaults();
      assert.equal(status, 1);
      assert.equal(found[0], `fail connection: ${service} answers with an error of its own (InternalServerError: oops)`);
      assert.match(findings[0]!.next!, /doctor again in a minute.+health\.aws\.amazon\.com/);
    }
  });

  it('a Node.js that is too old', async () => {
    const preload = join(home, 'old.cjs');
    const versions = `{ ...process.versions, node: '18.20.8' }`;
    await writeFile(preload, `Object.defineProperty(process, 'versions', { value: ${versions} });`);
    const { status, findings, found } = await patient.examine([], { env: { NODE_OPTIONS: `--require ${preload}` } });
    assert.equal(status, 1);
    assert.deepEqual(found, ['fail runtime: Node.js 18.20.8 is too old: connect-dynamodb-kms needs 20 or newer']);
    assert.equal(findings[0]!.next, 'install Node.js 20 or newer');
  });

  it('a binary that is missing', async () => {
    const bare = join(home, 'bare', 'node_modules', 'connect-dynamodb-kms');
    await cp(installed, bare, { recursive: true });
    await writeFile(join(home, 'bare', 'node_modules', 'package.json'), '{}');
    const options = { program: join(bare, 'lib', 'cli', 'main.js'), cwd: join(home, 'bare') };
    const { status, stdout, stderr } = await command(['doctor', '--json', ...patient.table], options);
    const { findings, found } = diagnosis(stdout, stderr);
    assert.equal(status, 1);
    assert.match(found.join('\n'), /^fail binary: [^\n]+$/);
    assert.match(findings[0]!.next!, /npm install --include=optional/);
    for (const name of ['ls', 'policy', 'create-table']) {
      const other = await command([name, '--table-name', 'sessions'], options);
      assert.equal(other.status, 2);
      assert.match(other.stderr, /^connect-dynamodb-kms [a-z-]+: connect-dynamodb-kms needs [^\n]+ `doctor` says what to do\n$/);
    }
  });

  describe('copies of the package:', () => {
    /** A project with copies of these versions, by their places. */
    const project = async (name: string, copies: Record<string, string>) => {
      const folder = join(home, name);
      for (const [place, version] of Object.entries(copies)) {
        const path = join(folder, 'node_modules', place, 'connect-dynamodb-kms');
        await mkdir(path, { recursive: true });
        await writeFile(join(path, 'package.json'), JSON.stringify({ name: 'connect-dynamodb-kms', version }));
      }
      return folder;
    };

    it('two of them', async () => {
      const cwd = await project('two', { '': '1.0.0', '@scope/gateway/node_modules': '1.1.0', 'other/node_modules': '1.0.0' });
      await symlink(join(cwd, 'node_modules', 'other'), join(cwd, 'node_modules', 'linked'));
      await symlink(join(cwd, 'node_modules', 'other'), join(cwd, 'node_modules', 'other', 'node_modules', 'in-a-circle'));
      const { status, findings, found } = await patient.examine([], { cwd });
      assert.equal(status, 1);
      assert.match(
        found[0]!,
        /^warn package: 3 copies are installed, which share no clients and no cached keys: 1\.0\.0 in .+, 1\.0\.0 in .+, 1\.1\.0 in /,
      );
      assert.match(findings[0]!.next!, /npm dedupe/);
    });

    it('those of pnpm, whose links lead to one', async () => {
      const cwd = await project('pnpm', { '.pnpm/connect-dynamodb-kms@1.0.0/node_modules': '1.0.0' });
      const real = join(cwd, 'node_modules', '.pnpm', 'connect-dynamodb-kms@1.0.0', 'node_modules', 'connect-dynamodb-kms');
      await symlink(real, join(cwd, 'node_modules', 'connect-dynamodb-kms'));
      const { found } = await patient.examine([], { cwd });
      assert.match(found.join('\n'), /^warn package: this command is .+, the project has 1\.0\.0 in [^\n]+$/);
    });

    it('two of pnpm, of which one is linked', async () => {
      const places = ['1.0.0', '1.1.0'].map((version) => [`.pnpm/connect-dynamodb-kms@${version}/node_modules`, version]);
      const cwd = await project('pnpm-two', Object.fromEntries(places));
      const { found } = await patient.examine([], { cwd });
      assert.match(found.join('\n'), /^warn package: 2 copies are installed/);
    });

    it('one of the version of this command', async () => {
      const cwd = await project('same', { '': version });
      assert.deepEqual((await patient.examine([], { cwd })).found, []);
    });

    it('none, outside of a project', async () => {
      await mkdir(join(home, 'empty'));
      assert.deepEqual((await patient.examine([], { cwd: join(home, 'empty') })).found, []);
    });
  });
});

describe('doctor in local mode', () => {
  it('finds a folder that cannot be made, as the other commands do', async () => {
    const file = join(home, 'a-file');
    await writeFile(file, '');
    for (const [path, reason] of [
      [file, /^fail local: .*a-file cannot be used: .*a-file is no folder$/],
      [join(file, 'below', 'it'), /^fail local: .*cannot be used: ENOTDIR/],
    ] as const) {
      const { status, stdout, stderr } = await command(['doctor', '--json', '--local', path]);
      assert.equal(status, 1);
      assert.match(diagnosis(stdout, stderr).found[0]!, reason);
      const listed = await command(['ls', '--local', path]);
      assert.deepEqual([listed.status, listed.stdout], [2, '']);
    }
  });

  const examine = async (path: string) => {
    const { status, stdout, stderr } = await command(['doctor', '--json', '--local', path, '--record-version', '2']);
    return { status, ...diagnosis(stdout, stderr) };
  };
  const storeIn = async (path: string) => {
    const store = new DynamoDBSessionStore({ recordVersion: 2, local: { path }, logger: quietLogger() });
    await store.set('a', { cookie: {} } as any);
    return store;
  };

  it('makes no folder', async () => {
    const path = join(home, 'unmade');
    const { status, found } = await examine(path);
    assert.deepEqual([status, found], [0, [`note local: ${path} holds no sessions yet; it is made on first use`]]);
    await assert.rejects(realpath(path), { code: 'ENOENT' });
  });

  it('finds nothing wrong with a folder that a store has made', async () => {
    const path = join(home, 'local');
    await (await storeIn(path)).close();
    const { status, findings, found } = await examine(path);
    assert.deepEqual([status, found], [0, []]);
    assert.ok(findings.some(({ what }) => what === `${path} can be used, and its key file as well`));
    assert.ok(findings.some(({ what }) => what === 'looked at 1: 1 of version 2'));
  });

  it('finds a folder that another process uses', async () => {
    const path = join(home, 'busy');
    const store = await storeIn(path);
    const { status, found } = await examine(path);
    await store.close();
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail local: .+ is in use by another process/);
  });

  it('finds a key file that others can read', async () => {
    const path = join(home, 'open');
    await (await storeIn(path)).close();
    await chmod(join(path, 'key'), 0o644);
    const { status, found } = await examine(path);
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail local: .+ has mode 0644, so others may use it/);
  });
});
