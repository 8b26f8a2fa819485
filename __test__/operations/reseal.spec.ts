// `reseal`: moves every session to another version or KMS key, while the application goes on.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { DynamoDBSessionStore, SessionStoreConfig } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { command, optionsOf, type Run } from '../support/command.ts';
import { Random } from '../support/random.ts';
import { fill, keyArn } from '../support/table-fill.ts';
import { TableItems } from '../support/table-items.ts';

const [OLD, NEW] = [keyArn('1'), keyArn('2')];
const BOTH = ['--record-version', '2', '--kms-key-arn', NEW, '--kms-key-arn', OLD];

for (const { name, start } of backends) {
  describe(`reseal on ${name}`, () => {
    let backend: Backend;
    beforeEach(async () => {
      backend = await start();
    });
    afterEach(() => backend.stop());

    it('moves every session to the version that it is told', async () => {
      const before = backend.store({ recordVersion: 1 });
      const ids = await fill(before, 40);
      await before.close();
      const reseal = (args: string[]) => command(['reseal', '--json', ...optionsOf(backend.config), ...args]);
      const missing = await reseal([]);
      assert.equal(missing.status, 2);
      assert.match(missing.stderr, /--record-version is missing/);
      for (const [args, moved, upToDate] of [
        [['--dry-run'], 40, 0],
        [[], 40, 0],
        [[], 0, 40],
      ] as const) {
        const { status, stdout, stderr } = await reseal(['--record-version', '2', ...args]);
        assert.equal(status, 0, stderr);
        const report = JSON.parse(stdout);
        assert.deepEqual([report.moved, report.upToDate, report.left.count], [moved, upToDate, 0]);
        assert.equal(report.writeUnits >= 40, moved > 0 && args.length === 0);
      }
      const after = backend.store({ recordVersion: 2, acceptVersions: [2] });
      for (const [number, id] of ids.entries()) assert.equal(((await after.get(id)) as any).number, number);
    });
  });
}

