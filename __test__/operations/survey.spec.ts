// `survey`: what a table holds.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { command, optionsOf } from '../support/command.ts';
import { fill, keyArn } from '../support/table-fill.ts';
import { TableItems } from '../support/table-items.ts';

const [OLD, NEW] = [keyArn('1'), keyArn('2')];

for (const { name, start } of backends) {
  describe(`survey on ${name}`, () => {
    let backend: Backend;
    beforeEach(async () => {
      backend = await start();
    });
    afterEach(() => backend.stop());

    it('counts sessions by version, size and time left', async () => {
      await fill(backend.store({ recordVersion: 1 }), 30, 'first-');
      const store = backend.store({ recordVersion: 2 });
      await fill(store, 12, 'second-');
      await store.set('large', { cookie: {}, text: 'x'.repeat(20_000) } as any);
      await store.close();
      await backend.stores[0].close();
      const { status, stdout, stderr } = await command(['survey', '--json', ...optionsOf(backend.config)]);
      assert.equal(status, 0, stderr);
      const report = JSON.parse(stdout);
      assert.equal(report.items, 43);
      assert.equal(report.sessions, 43);
      assert.deepEqual(report.byVersion, { 1: 30, 2: 13 });
      assert.deepEqual(Object.values(report.byKey), [43]);
      assert.equal(report.sizes.counts.find(({ atMost }: any) => atMost === 32_768).count, 1);
      const left = Object.fromEntries(report.remaining.counts.map(({ atMost, count }: any) => [atMost, count]));
      assert.equal(left[86_400] + left[3600], 42);
      assert.equal(left[604_800], 1);
    });

    it('prints a table without ids or content', async () => {
      const store = backend.store({ recordVersion: 2 });
      await fill(store, 5, 'SECRET-ID-');
      await store.close();
      const { status, stdout, stderr } = await command(['survey', '--verify', ...optionsOf(backend.config)]);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^sessions +5$/m);
      assert.match(stdout, /^ {2}live +5$/m);
      assert.match(stdout, /^ {2}up to 1 (?:hour|day) +\d$/m);
      assert.doesNotMatch(stdout + stderr, /SECRET|number/);
    });
  });
}

describe('survey on AWS servers', () => {
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

  const survey = (args: string[] = [], env = {}) => command(['survey', ...optionsOf(backend.config), ...args], { env });

  it('counts sessions by KMS key with a few calls to KMS', async () => {
    await fill(backend.store({ recordVersion: 2, kmsKeyArn: OLD }), 120, 'old-');
    await fill(backend.store({ recordVersion: 2, kmsKeyArn: NEW }), 15, 'new-');
    await backend.aws.reset();
    const { stdout } = await survey(['--json', '--kms-key-arn', NEW, '--kms-key-arn', OLD]);
    assert.deepEqual(JSON.parse(stdout).byKey, { [OLD]: 120, [NEW]: 15 });
    const calls = await backend.aws.calls();
    assert.ok(calls['kms:Decrypt'] <= 10, `${calls['kms:Decrypt']} calls`);
    assert.equal(calls['kms:GenerateDataKey'], undefined);
    const unknown = await survey(['--kms-key-arn', NEW]);
    assert.match(unknown.stdout, /^ {2}none of the configured keys +120$/m);
  });

  it('names unreadable sessions by their fingerprints, and other items by their kind', async () => {
    const store = backend.store({ recordVersion: 2, kmsKeyArn: OLD });
    const [forged, good] = await fill(store, 2, 'SECRET-ID-');
    await items.change(forged, { encryptedData: { B: Buffer.alloc(50) } });
    await items.put({ sessionId: { S: 'TOKEN#1' }, token: { S: 'x' } });
    await store.withLock(good, async () => {
      const kept = await survey(['--kms-key-arn', OLD]);
      assert.equal(kept.status, 0, kept.stderr);
      const { status, stdout } = await survey(['--verify', '--kms-key-arn', OLD]);
      assert.equal(status, 1);
      const fingerprint = createHash('sha256').update(forged).digest('hex').slice(0, 8);
      assert.match(
        stdout,
        new RegExp(`^unreadable sessions +1\n {2}${fingerprint} {2}ERR_INTEGRITY\n {2}ERR_INTEGRITY: .*integrity`, 'm'),
      );
      assert.match(stdout, /^ {2}leases +1$/m);
      assert.match(stdout, /^ {2}of other applications +1$/m);
      assert.doesNotMatch(stdout, /SECRET/);
      assert.match((await survey(['--verify', '--ids', '--kms-key-arn', OLD])).stdout, /SECRET-ID-0 {2}ERR_INTEGRITY/);
    });
  });

  it('uses no more read units than it may', async () => {
    const store = backend.store({ recordVersion: 2, kmsKeyArn: OLD });
    await fill(store, 300);
    await backend.aws.reset();
    const began = performance.now();
    const { stdout } = await survey(['--json', '--read-units', '10', '--kms-key-arn', OLD]);
    const seconds = (performance.now() - began) / 1000;
    const report = JSON.parse(stdout);
    assert.equal(report.items, 300);
    assert.ok(report.readUnits > 15, `${report.readUnits} units`);
    // What the last page of each of the four segments costs is not waited for.
    assert.ok(seconds > (report.readUnits - 10) / 10, `${report.readUnits} units in ${seconds} s`);
    const scans = (await backend.aws.requests()).filter(({ action }) => action === 'dynamodb:Scan');
    assert.deepEqual([...new Set(scans.map(({ body }) => body.Segment))].sort(), [0, 1, 2, 3]);
    assert.ok(scans.every(({ body }) => body.Limit <= 300 && body.ReturnConsumedCapacity === 'TOTAL'));
  });

  it('waits while it is throttled, and says what AWS refuses', async () => {
    await fill(backend.store({ recordVersion: 2, kmsKeyArn: OLD }), 3);
    await backend.aws.fault({ action: 'dynamodb:Scan', status: 400, code: 'ThrottlingException', times: 8 });
    const slow = await survey(['--kms-key-arn', OLD]);
    assert.equal(slow.status, 0, slow.stderr);
    await backend.aws.fault({ action: 'dynamodb:Scan', status: 400, code: 'AccessDeniedException', message: 'no' });
    const refused = await survey(['--json', '--kms-key-arn', OLD]);
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, /ERR_ACCESS_DENIED: .*dynamodb:Scan/);
    assert.equal(JSON.parse(refused.stdout).failed.code, 'ERR_ACCESS_DENIED');
    await backend.aws.clearFaults();
    const missing = await command(['survey', ...optionsOf({ ...backend.config, tableName: 'elsewhere' })]);
    assert.equal(missing.status, 3);
    assert.match(missing.stderr, /ERR_TABLE_NOT_FOUND/);
  });
});
