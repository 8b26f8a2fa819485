import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { DynamoDBSessionStore, type SessionStoreConfig } from 'connect-dynamodb-kms';
import { quietLogger } from '../support/backends.ts';
import { failing, shown, spellings } from '../support/failures.ts';
import { Program } from '../support/program.ts';

describe('the local mode', () => {
  /** Does not exist when a test starts. */
  let path: string;
  let parent: string;
  let stores: DynamoDBSessionStore[];
  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'local-mode-'));
    path = join(parent, 'made', 'on first use');
    stores = [];
  });
  afterEach(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await rm(parent, { recursive: true });
  });

  function open(options: SessionStoreConfig = {}): DynamoDBSessionStore {
    const store = new DynamoDBSessionStore({ recordVersion: 1, logger: quietLogger(), local: { path }, ...options });
    stores.push(store);
    return store;
  }

  /** Starts a program that is gone at the end of the test. */
  function program(t: TestContext, ...args: ConstructorParameters<typeof Program>): Program {
    const started = new Program(...args);
    t.after(() => started.end('SIGKILL'));
    return started;
  }

  async function mode(...names: string[]): Promise<string> {
    return ((await stat(join(path, ...names))).mode & 0o777).toString(8);
  }

  it('makes the folder and its files on first use, not before', async () => {
    const store = open();
    assert.deepEqual(await readdir(parent), []);
    assert.equal(await store.get('missing'), null);
    assert.deepEqual((await readdir(path)).sort(), ['.gitignore', 'key', 'sessions.redb']);
  });

  it('keeps its folder out of git, and no folder that holds something else', async () => {
    await open().ping();
    assert.equal(await readFile(join(path, '.gitignore'), 'utf8'), '*\n');
    const project = join(parent, 'project');
    await mkdir(project);
    await writeFile(join(project, 'package.json'), '{}');
    await open({ local: { path: project } }).ping();
    assert.deepEqual((await readdir(project)).sort(), ['key', 'package.json', 'sessions.redb']);
  });

  it('opens its folder again while the last store on it, which nobody closed, is being collected', async () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    for (let round = 0; round < 200; round++) {
      await new DynamoDBSessionStore({ recordVersion: 1, logger: quietLogger(), local: { path } }).set('sid', { round });
      const next = new DynamoDBSessionStore({ recordVersion: 1, logger: quietLogger(), local: { path } });
      collect();
      assert.deepStrictEqual(await next.get('sid'), { round });
    }
  });

  it('keeps the folder and the key from other users, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await open().ping();
    } finally {
      process.umask(before);
    }
    assert.equal(await mode(), '700');
    assert.equal(await mode('key'), '600');
    assert.equal((await readFile(join(path, 'key'))).length, 32);
  });

  it('keeps sessions and the key from one store to the next', async () => {
    const first = open();
    await first.set('sid', { user: 'Ada' });
    const key = await readFile(join(path, 'key'));
    await first.close();
    assert.deepStrictEqual(await open().get('sid'), { user: 'Ada' });
    assert.deepEqual(await readFile(join(path, 'key')), key);
  });

  it('makes a key of its own for each folder', async () => {
    await open().ping();
    const other = join(parent, 'other');
    await open({ local: { path: other } }).ping();
    assert.notDeepEqual(await readFile(join(path, 'key')), await readFile(join(other, 'key')));
  });

  for (const wide of [0o640, 0o604, 0o644, 0o666, 0o660, 0o620]) {
    it(`refuses a key file of mode ${wide.toString(8)}, says what to do, and loses nothing`, async () => {
      const first = open();
      await first.set('sid', { user: 'Ada' });
      await first.close();
      await chmod(join(path, 'key'), wide);
      const key = await readFile(join(path, 'key'));
      const store = open();
      const calls = [store.get('sid'), store.set('sid', { user: 'Bob' }), store.ping(), store.length()];
      for (const { detail } of await Promise.all(calls.map((call) => failing(call, 'ERR_CONFIG', spellings(key))))) {
        assert.ok(detail.includes(join(path, 'key')), detail);
        assert.match(detail, /chmod 600/);
      }
      assert.equal(await mode('key'), wide.toString(8));
      await chmod(join(path, 'key'), 0o600);
      assert.deepStrictEqual(await store.get('sid'), { user: 'Ada' });
    });
  }

  it('goes on when the disk takes writes again', {
    skip: process.platform !== 'linux' && 'there is no prlimit to make writes fail',
  }, async (t) => {
    /** Up to which size this process may write files. */
    const writable = (size: string) => execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${size}:`]);
    const [one, other] = [open(), open()];
    await one.set('sid', { user: 'Ada' });
    t.after(() => writable('unlimited'));
    writable('0');
    await failing(one.set('sid', { user: 'Bob' }), 'ERR_DYNAMODB_UNAVAILABLE');
    await failing(other.set('sid', { user: 'Bob' }), 'ERR_DYNAMODB_UNAVAILABLE');
    writable('unlimited');
    assert.deepEqual(await other.get('sid'), { user: 'Ada' });
    await one.set('sid', { user: 'Eve' });
    assert.deepEqual(await other.get('sid'), { user: 'Eve' });
  });

  it('makes no new key in place of one that is missing, and goes on when it is back', async () => {
    const first = open();
    await first.set('sid', { user: 'Ada' });
    await first.close();
    await rename(join(path, 'key'), join(parent, 'key elsewhere'));
    const store = open();
    for (const { detail } of await Promise.all(
      [store.get('sid'), store.set('new', {}), store.ping()].map((call) => failing(call, 'ERR_CONFIG')),
    )) {
      assert.ok(detail.includes(join(path, 'key')), detail);
      assert.match(detail, /missing/);
    }
    assert.ok(!existsSync(join(path, 'key')));
    await rename(join(parent, 'key elsewhere'), join(path, 'key'));
    assert.deepStrictEqual(await store.all(), [{ user: 'Ada', id: 'sid' }]);
  });

  for (const length of [0, 16, 31, 33, 1000]) {
    it(`refuses a key file of ${length} bytes and leaves it as it is`, async () => {
      const first = open();
      await first.set('sid', { user: 'Ada' });
      await first.close();
      const key = await readFile(join(path, 'key'));
      await writeFile(join(path, 'key'), Buffer.alloc(length, 'Plaintext-4711'));
      const store = open();
      const { detail } = await failing(store.get('sid'), 'ERR_CONFIG', spellings(Buffer.from('Plaintext-4711')));
      assert.match(detail, /32 bytes/);
      assert.ok(detail.includes(join(path, 'key')), detail);
      assert.deepEqual(await readFile(join(path, 'key')), Buffer.alloc(length, 'Plaintext-4711'));
      await writeFile(join(path, 'key'), key);
      assert.deepStrictEqual(await store.get('sid'), { user: 'Ada' });
    });
  }

  it('cannot open sessions with the key of another folder, and deletes nothing', async () => {
    const first = open();
    await first.set('sid', { user: 'Plaintext-4711' });
    await first.close();
    const key = await readFile(join(path, 'key'));
    await writeFile(join(path, 'key'), Buffer.alloc(32, 7));
    const second = open();
    await failing(second.get('sid'), 'ERR_INTEGRITY', ['Plaintext-4711', ...spellings(key)]);
    await failing(second.all(), 'ERR_INTEGRITY', ['Plaintext-4711', ...spellings(key)]);
    assert.deepEqual(await second.ids(), ['sid']);
    await second.close();
    await writeFile(join(path, 'key'), key);
    assert.deepStrictEqual(await open().get('sid'), { user: 'Plaintext-4711' });
  });

  it('refuses a folder that another process has open, naming it, and takes it when that process is gone', async (t) => {
    const holder = program(t, 'holder-program', path, 'of the holder', { user: 'Ada' });
    assert.deepEqual(JSON.parse(await holder.line()), { holds: path, before: [] });
    const store = open();
    const calls = [store.get('of the holder'), store.set('mine', {}), store.ping()];
    for (const { detail } of await Promise.all(calls.map((call) => failing(call, 'ERR_CONFIG')))) {
      assert.ok(detail.includes(path), detail);
      assert.match(detail, /another process/);
    }
    await holder.end('SIGKILL');
    assert.deepStrictEqual(await store.all(), [{ user: 'Ada', id: 'of the holder' }]);
    await store.set('mine', { user: 'Bob' });
    assert.equal(await store.length(), 2);
  });

  it('goes on undisturbed when another process tries its folder', async (t) => {
    const store = open();
    await store.set('before', { user: 'Ada' });
    const holder = program(t, 'holder-program', path, 'of the holder', {});
    const writes = Array.from({ length: 50 }, (_, number) => store.set(`during ${number}`, { number }));
    const { code, detail } = JSON.parse(await holder.line());
    assert.equal(code, 'ERR_CONFIG');
    assert.match(detail, /another process/);
    await Promise.all(writes);
    assert.deepStrictEqual(await store.get('before'), { user: 'Ada' });
    assert.equal(await store.length(), 51);
  });

  it('gives the folder to another process once the last store on it is closed', async (t) => {
    const [first, second] = [open(), open()];
    await first.set('sid', { user: 'Ada' });
    await second.get('sid');
    await first.close();
    const refused = program(t, 'holder-program', path, 'of the holder', {});
    assert.equal(JSON.parse(await refused.line()).code, 'ERR_CONFIG');
    await second.close();
    const holder = program(t, 'holder-program', path, 'of the holder', {});
    assert.deepEqual(JSON.parse(await holder.line()), { holds: path, before: [{ user: 'Ada', id: 'sid' }] });
  });

  it('is shared by the stores of one process, however they write the path', async () => {
    const first = open();
    await first.set('sid', { user: 'Ada' });
    await symlink(path, join(parent, 'link'));
    const spelled = {
      'a slash at the end': `${path}/`,
      'doubled slashes and dots': `${parent}//./made/on first use/.`,
      'a relative path': relative(process.cwd(), path),
      'a way up and down': `${path}/../on first use`,
      'a symbolic link': join(parent, 'link'),
    };
    const found: Record<string, unknown> = {};
    for (const [way, same] of Object.entries(spelled)) {
      const store = open({ local: { path: same } });
      found[way] = await store.get('sid').catch((error) => error.detail);
    }
    assert.deepStrictEqual(found, Object.fromEntries(Object.keys(spelled).map((way) => [way, { user: 'Ada' }])));
  });

  it('is shared by many stores that all start at the same time', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, number) => open().set(`sid-${number}`, { number })));
    assert.equal(await open().length(), 20);
    assert.deepStrictEqual(await open().get('sid-7'), { number: 7 });
  });

  it('keeps tables of different names apart', async () => {
    const [one, two] = [open({ tableName: 'table-one' }), open({ tableName: 'table-two' })];
    await one.set('sid', { table: 'one' });
    assert.equal(await two.get('sid'), null);
    await two.set('sid', { table: 'two' });
    await two.set('only in two', {});
    assert.deepStrictEqual(await one.get('sid'), { table: 'one' });
    assert.deepEqual(await one.ids(), ['sid']);
    assert.equal(await two.length(), 2);
    await one.clear();
    assert.equal(await one.length(), 0);
    assert.deepStrictEqual(await two.get('sid'), { table: 'two' });
  });

  it('loses no acknowledged session when it is killed while it writes, ten times over', async (t) => {
    const acknowledged = new Map<string, number>();
    for (let round = 0; round < 10; round++) {
      const writer = program(t, 'writer-program', path, round);
      assert.equal(await writer.line(), 'started');
      const lines: string[] = [];
      // The first one is killed while it opens the folder for the first time, the others after more and more writes.
      while (lines.length < round * 9) lines.push(await writer.line());
      const { signal, lines: rest } = await writer.end('SIGKILL');
      assert.equal(signal, 'SIGKILL');
      for (const line of [...lines, ...rest]) {
        const { sid, number } = JSON.parse(line);
        acknowledged.set(sid, Math.max(number, acknowledged.get(sid) ?? 0));
      }
      const store = open();
      const found = new Map((await store.all()).map((session) => [session.id, session]));
      for (const [sid, number] of acknowledged) {
        const session = found.get(sid);
        assert.ok(session, `${sid} is lost after round ${round}`);
        assert.ok(session.number >= number, `${sid} is back at ${session.number} after ${number} was acknowledged`);
        assert.deepStrictEqual(await store.get(sid), {
          number: session.number,
          filler: 'x'.repeat((session.number * 997) % 5000),
        });
      }
      assert.equal(await store.length(), found.size);
      await store.close();
    }
    assert.ok(acknowledged.size > 100, `only ${acknowledged.size} sessions were written`);
  });

  it('says so if the path is a file or lies below one', async () => {
    const file = join(parent, 'file');
    await writeFile(file, 'not a folder');
    for (const wrong of [file, join(file, 'below'), join(file, 'far', 'below')]) {
      const error = await failing(open({ local: { path: wrong } }).get('sid'), 'ERR_CONFIG');
      assert.ok(error.detail.includes(wrong), error.detail);
      assert.match(shown(error), /not a directory|file exists|not a folder/i);
    }
    assert.equal(await readFile(file, 'utf8'), 'not a folder');
  });

  it('does not write over a file that is no database', async () => {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const file = join(path, 'sessions.redb');
    await writeFile(file, 'these are the notes of somebody else'.repeat(100));
    const { detail } = await failing(open().set('sid', {}), 'ERR_CONFIG');
    assert.ok(detail.includes(path), detail);
    assert.equal(await readFile(file, 'utf8'), 'these are the notes of somebody else'.repeat(100));
    assert.ok(!existsSync(join(path, 'key')));
  });

  it('says that a file which nobody may read, or that is a folder, must be mended', async () => {
    await mkdir(join(path, 'sessions.redb'), { recursive: true, mode: 0o700 });
    const error = await failing(open().get('sid'), 'ERR_CONFIG');
    assert.ok(error.detail.includes(join(path, 'sessions.redb')), error.detail);
  });

  it('works in a worker thread beside a store of the main thread', async (t) => {
    const store = open();
    await store.set('of the main thread', { user: 'Ada' });
    const worker = new Worker(new URL('../support/session-worker.mjs', import.meta.url), {
      workerData: { path, read: 'of the main thread', save: 'of the worker' },
    });
    t.after(() => worker.terminate());
    assert.deepEqual(await once(worker, 'message'), [{ user: 'Ada' }]);
    await worker.terminate();
    assert.deepStrictEqual(await store.get('of the worker'), { from: 'worker' });
    await store.set('after the worker', {});
    await store.close();
    // The worker's own store was never closed, but it ended with its thread.
    const holder = program(t, 'holder-program', path, 'of the holder', {});
    assert.equal(JSON.parse(await holder.line()).before?.length, 3);
  });

  it('ends its process when nothing is left to do, closed or not', async (t) => {
    for (const closes of [true, false]) {
      const { code, lines, stderr } = await program(t, 'short-program', path, closes).end();
      assert.deepEqual([code, lines, stderr], [0, ['done'], '']);
    }
  });
});