describe('reseal on AWS servers', () => {
  let backend: AwsBackend;
  let items: TableItems;
  beforeEach(async () => {
    backend = await startAws(['--key-arn', OLD, '--key-arn', NEW]);
    items = new TableItems(backend.aws);
  });
  afterEach(async () => {
    items.close();
    await backend.stop();
  });

  const puts = async () => (await backend.aws.calls())['dynamodb:PutItem'] ?? 0;

  /** Runs reseal, and does something to it when it has written so many sessions more. */
  async function interrupted(args: string[], more: number, interrupt: (child: ChildProcess) => unknown): Promise<Run> {
    const enough = (await puts()) + more;
    let child: ChildProcess | undefined;
    const started = (process: ChildProcess) => {
      child = process;
    };
    let ended = false;
    const run = command(['reseal', ...optionsOf(backend.config), ...args], { started });
    void run.finally(() => {
      ended = true;
    });
    while (!ended && (await puts()) < enough) await pause(5);
    if (!ended) await interrupt(child!);
    return run;
  }

  it('is repeated after it was killed a dozen times, and seals every session once', async () => {
    const ids = await fill(backend.store({ recordVersion: 2, kmsKeyArn: OLD }), 300);
    const before = await items.all();
    await backend.aws.reset();
    const random = new Random(19);
    for (let kill = 0; kill < 12; kill++) {
      const run = await interrupted([...BOTH, '--write-units', '300'], 1 + random.whole(0, 19), (child) => child.kill('SIGKILL'));
      assert.equal(run.signal, 'SIGKILL', `run ${kill} was over before it was killed: ${run.stdout}${run.stderr}`);
    }
    const written = await puts();
    const last = await command(['reseal', '--json', ...optionsOf(backend.config), ...BOTH]);
    assert.equal(last.status, 0, last.stderr);
    const report = JSON.parse(last.stdout);
    assert.equal(report.moved + report.upToDate, 300);
    assert.ok(report.upToDate > 0 && report.moved > 0);
    // A run that is killed can have sent writes that the table did not take.
    assert.ok(report.upToDate <= written && written <= report.upToDate + 12 * 32, `${written} writes, ${report.upToDate} moved`);
    const after = await items.all();
    assert.deepEqual(Object.keys(after).sort(), Object.keys(before).sort());
    for (const id of ids) {
      assert.deepEqual([after[id].ttl, after[id].notAfter], [before[id].ttl, before[id].notAfter]);
      assert.notDeepEqual(after[id].encryptedKey, before[id].encryptedKey);
    }
    const surveyed = await command(['survey', '--verify', '--json', ...optionsOf(backend.config), ...BOTH]);
    assert.deepEqual(JSON.parse(surveyed.stdout).byKey, { [NEW]: 300 });
    const alone = backend.store({ recordVersion: 2, kmsKeyArn: NEW });
    for (const [number, id] of ids.entries()) assert.equal(((await alone.get(id)) as any).number, number);
  });

  it('says how to go on after it was interrupted', async () => {
    await fill(backend.store({ recordVersion: 2, kmsKeyArn: OLD }), 100);
    await backend.aws.reset();
    const run = await interrupted([...BOTH, '--write-units', '60'], 5, (child) => child.kill('SIGINT'));
    assert.equal(run.status, 130, run.stderr);
    assert.match(run.stderr, /Stopped\. Run the same command again to go on/);
    const moved = Number(/^moved +(\d+)$/m.exec(run.stdout)![1]);
    assert.ok(moved >= 5 && moved < 100);
    assert.equal(await puts(), moved);
  });

  it('ends with what was done when the credentials expire', async () => {
    await fill(backend.store({ recordVersion: 2, kmsKeyArn: OLD }), 100);
    await backend.aws.reset();
    const expire = () =>
      backend.aws.fault({ action: 'dynamodb:*', status: 400, code: 'ExpiredTokenException', message: 'expired' });
    const run = await interrupted([...BOTH, '--json', '--write-units', '60'], 5, expire);
    assert.equal(run.status, 3, run.stderr);
    assert.match(run.stderr, /ERR_CREDENTIALS/);
    assert.match(run.stderr, /Run the same command again to go on/);
    const { moved, failed } = JSON.parse(run.stdout);
    assert.ok(moved >= 4 && moved < 100, `${moved}`);
    assert.equal(failed.code, 'ERR_CREDENTIALS');
  });

  it('waits while it is throttled', async () => {
    await fill(backend.store({ recordVersion: 2, kmsKeyArn: OLD }), 20);
    for (const action of ['dynamodb:PutItem', 'kms:Decrypt', 'kms:GenerateDataKey']) {
      await backend.aws.fault({ action, status: 400, code: 'ThrottlingException', message: 'slow down', times: 8 });
    }
    const { status, stdout, stderr } = await command(['reseal', '--json', ...optionsOf(backend.config), ...BOTH]);
    assert.equal(status, 0, stderr);
    assert.equal(JSON.parse(stdout).moved, 20);
  });

  it('writes nothing to a table of another application, or under a key that it cannot use', async () => {
    await fill(backend.store({ recordVersion: 2, kmsKeyArn: OLD }), 3);
    await backend.aws.reset();
    await backend.aws.fault({ action: 'kms:GenerateDataKey', status: 400, code: 'DisabledException', message: 'disabled' });
    const disabled = await command(['reseal', ...optionsOf(backend.config), ...BOTH]);
    assert.equal(disabled.status, 3);
    assert.match(disabled.stderr, /ERR_KMS_KEY_UNUSABLE/);
    await backend.aws.clearFaults();
    await items.createTable('of-another-application', 'id');
    const other = { ...backend.config, tableName: 'of-another-application' };
    const refused = await command(['reseal', ...optionsOf(other), ...BOTH]);
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, /ERR_TABLE_SCHEMA/);
    assert.equal(await puts(), 0);
  });

  it('names what it cannot move, and leaves it as it is', async () => {
    const [forged] = await fill(backend.store({ recordVersion: 2, kmsKeyArn: OLD }), 3, 'SECRET-ID-');
    await items.change(forged, { encryptedData: { B: Buffer.alloc(50) } });
    const before = await items.get(forged);
    const { status, stdout } = await command(['reseal', ...optionsOf(backend.config), ...BOTH]);
    assert.equal(status, 1);
    assert.match(stdout, /^moved +2$/m);
    assert.match(stdout, /^could not be moved +1\n {2}[0-9a-f]{8} {2}ERR_INTEGRITY$/m);
    assert.doesNotMatch(stdout, /SECRET/);
    assert.deepEqual(await items.get(forged), before);
  });

  it('goes beside an application that saves, touches and destroys', async (t) => {
    const options: SessionStoreConfig = { recordVersion: 2, kmsKeyArn: [NEW, OLD], onConflict: 'error', touchAfter: 0 };
    const ids = await fill(backend.store({ recordVersion: 1, kmsKeyArn: OLD }), 240);
    const stores = [backend.store(options), backend.store(options)];
    const conflicts: unknown[] = [];
    for (const store of stores) store.on('conflict', (event) => void conflicts.push(event));
    const random = new Random(7);
    const expected = new Map<string, number | undefined>(ids.map((id, number) => [id, number]));
    let calls = 0;
    let over = false;
    /** A caller with sessions of its own: nobody else changes them but reseal. */
    async function caller(own: string[], store: DynamoDBSessionStore) {
      while (!over) {
        const id = random.pick(own);
        const session: any = await store.get(id);
        calls++;
        if (expected.get(id) === undefined) {
          assert.equal(session, null, 'a session that was destroyed came back');
          continue;
        }
        assert.equal(session?.number, expected.get(id), 'a save was lost');
        await pause(random.whole(0, 3)); // reseal comes in between
        const action = random.whole(0, 9);
        if (action === 0) {
          await store.destroy(id);
          expected.set(id, undefined);
        } else if (action < 4) {
          session.cookie.expires = new Date(Date.now() + 3_600_000 + random.whole(0, 999) * 1000);
          await store.touch(id, session);
        } else {
          session.number += 1000;
          await store.set(id, session);
          expected.set(id, session.number);
        }
        calls++;
      }
    }
    const callers = Array.from({ length: 8 }, (_, index) =>
      caller(
        ids.filter((_, number) => number % 8 === index),
        stores[index % 2],
      ),
    );
    const run = command(['reseal', '--json', ...optionsOf(backend.config), ...BOTH, '--write-units', '100']);
    void Promise.race([run, ...callers]).finally(() => {
      over = true;
    });
    const [{ status, stdout, stderr }] = await Promise.all([run, ...callers]);
    assert.equal(status, 0, stdout + stderr);
    const report = JSON.parse(stdout);
    t.diagnostic(`${calls} calls beside it; moved ${report.moved}, up to date ${report.upToDate}, gone ${report.gone}`);
    assert.ok(report.moved > 20 && calls > 200);
    assert.deepEqual(conflicts, []);
    const live = [...expected].filter(([, number]) => number !== undefined);
    const alone = backend.store({ recordVersion: 2, acceptVersions: [2], kmsKeyArn: NEW });
    for (const [id, number] of expected) {
      const session: any = await alone.get(id);
      assert.equal(session?.number, number, id);
    }
    assert.deepEqual(Object.keys(await items.all()).sort(), live.map(([id]) => id).sort());
  });
});
