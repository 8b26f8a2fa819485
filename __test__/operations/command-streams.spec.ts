// The operator's command where its output goes to something that does not take it.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { installed, optionsOf } from '../support/command.ts';

describe("the command's output", () => {
  let backend: AwsBackend;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());

  const start = (args: string[], stdout: 'pipe' | number = 'pipe') =>
    spawn(process.execPath, [join(installed, 'lib/cli/main.js'), ...args, ...optionsOf(backend.config)], {
      stdio: ['ignore', stdout, 'pipe'],
    });
  const ended = async (child: ChildProcess) => (await once(child, 'close'))[0];

  it('is for nobody any more when the reader of its progress goes away, and the work goes on', async () => {
    await backend.aws.fault({ action: 'dynamodb:Scan', status: 400, code: 'ThrottlingException', message: 'slow' });
    try {
      const child = start(['survey', '--json']);
      const output = child.stdout!.setEncoding('utf8').toArray();
      child.stderr!.destroy();
      while (!(await backend.aws.calls())['dynamodb:Scan']) await new Promise(setImmediate);
      const close = ended(child);
      child.kill('SIGTERM'); // is answered on standard error
      assert.equal(await close, 130);
      assert.equal(JSON.parse((await output).join('')).stopped, true);
    } finally {
      await backend.aws.clearFaults();
    }
  });

  it('says why it does not get on', async () => {
    for (const [code, shown] of [
      ['ThrottlingException', 'ERR_DYNAMODB_THROTTLED'],
      ['InternalServerError', 'ERR_DYNAMODB_UNAVAILABLE'],
    ] as const) {
      await backend.aws.fault({
        action: 'dynamodb:Scan',
        status: code === 'ThrottlingException' ? 400 : 500,
        code,
        message: 'slow',
      });
      try {
        const child = start(['survey']);
        let progress = '';
        for await (const text of child.stderr!.setEncoding('utf8')) {
          progress += text;
          if (progress.includes(`items, trying again after ${shown}\n`)) break;
        }
        assert.match(progress, new RegExp(`^0 items, trying again after ${shown}\n`, 'm'));
        const close = ended(child);
        child.kill('SIGKILL');
        await close;
      } finally {
        await backend.aws.clearFaults();
      }
    }
  });

  it('has a line of progress that fits into a narrow terminal', {
    skip: process.platform === 'win32' && 'no pty module',
  }, async () => {
    await backend.aws.fault({ action: 'dynamodb:Scan', status: 400, code: 'ThrottlingException', message: 'slow' });
    try {
      const script = [
        'import fcntl, os, pty, signal, struct, sys, termios, time',
        'process, terminal = pty.fork()',
        'if process == 0: time.sleep(0.2); os.execv(sys.argv[1], sys.argv[1:])',
        'fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 6, 0, 0))',
        'text = b""',
        'while text.count(b"\\r") < 4: text += os.read(terminal, 1000)',
        'os.kill(process, signal.SIGKILL)',
        'sys.stdout.buffer.write(text)',
      ].join('\n');
      const args = [process.execPath, join(installed, 'lib/cli/main.js'), 'survey', ...optionsOf(backend.config)];
      const child = spawn('python3', ['-c', script, ...args], { env: { ...process.env, TERM: 'xterm' } });
      const output = child.stdout!.setEncoding('utf8').toArray();
      assert.equal(await ended(child), 0);
      const shown = (await output).join('').split('\r\u001b[K');
      assert.ok(shown.length > 3 && shown.every((line) => line.length < 6), JSON.stringify(shown));
    } finally {
      await backend.aws.clearFaults();
    }
  });

  it('may be read in part', async () => {
    const child = start(['survey']);
    child.stdout!.once('data', () => child.stdout!.destroy());
    const errors = child.stderr!.setEncoding('utf8').toArray();
    assert.equal(await ended(child), 0);
    assert.deepEqual(await errors, []);
  });

  it('that finds no room is a failure, which is said', { skip: !existsSync('/dev/full') && 'no /dev/full' }, async () => {
    for (const args of [['survey'], ['survey', '--json'], ['ls'], ['--help']]) {
      const child = start(args, openSync('/dev/full', 'w'));
      const errors = child.stderr!.setEncoding('utf8').toArray();
      assert.equal(await ended(child), 2);
      const text = (await errors).join('');
      assert.match(text, /^connect-dynamodb-kms: standard output cannot be written: ENOSPC: no space left on device, write\n$/);
    }
  });
});
