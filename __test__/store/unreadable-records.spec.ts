// onIntegrityFailure: what a read makes of a record that fails its integrity check.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import { quietLogger } from '../support/backends.ts';
import { assertFailure, failing } from '../support/failures.ts';
import type { Item } from '../support/plain-store.ts';
import { Stage } from '../support/stage.ts';

describe('a record that fails its integrity check', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.start();
  });
  after(() => stage.stop());

  /** A record of `recordVersion` with a tag of another. */
  async function broken(recordVersion: 1 | 2) {
    const [saved, other] = [await stage.saved(), await stage.saved()];
    for (const { sid, session } of [saved, other]) await stage.store({ recordVersion }).set(sid, session);
    const item: Item = (await stage.plain.item(saved.sid))!;
    await stage.plain.putItem({ ...item, authTag: (await stage.plain.item(other.sid))!.authTag! });
    return saved;
  }

  for (const recordVersion of [1, 2] as const) {
    for (const onIntegrityFailure of ['missing', 'destroy'] as const) {
      it(`is no session with '${onIntegrityFailure}', counted and logged; version ${recordVersion}`, async () => {
        const { sid, secrets } = await broken(recordVersion);
        const logger = quietLogger();
        const store = stage.backend.store({ onIntegrityFailure, logger });
        for (let i = 1; i <= 2; i++) assert.equal(await store.get(sid), null);
        assert.equal(await store.update(sid, () => assert.fail('it must not run')), null);
        const gone = onIntegrityFailure === 'destroy';
        assert.equal((await stage.plain.item(sid)) === undefined, gone);
        assert.deepEqual(store.stats().errors, { ERR_INTEGRITY: gone ? 1 : 3 });
        assert.equal(logger.lines.filter((line) => line.startsWith('warn')).length, 1);
        assert.match(logger.lines[0]!, /ERR_INTEGRITY/);
        for (const secret of secrets) assert.ok(!logger.lines.join('').includes(secret));
        await store.set(sid, { user: 'a new one' });
        assert.equal((await store.get(sid))!.user, 'a new one');
      });
    }

    it(`is an error by default; version ${recordVersion}`, async () => {
      const { sid } = await broken(recordVersion);
      await failing(stage.store().get(sid), 'ERR_INTEGRITY');
      await failing(stage.store({ onIntegrityFailure: 'error' }).get(sid), 'ERR_INTEGRITY');
      assert.ok(await stage.plain.item(sid));
    });
  }

  it('is not removed if it is no record of the store', async () => {
    const saved = await stage.saved();
    const { encryptedKey: _, ...others } = (await stage.plain.item(saved.sid))!;
    await stage.plain.putItem(others);
    assert.equal(await stage.store({ onIntegrityFailure: 'destroy' }).get(saved.sid), null);
    assert.deepEqual(await stage.plain.item(saved.sid), others);
  });

  it('leaves other failures alone', async () => {
    const saved = await stage.saved();
    const item = (await stage.plain.item(saved.sid))!;
    await stage.plain.putItem({ ...item, version: { N: '9' } });
    await failing(stage.store({ onIntegrityFailure: 'destroy' }).get(saved.sid), 'ERR_VERSION');
  });

  it('takes no other value of the option', () => {
    for (const onIntegrityFailure of ['ignore', '', true, null, 0] as any[]) {
      try {
        new DynamoDBSessionStore({ recordVersion: 1, onIntegrityFailure });
        assert.fail('it was taken');
      } catch (error) {
        assertFailure(error, 'ERR_CONFIG');
        assert.match((error as any).detail, /onIntegrityFailure must be 'error', 'missing' or 'destroy'/);
      }
    }
  });
});
