// A table that was restored from a backup: it has another name than the one that its records are bound to.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { command, optionsOf } from '../support/command.ts';
import { fill } from '../support/table-fill.ts';
import { TableItems } from '../support/table-items.ts';

const integrity = { code: 'ERR_INTEGRITY' };

for (const { name, start } of backends) {
  describe(`boundTableName on ${name}`, () => {
    let backend: Backend;
    beforeEach(async () => {
      backend = await start();
    });
    afterEach(() => backend.stop());

    it('is what records of version 2 are bound to', async () => {
      const bound = (boundTableName?: string) => backend.store({ recordVersion: 2, boundTableName });
      await bound('original').set('sid', { user: 'Ada' } as any);
      assert.equal(((await bound('original').get('sid')) as any).user, 'Ada');
      await assert.rejects(bound('another').get('sid'), integrity);
      await assert.rejects(bound().get('sid'), integrity);
      await bound().set('other', { user: 'Bob' } as any);
      await assert.rejects(bound('original').get('other'), integrity);
      assert.equal(
        ((await bound((backend.config.tableName as string) ?? 'mcp-gateway-sessions').get('other')) as any).user,
        'Bob',
      );
    });

    it('does not concern records of version 1', async () => {
      await backend.store({ recordVersion: 1 }).set('sid', { user: 'Ada' } as any);
      const bound = backend.store({ recordVersion: 2, boundTableName: 'another' });
      assert.equal(((await bound.get('sid')) as any).user, 'Ada');
    });
  });
}

describe('a restored table', () => {
  let backend: AwsBackend;
  let restored: TableItems;
  beforeEach(async () => {
    backend = await startAws();
    restored = new TableItems(backend.aws, 'sessions-restored');
    await restored.createTable('sessions-restored', 'sessionId');
  });
  afterEach(async () => {
    restored.close();
    await backend.stop();
  });

  /** What point-in-time recovery does. */
  async function restore() {
    const original = new TableItems(backend.aws);
    for (const item of Object.values(await original.all())) await restored.put(item);
    original.close();
  }

  it('opens with boundTableName, in the store and in the commands', async () => {
    const store = backend.store({ recordVersion: 2 });
    const ids = await fill(store, 10);
    await restore();
    const there = { recordVersion: 2, tableName: 'sessions-restored' } as const;
    await assert.rejects(backend.store(there).get(ids[0]), integrity);
    const bound = backend.store({ ...there, boundTableName: 'sessions' });
    for (const [number, id] of ids.entries()) assert.equal(((await bound.get(id)) as any).number, number);
    await bound.set('new', { user: 'Ada' } as any);
    const survey = (args: string[]) =>
      command(['survey', '--verify', '--json', ...optionsOf({ ...backend.config, tableName: 'sessions-restored' }), ...args]);
    const unbound = await survey([]);
    assert.equal(unbound.status, 1);
    assert.equal(JSON.parse(unbound.stdout).unreadable.count, 11);
    const { status, stdout } = await survey(['--bound-table-name', 'sessions']);
    assert.equal(status, 0);
    assert.equal(JSON.parse(stdout).sessions, 11);
  });

  it('has the sessions that were logged out since', async () => {
    const store = backend.store({ recordVersion: 2 });
    await store.set('sid', { user: 'Ada' } as any);
    await restore();
    await store.destroy('sid');
    const bound = backend.store({ recordVersion: 2, tableName: 'sessions-restored', boundTableName: 'sessions' });
    assert.equal(((await bound.get('sid')) as any).user, 'Ada');
  });
});

describe('boundTableName', () => {
  it('is checked as tableName is', () => {
    for (const boundTableName of ['', 'ab', 'a b c', 7, null, ['sessions']]) {
      const make = () => new DynamoDBSessionStore({ boundTableName: boundTableName as any });
      assert.throws(make, { code: 'ERR_CONFIG', detail: /boundTableName/ });
    }
  });
});
