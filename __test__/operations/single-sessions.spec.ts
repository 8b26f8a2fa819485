// `show`, `ls` and `destroy`: single sessions, and which of them.

import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { command, optionsOf } from '../support/command.ts';
import { fill, keyArn, numbered } from '../support/table-fill.ts';
import { TableItems } from '../support/table-items.ts';

const fingerprint = (id: string) => createHash('sha256').update(id).digest('hex').slice(0, 8);

for (const { name, start } of backends) {
  describe(`single sessions on ${name}`, () => {
    let backend: Backend;
    beforeEach(async () => {
      backend = await start();
    });
    afterEach(() => backend.stop());

    /** Fills the table, and lets other processes have the folder of local mode. */
    async function filled(work: (store: DynamoDBSessionStore) => Promise<unknown>) {
      const store = backend.store({ recordVersion: 2 });
      await work(store);
      await store.close();
    }
    const run = (args: string[]) => command([...args, ...optionsOf({ ...backend.config, recordVersion: 2 })]);

    it('shows what a record tells, and its content only if that is asked for', async () => {
      await filled((store) => store.set('SECRET-ID', { ...numbered(0), token: 'SECRET-TOKEN' } as any));
      const shown = await run(['show', 'SECRET-ID']);
      assert.equal(shown.status, 0, shown.stderr);
      assert.match(shown.stdout, new RegExp(`^session +${fingerprint('SECRET-ID')}$`, 'm'));
      assert.match(shown.stdout, /^version of the record +2$/m);
      assert.match(shown.stdout, /^ends +\d{4}-\d\d-\d\dT[\d:]+Z$/m);
      assert.match(shown.stdout, /^sealed until +\d{4}/m);
      assert.match(shown.stdout, /^up to date +yes$/m);
      assert.doesNotMatch(shown.stdout + shown.stderr, /SECRET/);
      const { recordVersion, ...withoutVersion } = backend.config as Record<string, unknown>;
      const unnamed = ['show', 'SECRET-ID', ...optionsOf(withoutVersion as any)];
      assert.doesNotMatch((await command(unnamed)).stdout, /up to date/, 'what the stores write is not known');
      assert.equal(JSON.parse((await command([...unnamed, '--json'])).stdout).upToDate, null);
      const json = JSON.parse((await run(['show', 'SECRET-ID', '--json'])).stdout);
      assert.equal(json.content, undefined);
      assert.ok(json.ttl * 1000 > Date.now() + 3_500_000 && json.notAfter > json.ttl);
      const revealed = await run(['show', 'SECRET-ID', '--reveal', '--json']);
      assert.equal(JSON.parse(JSON.parse(revealed.stdout).content).token, 'SECRET-TOKEN');
      const missing = await run(['show', 'elsewhere']);
      assert.deepEqual([missing.status, missing.stdout], [1, 'There is no such session.\n']);
    });

    it('takes an id that looks like an option', async () => {
      const ids = ['-abc', '--help', '-h'];
      await filled((store) => Promise.all(ids.map((id) => store.set(id, numbered(0)))));
      const options = optionsOf({ ...backend.config, recordVersion: 2 });
      for (const id of ids) {
        for (const name of ['show', 'destroy']) {
          const { status, stdout, stderr } = await command([name, ...options, '--', id]);
          assert.equal(status, 0, stderr);
          assert.doesNotMatch(stdout, /^Usage/);
        }
      }
      const { status, stderr } = await run(['destroy', '-abc']);
      assert.equal(status, 2);
      assert.match(stderr, /unknown option -a.*If SID begins with "-", put -- before it: destroy -- SID\n$/);
    });

    it('says that it is about a folder where the environment chose it', async () => {
      const { local } = backend.config as { local?: { path: string } };
      if (!local) return;
      const said = /^SESSIONS_LOCAL is set: this is about its folder, not about AWS\.$/m;
      const env = { SESSIONS_LOCAL: local.path };
      for (const args of [['ls'], ['destroy', '--all', '--dry-run'], ['doctor']]) {
        assert.match((await command(args, { env })).stderr, said);
        assert.doesNotMatch((await command([...args, '--local', local.path], { env })).stderr, said);
      }
      assert.equal((await command(['policy'], { env })).stderr, '');
    });

    it('tells the value of a cookie from an id that no session has', async () => {
      await filled((store) => store.set('an.id', numbered(0)));
      const signature = 'q2+/'.repeat(11).slice(0, 43);
      const escaped = encodeURIComponent(signature);
      const values = [
        `s:an.id.${signature}`,
        `s%3Aan.id.${escaped}`,
        `an.id.${signature}`,
        `an.id.${escaped}`,
        `x.${signature}=`,
      ];
      for (const name of ['show', 'destroy']) {
        for (const value of values) {
          const { status, stderr } = await run([name, value]);
          assert.equal(status, 1);
          assert.match(stderr, /^This looks like the value of a cookie\. The session id is what stands before the last dot/);
          assert.doesNotMatch(stderr, /an\.id/);
        }
        const unknown = await run([name, 'another.id']);
        assert.match(unknown.stderr, /^If there should be one: --table-name, --prefix and --hash-session-ids must be/);
        assert.equal((await run([name, 'an.id'])).stderr, '');
      }
    });

    it('prints no control characters of an id', async () => {
      const id = 'a\u001b[2Jb\u009b\n';
      await filled((store) => store.set(id, numbered(0)));
      const { stdout } = await run(['ls', '--ids']);
      assert.ok(stdout.startsWith('a\\u001b[2Jb\\u009b\\u000a  version 2'), JSON.stringify(stdout));
    });

    it('lists live sessions by their fingerprints', async () => {
      await filled((store) => fill(store, 30, 'SECRET-ID-'));
      const some = await run(['ls', '--limit', '10']);
      assert.equal(some.status, 0, some.stderr);
      assert.equal(some.stdout.split('\n').length, 12);
      assert.match(some.stdout, /\nThere are more; --limit N lists them\.\n$/);
      assert.doesNotMatch(some.stdout, /SECRET/);
      const all = JSON.parse((await run(['ls', '--json'])).stdout);
      const ids = Array.from({ length: 30 }, (_, number) => `SECRET-ID-${number}`);
      assert.deepEqual(all.sessions.map(({ session }: any) => session).sort(), ids.map(fingerprint).sort());
      assert.equal(all.more, false);
      const named = JSON.parse((await run(['ls', '--json', '--ids'])).stdout);
      assert.deepEqual(named.sessions.map(({ id }: any) => id).sort(), ids.sort());
    });

    it('destroys one session', async () => {
      await filled((store) => fill(store, 3));
      const destroyed = await run(['destroy', 'session-1']);
      assert.deepEqual([destroyed.status, destroyed.stdout], [0, 'The session was destroyed.\n'], destroyed.stderr);
      const again = await run(['destroy', 'session-1']);
      assert.deepEqual([again.status, again.stdout], [1, 'There is no such session.\n']);
      assert.deepEqual((await backend.store({ recordVersion: 2 }).ids()).sort(), ['session-0', 'session-2']);
    });

    it('asks for the secret by which the sessions of a user are found', async () => {
      for (const name of ['ls', 'destroy']) {
        const refused = await run([name, '--user', '7']);
        assert.equal(refused.status, 2);
        assert.match(refused.stderr, /--user needs --users-secret VARIABLE/);
      }
    });

    it('destroys many only if it is told to', async () => {
      const long = { cookie: { originalMaxAge: 86_400_000, expires: new Date(Date.now() + 86_400_000) } };
      await filled(async (store) => {
        await fill(store, 20);
        await store.set('long', long as any);
      });
      for (const [args, reason] of [
        [[], /which sessions\?/],
        [['sid', '--all'], /which sessions\?/],
        [['--all', '--ending-before', '2030-01-01'], /which sessions\?/],
        [['--all'], /see how many with --dry-run, then give --yes/],
        ...['tomorrow', '2030-02-30', '2030-01-01T00:00', '2030-01-01 00:00Z', '2030-01-01 (noon)'].map(
          (time) => [['--ending-before', time, '--yes'], /--ending-before takes a time with its zone/] as const,
        ),
      ] as const) {
        const refused = await run(['destroy', ...args]);
        assert.equal(refused.status, 2);
        assert.match(refused.stderr, reason);
      }
      const before = new Date(Date.now() + 7_200_000).toISOString();
      for (const [args, destroyed, kept] of [
        [['--ending-before', before, '--dry-run'], 20, 1],
        [['--ending-before', before, '--yes'], 20, 1],
        [['--all', '--yes'], 1, 0],
      ] as const) {
        const { status, stdout, stderr } = await run(['destroy', '--json', ...args]);
        assert.equal(status, 0, stderr);
        const report = JSON.parse(stdout);
        assert.deepEqual([report.destroyed, report.kept], [destroyed, kept]);
      }
      assert.deepEqual(await backend.store({ recordVersion: 2 }).ids(), []);
    });
  });
}

