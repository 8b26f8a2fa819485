// `import`: the sessions of other stores, without logging anybody out.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { command, installed, optionsOf } from '../support/command.ts';
import { oldStores, promises } from '../support/old-stores.ts';
import { Random } from '../support/random.ts';
import { TableItems } from '../support/table-items.ts';

const require = createRequire(import.meta.url);
const express = require('express');
const session = require('express-session');

/** An application that says who is logged in. */
async function startApp(store: any) {
  const app = express();
  const cookie = { maxAge: 3_600_000 };
  app.use(session({ store, secret: 'a secret', resave: false, saveUninitialized: false, cookie }));
  app.get('/login/:user', (request: any, response: any) => {
    request.session.user = { id: request.params.user };
    response.json({ user: request.params.user });
  });
  app.get('/logout', (request: any, response: any) => request.session.destroy(() => response.json({})));
  app.get('/', (request: any, response: any) => response.json({ user: request.session.user?.id ?? null }));
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref(); // a test that fails does not stop it
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    async login(user: string): Promise<string> {
      const response = await fetch(`${origin}/login/${user}`);
      return response.headers.getSetCookie()[0].split(';')[0];
    },
    async user(cookie: string): Promise<string | null> {
      const { user }: any = await (await fetch(origin, { headers: { cookie } })).json();
      return user;
    },
    logout: (cookie: string) => fetch(`${origin}/logout`, { headers: { cookie } }),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The session id in a signed cookie. */
const sidOf = (cookie: string) => /=s%3A([^.]+)\./.exec(cookie)![1];

/** The class on the page, as somebody would copy it. */
async function movingStore(): Promise<any> {
  const page = await readFile(new URL('../../docs/moving-in.md', import.meta.url), 'utf8');
  const block = /```js\n(.*?class MovingStore.*?)```/s.exec(page)![1];
  return new Function('require', `${block}\nreturn MovingStore;`)(require);
}

for (const old of oldStores) {
  describe(`import from ${old.name}`, () => {
    let backend: AwsBackend;
    let before: any;
    let store: ReturnType<typeof promises>;
    beforeEach(async () => {
      backend = await startAws();
      before = await old.open(backend.aws, 'old');
      store = promises(before);
    });
    afterEach(() => backend.stop());

    const from = ['--from', old.name, '--from-table', 'old'];
    const imported = async (args: string[] = []) => {
      const run = await command(['import', '--json', ...from, ...optionsOf(backend.config), ...args]);
      return { ...run, report: run.stdout === '' ? undefined : JSON.parse(run.stdout) };
    };
    const counts = ({ report }: any) => [report.imported, report.alreadyThere, report.ended, report.left.count];

    it('keeps everybody logged in', async () => {
      const app = await startApp(before);
      const cookies = await Promise.all(['ada', 'bob', 'cy', 'dee'].map((user) => app.login(user)));
      await app.stop();
      const dry = await imported(['--dry-run']);
      assert.deepEqual(counts(dry), [4, 0, 0, 0], dry.stderr);
      const now = backend.store({ recordVersion: 2, acceptVersions: [2] });
      assert.equal(await now.length(), 0);
      const run = await imported();
      assert.equal(run.status, 0, run.stderr);
      assert.deepEqual(counts(run), [4, 0, 0, 0]);
      const after = await startApp(now);
      assert.deepEqual(await Promise.all(cookies.map(after.user)), ['ada', 'bob', 'cy', 'dee']);
      for (const cookie of cookies) {
        const { cookie: kept }: any = await now.get(sidOf(cookie));
        const left = new Date(kept.expires).getTime() - Date.now();
        assert.ok(left > 3_400_000 && left <= 3_600_000, `${left} ms`);
        // express-session sometimes loses a millisecond.
        assert.deepEqual([Math.ceil(kept.originalMaxAge / 100), kept.httpOnly, kept.path], [36_000, true, '/']);
      }
      await after.stop();
    });

    it('never replaces what the store has, and leaves out what has ended', async () => {
      const lives = (seconds: number) => ({ originalMaxAge: seconds * 1000, expires: new Date(Date.now() + seconds * 1000) });
      const saved = (seconds: number, text: string) => {
        const cookie = lives(seconds);
        return { cookie: { ...cookie, maxAge: cookie.originalMaxAge, toJSON: undefined }, text };
      };
      for (const id of ['a', 'b', 'c']) await store.set(id, saved(3600, 'old'));
      await store.set('ended', saved(-60, 'old'));
      const now = backend.store({ recordVersion: 2 });
      await now.set('b', { cookie: lives(3600), text: 'new' } as any);
      assert.deepEqual(counts(await imported()), [2, 1, 1, 0]);
      assert.deepEqual(counts(await imported()), [0, 3, 1, 0]);
      assert.deepEqual(await Promise.all(['a', 'b', 'c', 'ended'].map(async (id) => ((await now.get(id)) as any)?.text)), [
        'old',
        'new',
        'old',
        undefined,
      ]);
    });

    it('goes on after it was killed', async () => {
      for (let number = 0; number < 60; number++) {
        await store.set(`id-${number}`, { cookie: { maxAge: 3_600_000, originalMaxAge: 3_600_000 }, number });
      }
      const puts = async () => (await backend.aws.calls())['dynamodb:PutItem'] ?? 0;
      for (let kill = 0; kill < 3; kill++) {
        const enough = (await puts()) + 5;
        const killed = command(['import', ...from, ...optionsOf(backend.config), '--write-units', '40'], {
          started: async (child) => {
            while (child.exitCode === null && (await puts()) < enough) await pause(5);
            child.kill('SIGKILL');
          },
        });
        assert.equal((await killed).signal, 'SIGKILL');
      }
      const last = await imported();
      assert.equal(last.status, 0, last.stderr);
      assert.ok(last.report.alreadyThere >= 12);
      assert.equal(last.report.imported + last.report.alreadyThere, 60);
      const now = backend.store({ recordVersion: 2 });
      for (let number = 0; number < 60; number++) assert.equal(((await now.get(`id-${number}`)) as any).number, number);
    });

    it('goes beside an application that reads through', async () => {
      const MovingStore = await movingStore();
      const old = await startApp(before);
      const users = Array.from({ length: 60 }, (_, number) => `user-${number}`);
      const cookies = await Promise.all(users.map((user) => old.login(user)));
      await old.stop();
      const moving = new MovingStore({ ...backend.config, recordVersion: 2, logger: { warn() {}, debug() {} } }, before);
      const app = await startApp(moving);
      const random = new Random(3);
      const gone = new Set<number>();
      const run = imported(['--write-units', '30']);
      let over = false;
      void run.finally(() => {
        over = true;
      });
      while (!over) {
        const number = random.whole(0, users.length - 1);
        if (gone.size < 30 && random.chance(0.3)) {
          await app.logout(cookies[number]);
          gone.add(number);
        } else {
          assert.equal(await app.user(cookies[number]), gone.has(number) ? null : users[number]);
        }
      }
      const { status, report, stderr } = await run;
      assert.equal(status, 0, stderr);
      assert.ok(report.imported > 0 && gone.size > 5);
      const now = backend.store({ recordVersion: 2 });
      const alone = await startApp(now);
      for (const [number, user] of users.entries()) {
        assert.equal(await alone.user(cookies[number]), gone.has(number) ? null : user);
      }
      await alone.stop();
      await app.stop();
      await moving.close();
    });

    it('puts sessions onto the lists of their users', async () => {
      for (const id of ['a', 'b', 'c']) {
        const cookie = { maxAge: 3_600_000, originalMaxAge: 3_600_000 };
        await store.set(id, { cookie, user: id === 'c' ? undefined : { id: 7 } });
      }
      const env = { USERS_SECRET: 'a secret of the tests' };
      const args = ['import', '--json', ...from, ...optionsOf(backend.config), '--users-secret', 'USERS_SECRET'];
      const half = await command(args, { env });
      assert.equal(half.status, 2);
      assert.match(half.stderr, /--id-of and --users-secret go together/);
      const run = await command([...args, '--id-of', 'user.id'], { env });
      assert.equal(run.status, 0, run.stderr);
      const now = backend.store({ recordVersion: 2, users: { idOf: 'user.id', secret: env.USERS_SECRET } });
      assert.deepEqual((await now.sessionsOf(7)).map(({ id }) => id).sort(), ['a', 'b']);
      const users = ['--users-secret', 'USERS_SECRET', '--user', '7', ...optionsOf({ ...backend.config, recordVersion: 2 })];
      const listed = await command(['ls', '--ids', '--json', '--id-of', 'user.id', ...users], { env });
      assert.deepEqual(
        JSON.parse(listed.stdout)
          .sessions.map(({ id }: any) => id)
          .sort(),
        ['a', 'b'],
        listed.stderr,
      );
      const destroyed = await command(['destroy', '--json', ...users], { env });
      assert.deepEqual(JSON.parse(destroyed.stdout), { destroyed: 2 }, destroyed.stderr);
      assert.deepEqual(await now.ids(), ['c']);
      // With another secret, a user who is logged in has no sessions: that is not to be taken for a logout.
      for (const name of ['ls', 'destroy']) {
        const { stderr } = await command([name, ...users], { env: { USERS_SECRET: 'not that of the store' } });
        assert.match(stderr, /^No session of this user was found\..+--users-secret, --prefix and --table-name must be/);
      }
    });
  });
}

describe('import of a table', () => {
  let backend: AwsBackend;
  beforeEach(async () => {
    backend = await startAws();
  });
  afterEach(() => backend.stop());
  const run = (args: string[]) => command(['import', ...optionsOf(backend.config), ...args]);

  it('does not bring back a session that is destroyed while it is taken over', async () => {
    const old = promises(await oldStores[0].open(backend.aws, 'old'));
    await old.set('sid', { cookie: { maxAge: 3_600_000 } });
    await backend.aws.reset();
    // The session is read from the old table, and then the write has to wait.
    await backend.aws.fault({ action: 'dynamodb:PutItem', status: 400, code: 'ThrottlingException', message: 'slow', times: 7 });
    const importing = run(['--json', '--from', 'connect-dynamodb', '--from-table', 'old']);
    while (!(await backend.aws.calls())['dynamodb:PutItem']) await pause(5);
    await old.destroy('sid');
    const { status, stdout, stderr } = await importing;
    assert.equal(status, 0, stderr);
    assert.equal(JSON.parse(stdout).gone, 1);
    assert.deepEqual(await backend.store({ recordVersion: 2 }).ids(), []);
  });

  it('refuses what it does not know before it writes', async () => {
    const items = new TableItems(backend.aws);
    await items.createTable('of-another-application', 'pk');
    items.close();
    for (const [args, status, reason] of [
      [[], 2, /import what\?/],
      [['--from', 'connect-redis'], 2, /--from takes connect-dynamodb or dynamodb-store/],
      [['--from', 'connect-dynamodb', '--from-table', 'sessions'], 2, /are the same table/],
      [
        ['--from', 'connect-dynamodb', '--from-table', 'elsewhere'],
        3,
        /ERR_TABLE_NOT_FOUND: elsewhere, the table to import, .*; correct --from-table or --region/,
      ],
      [['--from', 'connect-dynamodb', '--from-table', 'of-another-application'], 3, /its partition key is not id alone/],
      [['nowhere.jsonl'], 2, /no such file: nowhere\.jsonl/],
    ] as const) {
      const refused = await run([...args]);
      assert.equal(refused.status, status, refused.stdout + refused.stderr);
      assert.match(refused.stderr, reason);
    }
    assert.equal((await backend.aws.calls())['dynamodb:PutItem'], undefined);
  });
});

for (const { name, start } of backends) {
  describe(`import of JSON lines on ${name}`, () => {
    let backend: Backend;
    let folder: string;
    beforeEach(async () => {
      backend = await start();
      folder = await mkdtemp(join(tmpdir(), 'lines-'));
    });
    afterEach(async () => {
      await backend.stop();
      await rm(folder, { recursive: true });
    });

    const seconds = Math.floor(Date.now() / 1000) + 3600;
    const line = (sid: string, session: unknown, expires?: unknown) => JSON.stringify({ sid, session, expires });

    it('takes files and pipes, and names the lines that it cannot take', async () => {
      const lines = Array.from({ length: 450 }, (_, number) => line(`SECRET-${number}`, { cookie: {}, number }, seconds));
      const path = join(folder, 'sessions.jsonl');
      await writeFile(
        path,
        [
          ...lines,
          '',
          line('text', JSON.stringify({ cookie: {}, number: 450 }), seconds + 0.5),
          line('of-cookie', { cookie: { expires: new Date((seconds + 60) * 1000) }, number: 451 }),
          line('ended', { cookie: {} }, 1_000_000_000),
          line('x'.repeat(3000), { cookie: {} }, seconds),
          line('large', { text: 'x'.repeat(450_000) }, seconds),
          line('SECRET-list', [1], seconds),
          line('SECRET-end', {}, 'soon'),
          'nonsense',
          '{"sid": "SECRET-',
        ].join('\n'),
      );
      const run = await command(['import', path, '--json', ...optionsOf(backend.config)]);
      assert.equal(run.status, 1, run.stderr);
      const report = JSON.parse(run.stdout);
      assert.deepEqual([report.imported, report.ended, report.left.count], [452, 1, 6]);
      const codes = report.left.first.map(({ code }: any) => code).sort();
      const unusable = ['ERR_CONFIG', 'ERR_SERIALIZATION', 'ERR_SERIALIZATION', 'ERR_SERIALIZATION', 'ERR_SERIALIZATION'];
      assert.deepEqual(codes, [...unusable, 'ERR_SESSION_TOO_LARGE']);
      const unread = report.left.first.filter(({ code }: any) => code === 'ERR_SERIALIZATION').map(({ session }: any) => session);
      assert.deepEqual(unread.sort(), ['line 457', 'line 458', 'line 459', 'line 460']);
      assert.doesNotMatch(run.stdout + run.stderr, /SECRET/);
      const again = await command(['import', path, '--json', ...optionsOf(backend.config)]);
      assert.deepEqual([JSON.parse(again.stdout).imported, JSON.parse(again.stdout).alreadyThere], [0, 452]);
      const store = backend.store({ recordVersion: 2, acceptVersions: [2] });
      for (const number of [0, 199, 200, 449]) assert.equal(((await store.get(`SECRET-${number}`)) as any).number, number);
      assert.equal(((await store.get('text')) as any).number, 450);
      const ends = async (sid: string) => (await store.record(sid))!.ttl;
      assert.deepEqual(
        [await ends('SECRET-0'), await ends('text'), await ends('of-cookie')],
        [seconds, seconds + 1, seconds + 60],
      );
      await store.close();

      const bin = join(installed, 'lib/cli/main.js');
      const child = spawn(process.execPath, [bin, 'import', '-', '--json', ...optionsOf(backend.config)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      child.stdin.end(`${line('piped', { cookie: {} }, seconds)}\n${lines[0]}\n`);
      const [output] = await Promise.all([child.stdout.setEncoding('utf8').toArray(), once(child, 'close')]);
      const piped = JSON.parse(output.join(''));
      assert.deepEqual([piped.imported, piped.alreadyThere], [1, 1]);
    });
  });
}
