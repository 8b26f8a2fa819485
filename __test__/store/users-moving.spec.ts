// What docs/users.md says of servers without the option users, of a new secret, and of failures of KMS.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { type AwsBackend, type Backend, backends, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { TableItems } from '../support/table-items.ts';

const users = { idOf: 'user.id', secret: 'a secret of the users' };
const of = (id: string) => ({ cookie: { path: '/' }, user: { id } });

for (const { name, start } of backends) {
  describe(`moving users in, on ${name}`, () => {
    let backend: Backend;
    let store: DynamoDBSessionStore;
    before(async () => {
      backend = await start();
    });
    after(() => backend.stop());
    beforeEach(async () => {
      store = backend.store({ recordVersion: 2, users });
      await store.clear();
    });
    const without = () => backend.store({ recordVersion: 2 });
    const ids = async (user: string, by = store) => (await by.sessionsOf(user)).map(({ id }) => id);

    it('a login on a server without the option is listed with its next save on another', async () => {
      await without().set('a', of('ada'));
      assert.deepEqual(await ids('ada'), []);
      assert.equal(await store.destroyAllOf('ada'), 0);
      await store.update('a', (session) => void Object.assign(session, { changed: true }));
      assert.deepEqual(await ids('ada'), ['a']);
    });

    it('a listed session that such a server saves is still shown and ended', async () => {
      for (const sid of ['a', 'b']) await store.set(sid, of('ada'));
      for (const sid of ['a', 'b']) await without().update(sid, (session) => void Object.assign(session, { changed: true }));
      assert.deepEqual(await ids('ada'), ['b', 'a']);
      assert.equal(await store.destroyAllOf('ada', { except: 'b' }), 1);
      await store.set('b', (await store.get('b'))!);
      assert.deepEqual(await ids('ada'), ['b']);
      assert.equal(await store.destroyAllOf('ada'), 1);
    });

    it('a session whose user such a server changes is shown to neither, and ended with those of the former user', async () => {
      await store.set('a', of('ada'));
      await without().update('a', (session) => void Object.assign(session, of('bob')));
      assert.deepEqual([await ids('ada'), await ids('bob')], [[], []]);
      assert.equal(await store.destroyAllOf('bob'), 0);
      assert.equal(await store.destroyAllOf('ada'), 1);
      assert.deepEqual(await store.ids(), []);
    });

    it('without the option again, lists are seen by no call, and sessions stay', async () => {
      await store.set('a', of('ada'));
      const later = without();
      assert.deepEqual([await later.ids(), await later.length()], [['a'], 1]);
      assert.deepEqual(await later.get('a'), of('ada'));
      await later.set('a', { ...(await later.get('a'))!, changed: true });
      await later.destroy('a');
      assert.deepEqual(await store.ids(), []);
      assert.deepEqual(await ids('ada'), []);
    });

    it('after a change of the secret, sessions join the new list with their next save or touch, and leave the old one', async () => {
      for (const sid of ['saved', 'touched', 'idle']) await store.set(sid, of('ada'));
      const renewed = backend.store({ recordVersion: 2, users: { ...users, secret: 'another secret of the users' } });
      assert.deepEqual(await ids('ada', renewed), []);
      await renewed.set('saved', (await renewed.get('saved'))!);
      await renewed.touch('touched', (await renewed.get('touched'))!);
      assert.deepEqual([await ids('ada', renewed), await ids('ada')], [['touched', 'saved'], ['idle']]);
      assert.equal(await renewed.destroyAllOf('ada'), 2);
      assert.deepEqual(await store.ids(), ['idle']);
    });
  });
}

describe('users, where something fails', () => {
  let backend: AwsBackend;
  let items: TableItems;
  before(async () => {
    backend = await startAws();
    items = new TableItems(backend.aws);
  });
  after(async () => {
    items.close();
    await backend.stop();
  });
  beforeEach(() => backend.store().clear());
  const knowing = () => backend.store({ recordVersion: 2, users });

  it('destroyAllOf needs no KMS; sessionsOf does, unless the data keys are cached', async () => {
    const store = knowing();
    for (const sid of ['a', 'b']) await store.set(sid, of('ada'));
    await backend.aws.fault({ action: 'kms:Decrypt', status: 400, code: 'AccessDeniedException' });
    assert.equal((await store.sessionsOf('ada')).length, 2);
    const other = knowing();
    await failing(other.sessionsOf('ada'), 'ERR_ACCESS_DENIED');
    assert.equal(await other.destroyAllOf('ada'), 2);
    await backend.aws.clearFaults();
  });

  it('a session that cannot be opened fails sessionsOf, and is ended with the others', async () => {
    const store = knowing();
    for (const sid of ['a', 'b']) await store.set(sid, of('ada'));
    await items.change('a', { authTag: { B: new Uint8Array(16) } });
    await failing(store.sessionsOf('ada'), 'ERR_INTEGRITY');
    assert.equal(await store.destroyAllOf('ada'), 2);
  });

  it('a damaged list fails what needs it, and nothing else', async () => {
    const store = knowing();
    for (const sid of ['a', 'b']) await store.set(sid, of('ada'));
    const list = Object.keys(await items.all()).find((key) => key.startsWith('user:'))!;
    await items.change(list, { generation: undefined });
    await failing(store.sessionsOf('ada'), 'ERR_INTEGRITY');
    await failing(store.destroyAllOf('ada'), 'ERR_INTEGRITY');
    await failing(store.set('c', of('ada')), 'ERR_INTEGRITY');
    await store.set('a', Object.assign((await store.get('a'))!, { changed: true }));
    await store.destroy('b');
    await store.set('d', of('bob'));
    assert.deepEqual((await store.ids()).sort(), ['a', 'd']);
  });

  it('a table without transactions refuses logins, and saves sessions without a user', async () => {
    const store = knowing();
    await backend.aws.fault({
      action: 'dynamodb:TransactWriteItems',
      status: 400,
      code: 'ValidationException',
      message: 'Transactions are not supported for this table',
    });
    const failed: any = await failing(store.set('a', of('eve')), 'ERR_TABLE_SCHEMA');
    assert.match(failed.detail, /the option users/);
    await store.set('b', { cookie: { path: '/' } });
    assert.deepEqual(await store.ids(), ['b']);
    await backend.aws.clearFaults();
  });
});
