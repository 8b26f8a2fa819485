// What all operator's commands have in common: options, help, and how they end.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { command, installed, optionsOf } from '../support/command.ts';

describe("the operator's command", () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  const refused = async (args: string[], env = {}) => {
    const { status, stdout, stderr } = await command(args, { env });
    assert.equal(status, 2, stderr);
    assert.equal(stdout, '');
    assert.doesNotMatch(stderr, /^ +at /m);
    return stderr;
  };

  it('names the nearest command', async () => {
    for (const [given, meant] of [
      ['docter', 'doctor'],
      ['doc', 'doctor'],
      ['chekc-replies', 'check-replies'],
    ] as const) {
      assert.match(await refused([given]), new RegExp(`unknown command ${given}; did you mean ${meant}\\?`));
    }
    for (const other of ['xyzzy', 'rm', '-v']) assert.match(await refused([other]), new RegExp(`unknown command ${other}\n`));
    assert.match(await refused(['LS']), /unknown command LS; did you mean ls\?/);
    assert.match(await refused(['']), /^Usage: /);
  });

  it('names the nearest option', async () => {
    assert.match(await refused(['doctor', '--table-nam', 'a']), /unknown option --table-nam; did you mean --table-name\?/);
    assert.match(await refused(['doctor', '--kms-key=a']), /unknown option --kms-key; did you mean --kms-key-arn\?/);
    assert.match(await refused(['doctor', '--xyzzy']), /unknown option --xyzzy\n/);
    assert.match(await refused(['doctor', '-x']), /unknown option -x/);
  });

  it('says which value an option lacks, and which it does not take', async () => {
    assert.match(await refused(['doctor', '--table-name']), /--table-name needs a value: --table-name NAME/);
    assert.match(await refused(['doctor', '--table-name', '--json']), /--table-name needs a value/);
    assert.match(await refused(['doctor', '--table-name=']), /--table-name needs a value/);
    assert.match(await refused(['doctor', '--json=yes']), /--json takes no value/);
    assert.match(await refused(['doctor', '--record-version', 'two']), /--record-version takes a whole number, not "two"/);
    assert.match(await refused(['doctor', '--encryption-context', 'a']), /--encryption-context takes NAME=VALUE/);
    assert.match(await refused(['doctor', '--hash-session-ids-secret', 'UNSET']), /names UNSET, which is not set/);
    assert.match(await refused(['doctor', 'sessions']), /unexpected argument "sessions"/);
  });

  it('checks values as the constructor does', async () => {
    assert.match(await refused(['doctor', '--record-version', '9']), /ERR_CONFIG: recordVersion must be 1 or 2/);
    assert.match(await refused(['doctor', '--kms-key-arn', 'a']), /ERR_CONFIG: kmsKeyArn/);
    assert.match(await refused(['doctor'], { KMS_KEY_ARN: 'a' }), /ERR_CONFIG: the environment's KMS_KEY_ARN/);
  });

  it('describes a command', async () => {
    for (const name of ['doctor', 'create-table', 'check-replies']) {
      const { stdout } = await command([name, '--help']);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 140, line);
    }
    for (const args of [
      ['doctor', '--help'],
      ['doctor', '-h'],
      ['help', 'doctor'],
    ]) {
      const { status, stdout } = await command(args);
      assert.equal(status, 0);
      assert.match(stdout, /^Usage: connect-dynamodb-kms doctor \[options\]\n/);
      for (const text of ['--json', '--table-name NAME', 'Exit status:']) assert.ok(stdout.includes(text), text);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 140, line);
    }
  });

  it('takes the settings of the store from options and from the environment', async () => {
    const { tableName, dynamodbEndpoint, kmsEndpoint } = backend.config as Record<string, string>;
    const seen = ({ stdout }: { stdout: string }) => JSON.parse(stdout).findings.map(({ what }: { what: string }) => what);
    const expected = 'sessions is ACTIVE, on demand';
    assert.ok(seen(await command(['doctor', '--json', ...optionsOf(backend.config)])).includes(expected));
    const env = { SESSIONS_TABLE: tableName, AWS_ENDPOINT_URL_DYNAMODB: dynamodbEndpoint, AWS_ENDPOINT_URL_KMS: kmsEndpoint };
    assert.ok(seen(await command(['doctor', '--json'], { env })).includes(expected));
  });

  it('has no option that the constructor does not know', async () => {
    const { stdout } = await command(['doctor', '--help']);
    const shared = stdout.slice(stdout.indexOf('Options of the store'));
    const options = [...shared.matchAll(/^ {2}--([a-z-]+)( [A-Z])?/gm)];
    assert.ok(options.length > 10);
    /** Values of those that do not take any text. */
    const values: Record<string, string> = {
      'table-name': 'sessions',
      'kms-key-arn': 'arn:aws:kms:us-east-1:111122223333:key/a',
      region: 'eu-west-1',
      'role-arn': 'arn:aws:iam::111122223333:role/gateway',
      endpoint: 'http://127.0.0.1:1',
      'dynamodb-endpoint': 'http://127.0.0.1:1',
      'kms-endpoint': 'http://127.0.0.1:1',
      'record-version': '2',
      'accept-versions': '1,2',
      'encryption-context': 'team=web',
      'hash-session-ids-secret': 'THE_SECRET',
      'users-secret': 'THE_SECRET',
      'ttl-seconds': '3600',
      local: '/nowhere/at/all',
    };
    const args = options.flatMap(([, name, value]) => (value ? [`--${name}`, values[name!] ?? 'text'] : [`--${name}`]));
    const { status, stderr } = await command(['doctor', ...args], { env: { THE_SECRET: 'a secret of sixteen bytes' } });
    assert.equal(status, 0, stderr);
  });

  it('keeps colours and control codes to terminals', async () => {
    const { stdout, stderr } = await command(['doctor', ...optionsOf(backend.config)]);
    assert.equal((stdout + stderr).includes('\u001b'), false);
  });

  it('has colours on a terminal, unless NO_COLOR is set', { skip: process.platform === 'win32' && 'no pty module' }, async () => {
    const program = join(installed, 'lib', 'cli', 'main.js');
    const args = [process.execPath, program, 'doctor', ...optionsOf(backend.config)];
    const script = 'import pty, sys; pty.spawn(sys.argv[1:])';
    const onTerminal = (env: Record<string, string>) =>
      new Promise<string>((resolve) => {
        const variables = { ...process.env, TERM: 'xterm', NO_COLOR: '', ...env };
        execFile('python3', ['-c', script, ...args], { env: variables }, (_, stdout) => resolve(stdout));
      });
    assert.ok((await onTerminal({})).includes('\u001b[32mok'));
    const plain = await onTerminal({ NO_COLOR: '1' });
    assert.match(plain, /^ok {4}table/m);
    assert.equal(plain.includes('\u001b'), false);
  });
});
