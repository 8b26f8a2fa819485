// Two Node.js processes on one table, as two instances of a gateway are.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { Program } from '../support/program.ts';
import { TableItems } from '../support/table-items.ts';

describe('two processes on one table', () => {
  let backend: AwsBackend;
  let items: TableItems;
  let programs: Program[];
  let origins: string[];
  let folder: string;
  let users = 0;

  before(async () => {
    backend = await startAws();
    items = new TableItems(backend.aws);
    folder = await mkdtemp(join(tmpdir(), 'two-processes-'));
    // Every request of a session moves its end, so that none is saved the work that might go wrong.
    programs = ['one', 'other'].map((name) => new Program('race-program', { ...backend.config, touchAfter: 0 }, name));
    origins = await Promise.all(programs.map((program) => program.line()));
  });
  after(async () => {
    const ends = await Promise.all((programs ?? []).map((program) => program.end('SIGTERM')));
    items?.close();
    await backend.stop();
    await rm(folder, { recursive: true });
    assert.deepEqual(
      ends.map(({ stderr }) => stderr),
      ['', ''],
      'the processes logged failures',
    );
  });

  /** The same user, once at each process. */
  let one: Browser;
  let other: Browser;
  let sid: string;

  beforeEach(async () => {
    [one, other] = origins.map((origin) => new Browser(origin));
    assert.equal((await one.post(`/login/user-${++users}`)).status, 200);
    for (const [name, value] of one.cookies) other.cookies.set(name, value);
    const { status, body } = await other.get('/me');
    assert.equal(status, 200);
    sid = body.sid;
  });

  /** Sends requests that have read the session and wait; they end when the function that this gives is called. */
  async function slow(browser: Browser, ...paths: string[]): Promise<() => Promise<void>> {
    const requests = paths.map((path) => browser.get(path));
    await browser.get(`/waiting/${paths.length}`);
    return async () => {
      await new Browser(browser.origin).post('/release');
      for (const { status } of await Promise.all(requests)) assert.equal(status, 200);
    };
  }

  it('a logout in one is final in the other, with slow requests under way', async () => {
    const finish = await slow(other, '/slow', '/slow?note=changed', '/slow');
    assert.equal((await one.post('/logout')).status, 200);
    await finish();
    assert.equal(await items.get(sid), undefined);
    for (const browser of [one, other]) assert.equal((await browser.get('/me')).status, 401);
  });

  it('a login that moved to another id in one does not come back under the old id in the other', async () => {
    const finish = await slow(other, '/slow', '/slow?note=changed');
    const { before, after } = (await one.post('/regenerate')).body;
    assert.equal(before, sid);
    await finish();
    assert.equal(await items.get(before), undefined);
    assert.ok(await items.get(after));
  });

  it('a request that changes nothing in one does not undo what the other has changed meanwhile', async () => {
    const finish = await slow(other, '/slow', '/slow');
    for (const visits of [1, 2, 3]) assert.deepEqual((await one.post('/visit')).body, { visits });
    await finish();
    for (const browser of [one, other]) assert.equal((await browser.get('/me')).body.visits, 3);
  });

  it('a storm of requests that change nothing in one loses none of the changes in the other', async () => {
    let visits = 0;
    const storm = async () => {
      while (visits < 20) assert.equal((await other.get('/nothing')).status, 200);
    };
    const changes = async () => {
      while (visits < 20) assert.deepEqual((await one.post('/visit')).body, { visits: ++visits });
    };
    await Promise.all([changes(), storm(), storm(), storm()]);
    assert.equal((await other.get('/me')).body.visits, 20);
  });

  it('of counters that both add to with update(), none is lost', async () => {
    const counts = await Promise.all([one, other].map((browser) => browser.post(`/count/${sid}/5/10`)));
    for (const { status, body } of counts) assert.equal(status, 200, JSON.stringify(body));
    assert.equal((await one.get('/me')).body.visits, 100);
  });

  it('of tasks under a lock that both run, no two run at a time', async () => {
    const file = join(folder, 'tasks');
    const path = `/lock/${sid}/10?file=${encodeURIComponent(file)}`;
    const locks = await Promise.all([one, other].map((browser) => browser.post(path)));
    for (const { status, body } of locks) assert.equal(status, 200, JSON.stringify(body));
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    assert.equal(lines.length, 2 * 2 * 10);
    for (let at = 0; at < lines.length; at += 2) {
      assert.match(lines[at], /^begin /);
      assert.equal(lines[at + 1], lines[at].replace('begin', 'end'));
    }
    assert.deepEqual(
      Object.keys(await items.all()).filter((key) => key.includes('lease')),
      [],
      'every lease was given back',
    );
  });
});
