// What the demo's page says of itself, tried: each of its buttons is pressed, and what changes is compared with what its card says.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DemoGateway } from '../support/demo-gateway.ts';

/** What the page watches, beside the process. */
const RECORD = [
  'sessionId',
  'encryptedData',
  'encryptedKey',
  'iv',
  'authTag',
  'ttl',
  'notAfter',
  'salt',
  'commit',
  'version',
  'user',
  'userEntry',
];

/** A page: the digests of what it watches, and what its cards say. */
interface Look {
  text: string;
  digests: Record<string, string>;
  cards: Record<string, { changes: string; stays: string }>;
}

describe("the demo's page", () => {
  let folder: string;
  let gateway: DemoGateway;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'demo-page-'));
    gateway = new DemoGateway({ SESSIONS_FOLDER: folder });
    await gateway.start();
    await gateway.login();
  });
  after(async () => {
    await gateway.kill();
    await rm(folder, { recursive: true });
  });

  async function look(): Promise<Look> {
    const text = await (await gateway.send('GET', '/')).text();
    const watched = [...text.matchAll(/data-watch="(\w+)" data-digest="(\w+)"/g)];
    const cards = [...text.matchAll(/<h3>(.*?)<\/h3>[\s\S]*?<dd class="moves">(.*?)<\/dd><dt>stays<\/dt><dd>(.*?)<\/dd>/g)];
    return {
      text,
      digests: Object.fromEntries(watched.map(([, name, digest]) => [name!, digest!])),
      cards: Object.fromEntries(cards.map(([, title, changes, stays]) => [title!, { changes: changes!, stays: stays! }])),
    };
  }

  /** What changed between two looks. */
  function changed(first: Look, second: Look): string[] {
    assert.deepEqual(Object.keys(second.digests), Object.keys(first.digests));
    return Object.keys(first.digests).filter((name) => first.digests[name] !== second.digests[name]);
  }

  const names = (list: string) => list.split(', ').sort();

  it('watches every attribute of the record', async () => {
    assert.deepEqual(Object.keys((await look()).digests), ['process', 'cookie', 'session', ...RECORD]);
  });

  it('says of Reload that nothing changes, and so it is', async () => {
    const first = await look();
    assert.deepEqual(first.cards.Reload, { changes: 'nothing', stays: 'everything' });
    assert.deepEqual(changed(first, await look()), []);
  });

  it('says of Touch what it does', { timeout: 300_000 }, async () => {
    const first = await look();
    const { changes, stays } = first.cards.Touch!;
    let second = first;
    // Within the first second, touchAfter holds it back.
    while (changed(first, second).length === 0) {
      await gateway.press('/touch');
      second = await look();
    }
    assert.deepEqual(changed(first, second), names(changes));
    for (const name of names(stays)) assert.equal(second.digests[name], first.digests[name], name);
  });

  it('shows on its page of calls what a button did, without requests in local mode', async () => {
    await gateway.press('/refresh');
    const page = (await (await gateway.send('GET', '/calls')).text()).replace(/<[^>]*>/g, '');
    assert.match(page, /In local mode, the table and the key are files, so no requests are sent/);
    assert.match(page, /refresh\s+[0-9a-f]{8}\s+renewed\s+none\s+cached\s+\d+\.\d ms/);
  });

  it('says of Refresh what it does', { timeout: 300_000 }, async () => {
    let first = await look();
    let second = first;
    const { changes, stays } = first.cards['Refresh the tokens']!;
    // To look is a request, too, and moves the end of the session after a second.
    do {
      first = await look();
      await gateway.press('/refresh');
      second = await look();
    } while (first.digests.ttl !== second.digests.ttl);
    // The latest end is counted anew at every write, and comes to the same within one second.
    const but = (list: string[]) => list.filter((name) => name !== 'notAfter').sort();
    assert.deepEqual(but(changed(first, second)), but(names(changes)));
    assert.deepEqual(
      but([...names(changes), ...names(stays), 'process', 'sessionId', 'version', 'user', 'userEntry']),
      but(Object.keys(first.digests)),
    );
  });

  it('says of the salt that it stays, as it does with every write under one data key', async () => {
    const { text } = await look();
    const about = /<dt>salt.*?<\/dt>\s*<dd class="about">(.*?)<\/dd>/s.exec(text)![1]!;
    assert.doesNotMatch(about, /every write/);
    const first = await look();
    for (let write = 0; write < 3; write++) await gateway.press('/refresh');
    const second = await look();
    assert.notEqual(second.digests.iv, first.digests.iv);
    for (const name of ['salt', 'commit', 'encryptedKey']) assert.equal(second.digests[name], first.digests[name], name);
  });

  it('says of Kill that only the process changes, and so it is', async () => {
    const first = await look();
    assert.deepEqual(first.cards['Kill the gateway'], { changes: 'process', stays: 'the session' });
    await gateway.send('POST', '/crash').catch(() => {});
    await gateway.kill();
    await gateway.start();
    assert.deepEqual(changed(first, await look()), ['process']);
  });

  it('says of another connection what it does, and no token is in the file of the table', { timeout: 300_000 }, async () => {
    const first = await look();
    assert.deepEqual(first.cards['Connect another service'], {
      changes: 'everything but version and user',
      stays: 'what you had connected',
    });
    let second: Look;
    do {
      await gateway.login('slack');
      second = await look();
    } while (second.digests.ttl === first.digests.ttl); // within one second
    const stay = ['process', 'version', 'user'];
    assert.deepEqual(
      changed(first, second),
      Object.keys(first.digests).filter((name) => !stay.includes(name)),
    );
    for (const service of ['Google', 'Slack']) assert.match(second.text, new RegExp(`class="chip">.*${service}`));
    const tokens = [...second.text.matchAll(/<mark>(.*?)<\/mark>/g)].map(([, token]) => token!);
    assert.ok(tokens.length >= 4);
    const file = await readFile(join(folder, 'sessions.redb'));
    for (const token of tokens) assert.ok(!file.includes(token), 'a token is in the file');
  });

  it('does not say that a thief finds no token, since it shows them', async () => {
    const { text } = await look();
    assert.match(text, /<mark>/);
    assert.doesNotMatch(text, /has no token to take/);
  });

  it('shows the end that the cookie has in the browser', async () => {
    // The session's own end moves with the clock at every request, the browser's does not.
    for (const until = Date.now() + 2100; Date.now() < until; ) await look();
    const { text } = await look();
    const shown = Date.parse(`${/<dt>Expires<\/dt><dd>(.*?) UTC<\/dd>/.exec(text)![1]!.replace(' ', 'T')}Z`);
    assert.ok(Math.abs(shown - gateway.cookieEnds) <= 1000, `${new Date(shown)} is not ${new Date(gateway.cookieEnds)}`);
  });

  it('asks the provider once if many requests refresh the tokens at the same time', async () => {
    const first = await look();
    // The provider refuses a refresh token that comes again, which would be a 500.
    await Promise.all(Array.from({ length: 12 }, () => gateway.press('/refresh')));
    assert.ok(changed(first, await look()).includes('session'));
  });

  it('lets one of two requests with the same login through', async () => {
    const asked = await gateway.send('GET', '/login?service=google');
    const consent = await gateway.send('POST', asked.headers.get('location')!, { service: 'google', decision: 'allow' });
    const { pathname, search } = new URL(consent.headers.get('location')!);
    const answers = await Promise.all([gateway.send('GET', `${pathname}${search}`), gateway.send('GET', `${pathname}${search}`)]);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [303, 400]);
  });

  it('gives a client without a cookie a token that ends with the session', async () => {
    const first = await look();
    assert.deepEqual(first.cards['Call without a cookie'], { changes: 'nothing', stays: 'everything' });
    const page = (await (await gateway.send('POST', '/bearer')).json()) as { token: string };
    const withToken = (token: string) => fetch(new URL('/me', gateway.origin), { headers: { authorization: `Bearer ${token}` } });
    const { user } = (await (await withToken(page.token)).json()) as any;
    assert.equal(user.name, 'Ada Lovelace');
    assert.equal((await withToken(`${page.token}x`)).status, 401);
    assert.ok(!(await readFile(join(folder, 'sessions.redb'))).includes(page.token), 'the token is in the file');
    assert.deepEqual(changed(first, await look()), []);
    const kept = new Map(gateway.cookies);
    await gateway.press('/logout');
    assert.equal((await withToken(page.token)).status, 401);
    for (const [name, value] of kept) gateway.cookies.set(name, value);
    await gateway.login();
  });

  /** Signs in with another browser. @returns its cookies. */
  async function loginElsewhere(): Promise<Map<string, string>> {
    const here = new Map(gateway.cookies);
    gateway.cookies.clear();
    await gateway.login();
    const there = new Map(gateway.cookies);
    gateway.cookies.clear();
    for (const [name, value] of here) gateway.cookies.set(name, value);
    return there;
  }

  async function statusOf(browser: Map<string, string>): Promise<number> {
    const cookie = [...browser].map(([name, value]) => `${name}=${value}`).join('; ');
    return (await fetch(new URL('/me', gateway.origin), { headers: { cookie } })).status;
  }

  const sessionsOn = ({ text }: Look) => [...text.matchAll(/<li><span><b>([^<]*)<\/b>.*?<\/li>/gs)].map(([entry]) => entry);

  it('lists the sessions of the user without their ids, and ends one of them from another browser', async () => {
    const first = await look();
    assert.equal(sessionsOn(first).length, 1);
    assert.match(sessionsOn(first)[0]!, /this one/);
    const [there, stays] = [await loginElsewhere(), await loginElsewhere()];
    const second = await look();
    assert.equal(sessionsOn(second).length, 3);
    for (const browser of [there, stays]) {
      const id = decodeURIComponent(browser.get('gateway.sid')!).split('.')[0]!;
      assert.ok(!second.text.includes(id), 'the page has the id of another session');
    }
    const ends = [...second.text.matchAll(/action="(\/sessions\/[\w-]{43}\/end)"/g)].map(([, path]) => path!);
    assert.equal(ends.length, 2);
    await gateway.press(ends[1]!); // the one that signed in earlier
    assert.deepEqual([await statusOf(there), await statusOf(stays), await statusOf(gateway.cookies)], [401, 200, 200]);
    for (const unknown of [ends[1]!, '/sessions/x/end']) await gateway.press(unknown);
    assert.equal(sessionsOn(await look()).length, 2);
    assert.deepEqual(changed(first, await look()), []);
    await gateway.press('/sessions/end-others');
  });

  it('says of Log out everywhere else what it does, also after a restart', async () => {
    const others = [await loginElsewhere(), await loginElsewhere()];
    await gateway.kill();
    await gateway.start();
    const first = await look();
    assert.deepEqual(first.cards['Log out everywhere else'], { changes: 'your other sessions are gone', stays: 'this session' });
    const { token } = (await (await gateway.send('POST', '/bearer')).json()) as { token: string };
    await gateway.press('/sessions/end-others');
    for (const other of others) assert.equal(await statusOf(other), 401);
    assert.deepEqual(changed(first, await look()), []);
    assert.equal(sessionsOn(await look()).length, 1);
    const reply = await fetch(new URL('/me', gateway.origin), { headers: { authorization: `Bearer ${token}` } });
    assert.equal(reply.status, 200);
  });

  it('shows at most a few of many sessions', async () => {
    for (let login = 0; login < 7; login++) await loginElsewhere();
    const { text } = await look();
    assert.equal([...text.matchAll(/<li><span><b>/g)].length, 6);
    assert.match(text, /and 2 more/);
    await gateway.press('/sessions/end-others');
  });

  it('says of Log out that the record is gone and the cookie opens nothing, and so it is', async () => {
    const first = await look();
    assert.deepEqual(first.cards['Log out'], { changes: 'the record is gone', stays: 'nothing' });
    const copied = new Map(gateway.cookies);
    await gateway.press('/logout');
    for (const [name, value] of copied) gateway.cookies.set(name, value);
    const { text } = await look();
    assert.match(text, /Sign in with a simulated provider/);
    assert.deepEqual((await look()).digests.sessionId, undefined);
  });
});