describe('single sessions on AWS servers', () => {
  let backend: AwsBackend;
  let items: TableItems;
  beforeEach(async () => {
    backend = await startAws(['--key-arn', keyArn('1'), '--key-arn', keyArn('2')]);
    items = new TableItems(backend.aws);
  });
  afterEach(async () => {
    items.close();
    await backend.stop();
  });
  const run = (args: string[]) => command([...args, ...optionsOf(backend.config)]);
  const keys = ['--kms-key-arn', keyArn('2'), '--kms-key-arn', keyArn('1')];

  it('have an end that is none if somebody wrote one', async () => {
    const store = backend.store({ recordVersion: 1, kmsKeyArn: keyArn('1') });
    await store.set('sid', numbered(0));
    const beyond = '1900000000000000'; // its record cannot be read
    for (const [ttl, args, code, shown] of [
      [beyond, ['ls'], 0, /ends +–$/m],
      [beyond, ['show', 'sid'], 1, /ends +–$/m],
      [`-${beyond}`, ['ls'], 0, /no live sessions/],
      [`-${beyond}`, ['show', 'sid'], 0, /ended +at second -1900000000000000$/m],
    ] as const) {
      await items.change('sid', { ttl: { N: ttl } });
      const { status, stdout, stderr } = await run([...args, ...keys]);
      assert.equal(status, code, stderr);
      assert.match(stdout, shown);
    }
  });

  it('leave the items of other applications alone', async () => {
    await items.put({ sessionId: { S: 'TOKEN#1' }, token: { S: 'x' } });
    for (const args of [
      ['show', 'TOKEN#1'],
      ['destroy', 'TOKEN#1'],
      ['destroy', '--all', '--yes'],
      ['ls', '--ids'],
    ]) {
      const { stdout, stderr } = await run([...args, ...keys]);
      assert.doesNotMatch(stdout, /TOKEN/, stderr);
      assert.ok(await items.get('TOKEN#1'), args.join(' '));
    }
  });

  it('show the KMS key, and a record that cannot be read', async () => {
    await backend.store({ recordVersion: 2, kmsKeyArn: keyArn('1') }).set('sid', numbered(1) as any);
    const shown = await run(['show', 'sid', '--json', '--record-version', '2', ...keys]);
    const { key, upToDate } = JSON.parse(shown.stdout);
    assert.deepEqual([key, upToDate], [keyArn('1'), false]);
    await items.change('sid', { encryptedData: { B: Buffer.alloc(50) } });
    const unreadable = await run(['show', 'sid', '--record-version', '2', ...keys]);
    assert.equal(unreadable.status, 1);
    assert.match(unreadable.stdout, /It cannot be read: ERR_INTEGRITY/);
    const destroyed = await run(['destroy', 'sid', ...keys]);
    assert.equal(destroyed.status, 0);
    assert.equal(await items.get('sid'), undefined);
  });

  it('have the fingerprints of the log where ids are hashed, too', async () => {
    const secret = 'a secret of the tests';
    const store = backend.store({ recordVersion: 2, kmsKeyArn: keyArn('2'), hashSessionIds: { secret } });
    await store.set('sid', numbered(1) as any);
    const hashed = ['--hash-session-ids-secret', 'IDS_SECRET', ...keys];
    const env = { IDS_SECRET: secret };
    const expected = createHmac('sha256', secret).update('sid').digest('hex').slice(0, 8);
    const shown = await command(['show', 'sid', '--json', ...optionsOf(backend.config), ...hashed], { env });
    assert.equal(JSON.parse(shown.stdout).session, expected, shown.stderr);
    const listed = await command(['ls', '--json', ...optionsOf(backend.config), ...hashed], { env });
    assert.equal(JSON.parse(listed.stdout).sessions[0].session, expected);
  });

  it('do not destroy what is used while many are destroyed', async () => {
    const store = backend.store({ recordVersion: 2, kmsKeyArn: keyArn('2') });
    const ids = await fill(store, 60);
    // They are removed one by one, slowly; meanwhile the last ones are used.
    const before = new Date(Date.now() + 7_200_000).toISOString();
    const removing = run([
      'destroy',
      '--ending-before',
      before,
      '--yes',
      '--write-units',
      '20',
      '--json',
      '--segments',
      '1',
      ...keys,
    ]);
    const later = new Date(Date.now() + 86_400_000);
    const used: string[] = [];
    for (const id of ids.slice(-10)) {
      const session: any = await store.get(id);
      if (!session) continue;
      session.cookie.expires = later;
      await store.touch(id, session);
      used.push(id);
    }
    const { status, stdout, stderr } = await removing;
    assert.equal(status, 0, stderr);
    assert.equal(JSON.parse(stdout).kept, used.length);
    assert.deepEqual((await store.ids()).sort(), used.sort());
    assert.ok(used.length > 0);
  });
});
