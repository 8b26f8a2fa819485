// The local mode removes ended sessions by itself, as DynamoDB's Time to Live does, and keeps its files from other users.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { quietLogger } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { Program } from '../support/program.ts';

const START = Date.UTC(2030, 0, 1);
const MINUTE = 60_000;

let parent: string;
let path: string;
let stores: DynamoDBSessionStore[];
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'local-cleaning-'));
  path = join(parent, 'sessions');
  stores = [];
});
afterEach(async () => {
  mock.timers.reset();
  await Promise.all(stores.map((store) => store.close()));
  await rm(parent, { recursive: true });
});

function open(): DynamoDBSessionStore {
  const store = new DynamoDBSessionStore({ logger: quietLogger(), recordVersion: 2, maxCallsInFlight: 2000, local: { path } });
  stores.push(store);
  return store;
}

describe('ended sessions of the local mode', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: START }));

  const endingIn = (milliseconds: number) => ({ cookie: { expires: new Date(Date.now() + milliseconds) } });

  /** Which of these records are in the file. `record` itself removes nothing. */
  async function present(...sids: string[]): Promise<string[]> {
    const store = open();
    const found = await presentIn(store, sids);
    await store.close();
    return found;
  }
  async function presentIn(store: DynamoDBSessionStore, sids: string[]): Promise<string[]> {
    const records = await Promise.all(sids.map((sid) => store.record(sid)));
    return sids.filter((_, index) => records[index] !== null);
  }

  it('are removed in the background, whichever call comes next; those that live stay', async () => {
    for (const next of ['get', 'set', 'touch'] as const) {
      const store = open();
      await store.set('short', endingIn(60 * MINUTE));
      await store.set('long', endingIn(180 * MINUTE));
      mock.timers.tick(120 * MINUTE);
      assert.deepEqual(await present('short', 'long'), ['short', 'long']);
      if (next === 'get') await store.get('another');
      else await store[next]('another', {});
      await store.close(); // which waits for the removal
      assert.deepEqual(await present('short', 'long'), ['long'], next);
      await open().clear();
    }
  });

  it('are looked for once a minute', async () => {
    const store = open();
    await store.set('short', endingIn(10_000));
    mock.timers.tick(30_000);
    for (let call = 0; call < 5; call++) await store.get('another');
    assert.deepEqual(await present('short'), ['short']);
    mock.timers.tick(30_000);
    await store.get('another');
    await store.close();
    assert.deepEqual(await present('short'), []);
  });

  it('are told by the clock of the program, which may be set back', async () => {
    const store = open();
    mock.timers.setTime(Date.UTC(2040, 0, 1));
    await store.get('another');
    mock.timers.setTime(Date.UTC(2001, 0, 1));
    await store.set('living', endingIn(60 * MINUTE));
    await store.set('short', endingIn(MINUTE));
    mock.timers.tick(2 * MINUTE);
    await store.get('another');
    await store.close();
    assert.deepEqual(await present('living', 'short'), ['living']);
  });

  it('are removed however many there are, and those of another table when that is used', { timeout: 300_000 }, async () => {
    const store = open();
    const sids = Array.from({ length: 1203 }, (_, number) => `sid-${number}`);
    await Promise.all(sids.map((sid, number) => store.set(sid, endingIn(number % 400 === 0 ? 120 * MINUTE : MINUTE))));
    const other = new DynamoDBSessionStore({ logger: quietLogger(), recordVersion: 2, tableName: 'other', local: { path } });
    stores.push(other);
    await other.set('of the other table', endingIn(MINUTE));
    mock.timers.tick(60 * MINUTE);
    await store.get('another');
    // The removal takes one page after the other; it has ended when nothing is left to remove.
    let left = sids;
    while (left.length > 4) left = await presentIn(store, left);
    assert.deepEqual(left, ['sid-0', 'sid-400', 'sid-800', 'sid-1200']);
    assert.ok(await other.record('of the other table'));
    await other.get('another');
    while (await other.record('of the other table'));
  });

  it('do not keep the folder when the store is closed, nor the process from ending', async (t) => {
    const store = open();
    await Promise.all(Array.from({ length: 1203 }, (_, number) => store.set(`sid-${number}`, endingIn(MINUTE))));
    mock.timers.tick(60 * MINUTE);
    await store.get('another');
    await store.close();
    const holder = new Program('holder-program', path, 'of the holder', {});
    t.after(() => holder.end('SIGKILL'));
    assert.equal(JSON.parse(await holder.line()).holds, path);
    await holder.end('SIGKILL');
    const { code, lines, stderr } = await new Program('short-program', path, false).end();
    assert.deepEqual([code, lines, stderr], [0, ['done'], '']);
  });
});

describe('the files of the local mode', { skip: process.platform === 'win32' && 'there are no modes' }, () => {
  async function mode(name: string): Promise<string> {
    return ((await stat(join(path, name))).mode & 0o777).toString(8);
  }

  it('are for the owner alone, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await open().ping();
    } finally {
      process.umask(before);
    }
    assert.deepEqual([await mode('sessions.redb'), await mode('key')], ['600', '600']);
  });

  for (const wide of [0o644, 0o640, 0o666, 0o777]) {
    it(`with sessions of mode ${wide.toString(8)} are for the owner alone once they are opened again`, async () => {
      const first = open();
      await first.set('sid', { user: 'Ada' });
      await first.close();
      await chmod(join(path, 'sessions.redb'), wide);
      assert.deepStrictEqual(await open().get('sid'), { user: 'Ada' });
      assert.equal(Number.parseInt(await mode('sessions.redb'), 8) & 0o077, 0);
    });
  }

  it('get no key with the modes of an unfinished one that was left or put there', async () => {
    await mkdir(path, { mode: 0o700 });
    await writeFile(join(path, 'key.new'), 'left by a crash', { mode: 0o666 });
    await chmod(join(path, 'key.new'), 0o666);
    const first = open();
    await first.set('sid', { user: 'Ada' });
    assert.equal(await mode('key'), '600');
    assert.deepEqual((await readdir(path)).sort(), ['.gitignore', 'key', 'sessions.redb']);
    await first.close();
    assert.deepStrictEqual(await open().get('sid'), { user: 'Ada' });
  });

  it('write no key to where an unfinished one leads', async () => {
    await mkdir(path, { mode: 0o700 });
    const elsewhere = join(parent, 'elsewhere');
    await writeFile(elsewhere, 'of somebody else');
    await symlink(elsewhere, join(path, 'key.new'));
    await open().set('sid', { user: 'Ada' });
    assert.equal(await readFile(elsewhere, 'utf8'), 'of somebody else');
    assert.equal((await readFile(join(path, 'key'))).length, 32);
    assert.equal(await mode('key'), '600');
  });

  it('are for the owner alone when they are made anew after the disk has failed', {
    skip: process.platform !== 'linux' && 'there is no prlimit to make writes fail',
  }, async (t) => {
    const writable = (size: string) => execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${size}:`]);
    const before = process.umask(0);
    t.after(() => process.umask(before));
    t.after(() => writable('unlimited'));
    const store = open();
    await store.set('sid', { user: 'Ada' });
    writable('0');
    await failing(store.set('sid', { user: 'Bob' }), 'ERR_DYNAMODB_UNAVAILABLE');
    await rm(join(path, 'sessions.redb'));
    writable('unlimited');
    await store.set('sid', { user: 'Eve' });
    assert.equal(await mode('sessions.redb'), '600');
  });
});
