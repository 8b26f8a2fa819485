// What holds of a login behind both frameworks: regenerate, reload and save of the session object, and cookies that are wrong.

import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { Browser } from './browser.ts';
import { COOKIE } from './express-app.ts';

/** Declares the tests, each on an application and a store of its own. */
export function itKeepsLogins(serve: (t: TestContext) => Promise<{ origin: string; store: DynamoDBSessionStore }>): void {
  it('regenerate moves the login to another id, and the old id is worth nothing', async (t) => {
    const { origin, store } = await serve(t);
    const browser = new Browser(origin);
    await browser.post('/login/ada');
    const thief = new Browser(origin);
    for (const [key, value] of browser.cookies) thief.cookies.set(key, value);
    assert.equal((await thief.get('/me')).status, 200);
    const { before, after } = (await browser.post('/regenerate')).body;
    assert.notEqual(before, after);
    const { body } = await browser.get('/me');
    assert.deepEqual([body.user, body.tokens, body.sid], ['ada', undefined, after]);
    assert.equal((await thief.get('/me')).status, 401);
    assert.deepEqual(await store.ids(), [after]);
  });

  it('reload drops what was not saved', async (t) => {
    const browser = new Browser((await serve(t)).origin);
    await browser.post('/login/ada');
    assert.deepEqual((await browser.post('/reload')).body, { user: 'ada' });
    assert.equal((await browser.get('/me')).body.user, 'ada');
  });

  it('save in the middle of a request is in the table at once', async (t) => {
    const browser = new Browser((await serve(t)).origin);
    await browser.post('/login/ada');
    assert.deepEqual((await browser.post('/save')).body, { stored: 'saved in the middle' });
    assert.equal((await browser.get('/me')).body.note, 'saved at the end');
  });

  it('a cookie that was changed or that the table does not know is a new session', async (t) => {
    const { origin, store } = await serve(t);
    const browser = new Browser(origin);
    await browser.post('/login/ada');
    const [cookie, sid] = [browser.cookies.get(COOKIE)!, (await store.ids())[0]!];
    for (const wrong of [`${cookie.slice(0, -3)}AAA`, `x${cookie}`, sid, 's%3A', 'x', '..%2F..%2Fetc%2Fpasswd']) {
      browser.cookies.set(COOKIE, wrong);
      assert.equal((await browser.get('/me')).status, 401, wrong);
    }
    browser.cookies.set(COOKIE, cookie);
    assert.equal((await browser.get('/me')).status, 200);
    await store.destroy(sid);
    assert.equal((await browser.get('/me')).status, 401);
    await browser.post('/login/bob');
    assert.notEqual(browser.cookies.get(COOKIE), cookie);
    assert.equal((await browser.get('/me')).body.user, 'bob');
    assert.equal((await store.ids()).length, 1);
  });
}
