// `import`: files as other programs and other people write them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Backend, startAws, startLocal } from '../support/backends.ts';
import { command, installed, optionsOf } from '../support/command.ts';
import { TableItems } from '../support/table-items.ts';

const seconds = Math.floor(Date.now() / 1000) + 3600;
const line = (sid: string, session: object = {}, expires: unknown = seconds) =>
  JSON.stringify({ sid, session: { cookie: {}, ...session }, expires });

describe('a file of sessions', () => {
  let backend: Backend;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'files-'));
  });
  after(() => rm(folder, { recursive: true }));
  beforeEach(async () => {
    backend = await startLocal();
  });
  afterEach(() => backend.stop());

  const taken = async (contents: string | Buffer, args: string[] = []) => {
    const path = join(folder, 'sessions.jsonl');
    await writeFile(path, contents);
    const { status, stdout, stderr } = await command(['import', path, '--json', ...args, ...optionsOf(backend.config)]);
    assert.equal(stderr, '');
    const { imported, left } = JSON.parse(stdout);
    return { status, imported, left: left.first.map(({ session, detail }: any) => `${session}: ${detail}`) };
  };
  const read = async (sid: string): Promise<any> => {
    const store = backend.store({ recordVersion: 2 });
    const session = await store.get(sid);
    await store.close();
    return session;
  };

  it('may begin with a byte order mark, and have lines that end as on Windows', async () => {
    assert.deepEqual(await taken(`\ufeff${line('first')}\r\n${line('second')}\r\n`), { status: 0, imported: 2, left: [] });
    assert.notEqual(await read('first'), null);
  });

  it('may have characters in a line at which other programs end lines', async () => {
    const text = 'a\u2028b\u2029c\u0085d';
    assert.deepEqual(await taken(`${line('odd', { text })}\n`), { status: 0, imported: 1, left: [] });
    assert.equal((await read('odd')).text, text);
  });

  it('is read as it is, and the characters of another encoding are not replaced', async () => {
    const latin1 = Buffer.from(`${line('l\u00e4tin')}\n${line('plain')}`, 'latin1');
    assert.deepEqual(await taken(latin1), { status: 1, imported: 1, left: ['line 1: a line must be in UTF-8'] });
    const zipped = await taken(gzipSync(`${line('zipped')}\n`));
    assert.deepEqual([zipped.status, zipped.imported], [1, 0]);
    assert.match(zipped.left[0], /^line 1: a line must be in UTF-8/);
  });

  it('may have a line that is too long for any session', async () => {
    const long = Buffer.alloc(9 * 1024 * 1024, 'x');
    const contents = Buffer.concat([Buffer.from(`${line('before')}\n`), long, Buffer.from(`\n${line('after')}`)]);
    assert.deepEqual(await taken(contents), {
      status: 1,
      imported: 2,
      left: ['line 2: a line must have at most 8388608 bytes'],
    });
  });

  it('lengthens no session whose end is not in seconds, or cannot be read', async () => {
    const lines = [
      line('millis', {}, seconds * 1000),
      line('cookie', { cookie: { expires: '2020-01-01T00:00:00Z' } }, null),
      line('ended', { cookie: { expires: '2020-01-01T00:00:00.000Z' } }, null),
    ];
    const { status, imported, left } = await taken(lines.join('\n'));
    assert.deepEqual([status, imported, left.length], [1, 0, 2]);
    assert.match(left[0], /^line 1: expires must be epoch seconds.*not milliseconds/);
    assert.match(left[1], /^line 2: cookie\.expires must be as Date\.toISOString writes it/);
    const path = join(folder, 'sessions.jsonl');
    const { stdout } = await command(['import', path, ...optionsOf(backend.config)]);
    for (const reason of ['epoch seconds', 'cookie.expires']) assert.ok(stdout.includes(reason), stdout);
  });

  const unix = { skip: process.platform === 'win32' && 'no such paths' };

  it('can be a pipe that has a name', unix, async () => {
    const path = join(folder, 'named.jsonl');
    await writeFile(path, line('named'));
    const program = `"${process.execPath}" "${join(installed, 'lib/cli/main.js')}" "$@" <(cat "$FILE")`;
    const args = ['-c', program, 'bash', 'import', ...optionsOf(backend.config)];
    const [failed, stdout, stderr] = await new Promise<any[]>((resolve) => {
      execFile('bash', args, { env: { ...process.env, FILE: path } }, (...ended) => resolve(ended));
    });
    assert.equal(failed, null, stderr);
    assert.match(stdout, /^imported +1$/m);
  });

  it('that cannot be read is named', async () => {
    const config = optionsOf(backend.config);
    for (const [path, reason] of [
      [join(folder, 'nowhere'), /no such file: .*nowhere\n$/],
      [folder, /files-\w+ cannot be read: EISDIR/],
    ] as const) {
      const { status, stderr } = await command(['import', path, ...config]);
      assert.equal(status, 2);
      assert.match(stderr, reason);
      assert.doesNotMatch(stderr, /^ +at /m);
    }
  });

  it('that somebody may not read is named', { skip: process.getuid?.() === 0 && 'root may read all' }, async () => {
    const path = join(folder, 'secret.jsonl');
    await writeFile(path, line('secret'));
    await chmod(path, 0o000);
    const { status, stderr } = await command(['import', path, ...optionsOf(backend.config)]);
    assert.equal(status, 2);
    assert.match(stderr, /secret\.jsonl cannot be read: EACCES/);
  });
});

describe('a table of sessions', () => {
  it('may have keys without a prefix, and is not the one to write to', async () => {
    const backend = await startAws();
    try {
      const items = new TableItems(backend.aws, 'old');
      await items.createTable('old', 'id');
      const sess = JSON.stringify({ cookie: {}, user: 7 });
      await items.put({ id: { S: 'bare' }, sess: { S: sess }, expires: { N: String(seconds) } });
      items.close();
      const from = ['import', '--json', '--from', 'connect-dynamodb', '--from-table', 'old'];
      const run = await command([...from, '--from-prefix', '', ...optionsOf(backend.config)]);
      assert.equal(run.status, 0, run.stderr);
      assert.equal(JSON.parse(run.stdout).imported, 1);
      assert.equal(((await backend.store({ recordVersion: 2 }).get('bare')) as any).user, 7);
      const same = await command(from, { env: { SESSIONS_TABLE: 'old' } });
      assert.equal(same.status, 2);
      assert.match(same.stderr, /are the same table/);
    } finally {
      await backend.stop();
    }
  });
});
